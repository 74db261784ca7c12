"""Settings of a validation at another hospital."""

from typing import Annotated, Literal

from pydantic import Field

from medtransfer.posthoc.adaptation.arms import MIN_ISOTONIC, Arm
from medtransfer.settings import Settings, scoring

MARGIN = 0.05
"""Loss against the promise that counts as holding, unless the bundle or the user states another."""
JudgedMetric = Annotated[str, Field(pattern=r"^(auroc|(sensitivity|specificity)@[a-z0-9-]+)$")]


class ValidationConfig(Settings):
    """Judgement of a network at another hospital against what was promised."""

    margin: float = scoring(MARGIN, gt=0, lt=1)
    """Largest loss against the promise that still counts as holding, in each judged metric."""
    judged: tuple[JudgedMetric, ...] = scoring(())
    """Metrics that are judged: `auroc`, `sensitivity@<point>`, `specificity@<point>`. Empty for the
    three, at the first operating point."""
    fit_patients: int = scoring(100, ge=10)
    """Patients that a recalibration is fitted on, at most half of them; the others judge it."""
    arm: Arm | Literal["selected"] = scoring("selected")
    """Recalibration to judge; `selected` by cross-validation within the patients it is fitted on,
    new thresholds alone if that selects none."""
    min_isotonic: int = scoring(MIN_ISOTONIC, ge=1)
    """Positive and negative cases that the arm `isotonic` needs."""
    seed: int = scoring(0, ge=0)
    """Of the division of the patients and the folds of the cross-validation."""
