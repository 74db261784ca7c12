"""Rules from facts to settings: each a pure function of the fingerprint, with its reason.

A setting is *fixed* (the same for all data), set *by rule* (follows from a fact), or *measured*
(timed on this machine). Each derivation says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from medtransfer.data.config import Flip, SplitConfig
from medtransfer.errors import listed
from medtransfer.study.drafting.fingerprint import ImageSizes, LabelCount, Machine
from medtransfer.training.bit_hyperrule import (
    LARGE_SIDES,
    SMALL_AREA,
    make_schedule,
    resolution,
    task_size,
)

V = TypeVar("V")
Basis = Literal["fixed", "rule", "measured"]
CPU_SIDES = (144, 128)
"""Resized and cropped side on a CPU, where the 480 px of BiT-HyperRule are hours."""
SHORT_SIDES = ((144, 128), (108, 96), (72, 64))
"""Resized and cropped sides that an automatic study may take on a CPU, largest first."""
RATE_OF_RULE = 0.003
"""Learning rate of BiT-HyperRule."""
BATCH, RATE = 128, 0.001
"""Batch and learning rate that the authors of BiT-HyperRule report as nearly identical to 512."""
SHORT_BATCH = 64
SHORT_PASSES = 12
"""Batch, and passes over the training cases, of a short schedule on a CPU: those of
examples/dermatology, whose results are in benchmarks/RESULTS.md."""
MIN_STEPS = 100
MIN_POSITIVES = 10
"""Positive tuning cases from which a sensitivity of 90 % is told from 100 %."""
FEW_POSITIVES = 5
"""Likewise for 80 %."""
SEEDS = (0, 1, 2)
MARGIN = 0.02


@dataclass(frozen=True)
class Derived(Generic[V]):
    """A setting with the rule that gave it.

    Attributes:
        value: Of the setting.
        rule: Name of the rule.
        basis: `fixed`, by `rule`, or `measured`.
        reason: The fact and what follows from it, without a full stop.
    """

    value: V
    rule: str
    basis: Basis
    reason: str

    @property
    def note(self) -> str:
        """Comment for a study file, without its hash sign."""
        name = "" if self.basis == "fixed" else f" {self.rule}"
        return f"{self.basis}{name}: {self.reason}"


@dataclass(frozen=True)
class Sides:
    """Sides of training images.

    Attributes:
        resize: Side of the square that an image is resized to; None for BiT-HyperRule.
        crop: Side of the network's input; None likewise.
    """

    resize: int | None
    crop: int | None


def choose_sides(sizes: ImageSizes | None, machine: Machine) -> Derived[Sides]:
    """Resolution: BiT-HyperRule on a GPU, its side for small images on a CPU."""
    resize, crop = CPU_SIDES
    if not machine.gpus:
        text = f"no GPU; BiT-HyperRule's {LARGE_SIDES[1]} px are hours on a CPU"
        return Derived(Sides(resize, crop), "resolution", "rule", text)
    if sizes is None:
        text = "sizes of the images are unknown: BiT-HyperRule, by image area, when they are read"
        return Derived(Sides(None, None), "resolution", "rule", text)
    sides = resolution(sizes.area)
    side = "below" if sizes.area < SMALL_AREA else "from"
    text = (
        f"a GPU, images of {sizes.width} × {sizes.height} px: BiT-HyperRule for {side} "
        f"{SMALL_AREA:,} pixels"
    )
    return Derived(Sides(*sides), "resolution", "rule", text)


def choose_sides_for_time(seconds: Mapping[int, float], most: float) -> Derived[Sides]:
    """Resolution on a CPU: the largest side of a network's input whose work fits the time.

    Args:
        seconds: Estimated work at each side of `SHORT_SIDES`.
        most: Seconds that it may take.
    """
    fitting = [sides for sides in SHORT_SIDES if seconds[sides[1]] <= most]
    resize, crop = fitting[0] if fitting else SHORT_SIDES[-1]
    listing = ", ".join(f"{side} px {value / 60:,.0f} min" for side, value in seconds.items())
    limit = "" if fitting else ", the smallest side"
    text = f"no GPU; probes and two fine-tuned rungs: {listing}, of {most / 60:,.0f} min{limit}"
    return Derived(Sides(resize, crop), "resolution", "rule", text)


def choose_batch() -> Derived[int]:
    """Batch of a whole schedule."""
    text = f"the authors of BiT-HyperRule report {BATCH} at rate {RATE:g} as nearly identical"
    return Derived(BATCH, "batch", "fixed", text)


def choose_rate() -> Derived[float]:
    """Learning rate of a whole schedule."""
    return Derived(RATE, "rate", "fixed", f"goes with a batch of {BATCH}")


@dataclass(frozen=True)
class Length:
    """Length of a schedule.

    Attributes:
        steps: Number of steps.
        batch: Cases per step.
        rate: Peak of the learning rate.
    """

    steps: int
    batch: int
    rate: float


def choose_length(train_cases: int, machine: Machine) -> Derived[Length]:
    """Schedule that suits data and device: BiT-HyperRule's, or a short one on a CPU.

    Args:
        train_cases: Cases that train.
        machine: This machine.
    """
    whole = make_schedule(train_cases, RATE).steps
    if machine.gpus:
        text = (
            f"{train_cases:,} training cases are a {task_size(train_cases)} task of BiT-HyperRule"
        )
        return Derived(Length(whole, BATCH, RATE), "steps", "rule", text)
    wanted = round(SHORT_PASSES * train_cases / SHORT_BATCH)
    steps = max(MIN_STEPS, min(whole, wanted))
    text = (
        f"no GPU; {SHORT_PASSES} passes over {train_cases:,} training cases at a batch of "
        f"{SHORT_BATCH}, at least {MIN_STEPS} steps, at most BiT-HyperRule's {whole:,}"
    )
    return Derived(Length(steps, SHORT_BATCH, RATE_OF_RULE), "steps", "rule", text)


def choose_flips(side_columns: Sequence[str]) -> Derived[Flip]:
    """Flips: none, since a flipped image shows the other side of the body.

    Whether the side matters is no fact of a table; where it has a column for it, it does.
    """
    if "laterality" in side_columns:
        text = "column 'laterality' tells the sides apart: a flip would change them"
        return Derived("none", "flips", "rule", text)
    text = "nothing in the manifest says that the side of the body does not matter"
    return Derived("none", "flips", "rule", text)


def choose_weights(
    labels: Sequence[LabelCount], train_cases: int, batch: int
) -> Derived[Literal["none", "balanced"]]:
    """Class weights: only where most steps would see no case of the rarest side of a target.

    Weights change probabilities and hardly the order of cases, so they are not the default.

    Args:
        labels: Of the targets, in the cohort that is trained on.
        train_cases: Labelled and other cases of that cohort.
        batch: Cases per step.
    """
    rarest = min(labels, key=_rarer, default=None)
    if rarest is None or not train_cases:
        return Derived("none", "loss", "rule", "no labels are known: plain cross-entropy")
    expected = batch * _rarer(rarest) / train_cases
    text = f"a step of {batch} cases holds {expected:.1f} of the rarest side of '{rarest.target}'"
    if expected < 1:
        return Derived("balanced", "loss", "rule", f"{text}: without weights most steps hold none")
    return Derived("none", "loss", "rule", f"{text}: plain cross-entropy")


def choose_points(labels: Sequence[LabelCount], split: SplitConfig) -> Derived[tuple[str, ...]]:
    """Operating points that the tuning split can fix.

    Args:
        labels: Of the targets, in the cohort that is trained on.
        split: Shares of the splits.
    """
    if not labels:
        return Derived(("sens90",), "operating points", "rule", "no labels are known")
    rarest = min(labels, key=lambda count: count.positive)
    tuned = round(rarest.positive * split.tune_fraction)
    point = "sens90" if tuned >= MIN_POSITIVES else "sens80"
    point = point if tuned >= FEW_POSITIVES else "youden"
    text = f"'{rarest.target}' has about {tuned} positive cases in the tuning split"
    return Derived((point,), "operating points", "rule", text)


def choose_seeds() -> Derived[tuple[int, ...]]:
    """Seeds of every rung."""
    return Derived(SEEDS, "seeds", "fixed", "three show the spread between repetitions")


def choose_margin() -> Derived[float]:
    """Difference in AUROC that counts as none, stated before anything is trained."""
    text = f"a smaller network that is at most {MARGIN:g} AUROC worse is preferred"
    return Derived(MARGIN, "margin", "fixed", text)


def rung_note(proposed: Sequence[str], others: Sequence[str]) -> str:
    """Comment on the rungs that a drafted study proposes.

    Args:
        proposed: Rungs of the study.
        others: Further rungs whose weights are at hand.
    """
    more = f"; also at hand: {listed(others, 6)}" if others else ""
    return (
        f"rule rungs: the smallest network with weights of ImageNet, and the same from scratch"
        f"{more}. `medtransfer auto` tries all that fit"
        if len(proposed) > 1
        else f"rule rungs: no weights of ImageNet are at hand{more}"
    )


def _rarer(count: LabelCount) -> int:
    """Cases of the rarer side of a target."""
    return min(count.positive, count.negative)
