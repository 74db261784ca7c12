"""Training settings."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from medtransfer.data.config import Task
from medtransfer.errors import listed, suggestion
from medtransfer.models.config import Pool
from medtransfer.models.rungs.start import Mitigation
from medtransfer.settings import Settings, identity, identity_if_set, runtime
from medtransfer.training.mitigation.config import MitigationConfig

Weight = Annotated[float, Field(gt=0, le=10_000)]
Penalty = Annotated[float, Field(gt=0, le=1e6)]


def _reject_unused(config: Settings, names: Sequence[str], used: Sequence[str], kind: str) -> None:
    """Refuse a part that is set and has no effect; it would only move run ids."""
    fields = {name: type(config).model_fields[name] for name in names}
    idle = [n for n, f in fields.items() if n not in used and getattr(config, n) != f.default]
    if idle:
        raise ValueError(f"{kind} has no {listed(idle)}")


class LossConfig(Settings):
    """Loss settings. The tuning split is always scored by plain cross-entropy."""

    kind: Literal["cross-entropy", "focal", "asymmetric"] = identity("cross-entropy")
    """`focal` (Lin et al. 2017) weighs easy cases down, `asymmetric` (Ridnik et al. 2021) easy
    negatives more than easy positives; it is for binary and multi-label tasks."""
    gamma: float | None = identity(None, ge=0, le=10)
    """Focusing exponent of easy cases; for `asymmetric` of easy positives. Left out: 2 for
    `focal`, 0 for `asymmetric`."""
    gamma_negative: float = identity(4.0, ge=0, le=10)
    """For `asymmetric`: how much easy negatives are weighed down."""
    margin: float = identity(0.05, ge=0, lt=1)
    """For `asymmetric`: negatives of a probability up to this cost nothing."""
    weights: Literal["none", "balanced"] | dict[str, Weight] = identity("none")
    """`balanced`: both sides of a target, or all classes, weigh the same over the training cases.
    Or a weight by target: of its positives, in a single-label task of the class; others have 1."""
    smoothing: float = identity(0.0, ge=0, lt=1)
    """Label smoothing: the share of every target that is spread evenly over its possible values."""

    @model_validator(mode="after")
    def _parts_of_their_kind(self) -> "LossConfig":
        used = {
            "cross-entropy": (),
            "focal": ("gamma",),
            "asymmetric": ("gamma", "gamma_negative", "margin"),
        }[self.kind]
        _reject_unused(self, ("gamma", "gamma_negative", "margin"), used, f"loss.kind {self.kind}")
        return self

    @property
    def exponent(self) -> float:
        """`gamma`, or what its kind has without it."""
        if self.gamma is not None:
            return self.gamma
        return 2.0 if self.kind == "focal" else 0.0


class TuningConfig(Settings):
    """Weights to train."""

    mode: Literal["full", "linear", "partial", "low-rank"] = identity("full")
    """`full`: all. `linear`: the head alone, as logistic regression on features that are extracted
    once. `partial`: all but the lowest stages. `low-rank`: the head, and a product of two thin
    matrices that is added to the weights of every linear layer and ungrouped convolution
    (LoRA, Hu et al. 2021)."""
    frozen_stages: int = identity(1, ge=1, le=100)
    """For `partial`: how many groups of layers stay as they are, from below; the stem is the first.
    Their batch normalisation keeps its statistics."""
    frozen_until: float = identity_if_set(1.0, gt=0, le=1)
    """For `partial`: the share of the steps after which the frozen stages are trained as well; 1
    leaves them as they are."""
    rank: int = identity(8, ge=1, le=1024)
    """For `low-rank`: the inner side of the product."""
    scale: float = identity(1.0, gt=0, le=1000)
    """For `low-rank`: what the product is multiplied by; LoRA's alpha over its rank."""
    penalties: tuple[Penalty, ...] = identity(
        (100.0, 10.0, 1.0, 0.1, 0.01, 0.001, 1e-4, 1e-5, 1e-6), min_length=1, max_length=100
    )
    """For `linear`: strengths of the L2 penalty that are tried. The one with the best macro AUROC
    on the tuning split is taken. The penalty is half the strength times the squared weights, beside
    the mean loss of a training case, on features of mean 0 and deviation 1."""

    @model_validator(mode="after")
    def _parts_of_their_mode(self) -> "TuningConfig":
        used = {
            "full": (),
            "linear": ("penalties",),
            "partial": ("frozen_stages", "frozen_until"),
            "low-rank": ("rank", "scale"),
        }[self.mode]
        names = ("frozen_stages", "frozen_until", "rank", "scale", "penalties")
        _reject_unused(self, names, used, f"tuning.mode {self.mode}")
        return self


class GrowthConfig(Settings):
    """Progressive resolution: smaller images in the first steps (Tan and Le 2021).

    For networks that take images of any size. The tuning split is always scored at the whole size.
    """

    share: float = identity(0.5, ge=0.1, lt=1)
    """Sides of the images at first, as a share of `data.image.crop`."""
    until: float = identity(0.5, gt=0, lt=1)
    """Share of the steps that is made with them."""


class TrainingConfig(Settings):
    """BiT-HyperRule by default; every departure is a named field."""

    batch_size: int = identity(512, ge=1, le=65_536)
    """Cases per step. The rule's own is 512; its authors report 128 with learning rate 0.001 as
    nearly identical."""
    learning_rate: float = identity(0.003, gt=0, lt=10)
    """Peak of the schedule."""
    steps: int | None = identity(None, ge=1, le=10_000_000)
    """Length of the schedule; warm-up and drops keep their shares of it. Left out: by the rule,
    from the number of training cases."""
    mixup: float | None = identity(None, ge=0, le=10)
    """Alpha of MixUp, 0 for none. Left out: by the rule, from the number of training cases."""
    schedule: Literal["staircase", "cosine"] = identity_if_set("staircase")
    """After the warm-up: drops to tenths as the rule has them, or half a cosine down to 0."""
    optimiser: Literal["sgd", "adamw"] = identity_if_set("sgd")
    """The rule's SGD, or AdamW (Loshchilov and Hutter 2019), which transformers are mostly tuned
    with, at learning rates near 0.0001."""
    momentum: float = identity(0.9, ge=0, lt=1)
    """Of SGD; of AdamW its first decay rate, the second is 0.999."""
    weight_decay: float = identity(0.0, ge=0, lt=1)
    """SGD: L2 penalty on every weight; the rule has none. AdamW: decoupled, and not on biases,
    norms and what the network itself names."""
    layer_decay: float = identity_if_set(1.0, gt=0, le=1)
    """Factor of the learning rate from each layer to the one below it; the head has the whole.
    Layers are those of `timm`: a block of a network is one."""
    clip_norm: float | None = identity_if_set(None, gt=0)
    """Largest norm of a step's gradient over all weights; a larger one is scaled down to it."""
    ema: float = identity_if_set(0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, at step t not more than
    (1 + t) / (10 + t); 0 for none. Where it is set, the average is what the checks see and what is
    kept."""
    loss: LossConfig = identity_if_set(LossConfig())
    """Loss settings."""
    tuning: TuningConfig = identity_if_set(TuningConfig())
    """Weights to train."""
    head_start: Literal["zero", "probe"] = identity_if_set("zero")
    """Head at the first step: `zero`, as BiT's rule has it, or `probe`, the linear probe on the
    features of the untrained network (Kumar et al. 2022), its penalty chosen as for `tuning.mode`
    `linear`. A linear probe itself does not have this setting."""
    growth: GrowthConfig | None = identity_if_set(None)
    """Smaller images in the first steps. Left out: all steps see images of the whole size."""
    ood: bool = identity_if_set(default=True)
    """Score how foreign each predicted case is. `false` saves its time, which grows with the square
    of the number of cases."""
    mitigation: MitigationConfig | None = identity_if_set(None)
    """Training that treats groups of patients alike; a study's `mitigation` sets it for some
    rungs."""
    micro_batch: int = identity(64, ge=1, le=65_536)
    """Most images held at once; the gradients of a step's micro-batches add up to the step's.
    Networks with batch normalisation take their statistics over it. Halved, for the rest of the
    run, where memory runs out."""
    precision: Literal["auto", "float32", "bfloat16"] = identity("auto")
    """Of the backbone. `auto` measures both once for each network and input size of a study, keeps
    the faster, and takes float32 for runs of a minute or two."""
    selection: Literal["best", "last"] = identity("best")
    """Weights to keep: those with the best macro AUROC on the tuning split among the
    checks, or the last."""
    checks: int = identity(10, ge=1, le=1000)
    """Number of validations on the tuning split, evenly over the schedule."""
    deterministic: bool = runtime(default=True)
    """Ask torch for deterministic algorithms. A CPU is deterministic either way."""
    device: Literal["auto", "cpu", "cuda", "mps"] = runtime("auto")
    """Device to train on."""
    checkpoint_seconds: float = runtime(60.0, ge=0)
    """Least time between checkpoints that are not at a check."""
    hang_seconds: float | None = runtime(None, gt=0, le=1e9)
    """Time without progress after which training counts as hung: its stacks are printed, and after
    twice that it is ended. Left out: 20 times the slowest so far, at least 600."""

    devices: int = runtime(1, ge=1, le=1024)
    """Processes on this machine that train a run together, one per GPU, or sharing the cores."""
    spread_weights: bool = runtime(default=False)
    """Spread weights, gradients and moments over the devices (FSDP2), for networks that one does
    not hold. Not for networks with batch normalisation; nothing to do where devices is 1."""

    @model_validator(mode="after")
    def _checks_fit(self) -> "TrainingConfig":
        if self.steps is not None and self.checks > self.steps:
            raise ValueError(f"checks is {self.checks}, more than steps ({self.steps})")
        return self

    def faults(self, task: Task, names: Sequence[str], pool: Pool) -> list[str]:
        """Conflicts with a task, its targets and the pooling, in sentences."""
        messages: list[str] = []
        loss, weights = self.loss, self.loss.weights
        if loss.kind == "asymmetric" and task == "single-label":
            messages.append("loss.kind asymmetric is for binary and multi-label tasks: use focal")
        for name in weights if isinstance(weights, dict) else ():
            if name not in names:
                hint = suggestion(name, names)
                messages.append(
                    f"loss.weights names '{name}', which is no target (targets: {listed(names)}). "
                    f"{hint}".rstrip()
                )
        if self.mitigation is not None:
            messages += self._mitigation_faults(self.mitigation.method)
        if self.tuning.mode == "linear" and self.devices > 1:
            messages.append("tuning.mode linear runs in one process: leave devices out")
        if self.head_start == "probe" and self.tuning.mode != "linear":
            messages += self._head_start_faults(pool)
        if self.tuning.frozen_until < 1 and self.spread_weights:
            messages.append("tuning.frozen_until is not for spread_weights: leave one of them out")
        if self.tuning.mode == "low-rank" and self.spread_weights:
            messages.append("spread_weights is for tuning.mode full and partial, not low-rank")
        if self.tuning.mode == "linear":
            if pool == "attention":
                messages.append("tuning.mode linear has no attention to learn: pool by mean or max")
            if loss.kind != "cross-entropy" or loss.smoothing:
                messages.append(
                    "tuning.mode linear is logistic regression: loss.kind must be cross-entropy, "
                    "without smoothing"
                )
        return messages

    def _head_start_faults(self, pool: Pool) -> list[str]:
        """Settings that a head which starts from a probe excludes."""
        messages: list[str] = []
        if pool == "attention":
            messages.append("head_start probe needs pooling by mean or max, not attention")
        if self.devices > 1:
            messages.append("head_start probe runs in one process: leave devices out")
        return messages

    def _mitigation_faults(self, method: Mitigation) -> list[str]:
        """Settings that a way of treating groups alike excludes."""
        messages: list[str] = []
        if self.tuning.mode == "linear" and method != "weights":
            messages.append(f"tuning.mode linear has no mitigation {method}: its way is weights")
        if method == "dro" and self.mixup != 0:
            messages.append("mitigation dro mixes no cases of several groups: set mixup to 0")
        if method == "dro" and self.devices > 1:
            messages.append("mitigation dro runs in one process: leave devices out")
        return messages
