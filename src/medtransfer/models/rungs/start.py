"""A rung that is changed before it is trained: the end of its name after ``@``. No torch.

``bit-m/r50x1@stages2`` takes the pre-trained weights of the two lowest groups of layers alone, the
stem being the first; ``bit-m/r50x1@mean-variance`` draws every tensor anew with the mean and
variance of the pre-trained one (Raghu et al. 2019). ``@shuffled-labels``, ``@border-only`` and
``@patch-shuffled`` are negative controls: the network as it is, on data that tell it less.
``@covariates`` puts clinical data beside the features of the images. ``@group-sampling``,
``@group-weights`` and ``@group-dro`` are trained so that groups of patients count alike.
``@variant-448px`` is the rung as it is under a name of the user's, for settings of its own.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from medtransfer.errors import ConfigError

ImageControl = Literal["border-only", "patch-shuffled"]
Control = Literal["shuffled-labels", "border-only", "patch-shuffled"]
CONTROLS: tuple[Control, ...] = get_args(Control)
START_MARK = "@"
MEAN_VARIANCE = "mean-variance"
COVARIATES = "covariates"
Mitigation = Literal["sampling", "weights", "dro"]
MITIGATIONS: dict[Mitigation, str] = {
    "sampling": "group-sampling",
    "weights": "group-weights",
    "dro": "group-dro",
}
"""Ways to treat groups of patients alike in training, and how the names of rungs end."""
METADATA_ONLY = "metadata-only/linear"
"""Logistic regression on the clinical data of a case, without its images."""
STAGES = re.compile(r"stages([1-9]\d?)")
VARIANT = re.compile(r"variant-([A-Za-z0-9][A-Za-z0-9._-]{0,30})")
ALLOWED = ", ".join(
    [
        "@stages1",
        "@stages2",
        "…",
        *(f"@{name}" for name in (MEAN_VARIANCE, COVARIATES, *MITIGATIONS.values(), *CONTROLS)),
        "@variant-NAME with up to 31 letters, digits, '.', '_' and '-'",
    ]
)
SENTENCES: dict[Control, str] = {
    "shuffled-labels": "trained on labels that were dealt out anew among the training cases",
    "border-only": "sees the outer tenth of each side alone",
    "patch-shuffled": "sees the squares of an 8 × 8 grid in another order",
}


@dataclass(frozen=True)
class Start:
    """A change of a rung.

    Attributes:
        stages: Lowest groups of layers that take pre-trained weights; None for other changes.
        control: A negative control; None for other changes.
        covariates: Clinical data are put beside the features of the images.
        mitigation: Way in which groups are treated alike; None for other changes.
        variant: Name of settings of its own; None for other changes.
    """

    stages: int | None = None
    control: Control | None = None
    covariates: bool = False
    mitigation: Mitigation | None = None
    variant: str | None = None

    @property
    def changes_weights(self) -> bool:
        """True if it starts from other weights than those of its file."""
        other = self.control or self.covariates or self.mitigation or self.variant
        return not other

    @property
    def sentence(self) -> str:
        """The change in words."""
        if self.control is not None:
            return SENTENCES[self.control]
        if self.covariates:
            return "with clinical data beside the images"
        if self.mitigation is not None:
            return f"trained by {MITIGATIONS[self.mitigation]}"
        if self.variant is not None:
            return f"variant {self.variant}"
        if self.stages is None:
            return "mean and variance of each tensor alone"
        return f"lowest {self.stages} groups of layers alone"


def split_name(name: str) -> tuple[str, Start]:
    """The rung that a name with a change begins with, and the change.

    Raises:
        ConfigError: The change is none of those allowed.
    """
    rung, _, start = name.partition(START_MARK)
    if start == MEAN_VARIANCE:
        return rung, Start()
    if start == COVARIATES:
        return rung, Start(covariates=True)
    for method, end in MITIGATIONS.items():
        if start == end:
            return rung, Start(mitigation=method)
    for control in CONTROLS:
        if start == control:
            return rung, Start(control=control)
    if (variant := VARIANT.fullmatch(start)) is not None:
        return rung, Start(variant=variant[1])
    match = STAGES.fullmatch(start)
    if match is None:
        raise ConfigError(f"rung '{name}' ends in '{START_MARK}{start}' (allowed: {ALLOWED})")
    return rung, Start(int(match[1]))


def control_of(name: str) -> Control | None:
    """The negative control that a rung's name ends in; None if it ends in none."""
    end = name.partition(START_MARK)[2]
    return next((control for control in CONTROLS if control == end), None)


def mitigation_of(name: str) -> Mitigation | None:
    """The way in which a rung's name says that groups are treated alike; None if it says none."""
    end = name.partition(START_MARK)[2]
    return next((method for method, word in MITIGATIONS.items() if word == end), None)


def sees_covariates(name: str) -> bool:
    """True for a rung that sees clinical data, with images or alone."""
    return name == METADATA_ONLY or name.endswith(f"{START_MARK}{COVARIATES}")


def start_fault(start: Start, is_random: bool, reads_images: bool) -> str | None:
    """Reason why a rung cannot be changed so; None if it can."""
    if not start.changes_weights and start.control in (None, "shuffled-labels"):
        return None
    if start.control is not None:
        return None if reads_images else "reads no image that could be changed"
    if is_random or not reads_images:
        return "has no pre-trained weights to take a part of"
    return None
