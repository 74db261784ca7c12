"""Goals of a sample size, and the performance to expect."""

from dataclasses import dataclass, fields

from pydantic import ValidationError

from medtransfer.errors import ConfigError, fault_list
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.statistics.sample_size import POWER


@dataclass(frozen=True)
class SizeGoals:
    """Precision to reach: half widths of 95 % intervals, and a difference to show.

    Attributes:
        auroc: Of the AUROC.
        recall: Of sensitivity and specificity.
        slope: Of the calibration slope (Riley et al. 2021 propose 0.1).
        observed_expected: Of observed over expected positives (Riley et al. propose 0.1).
        net_benefit: Of the standardised net benefit.
        difference: Difference between the AUROCs of two rungs.
        power: Share of studies that show the difference.
    """

    auroc: float = 0.03
    recall: float = 0.05
    slope: float = 0.1
    observed_expected: float = 0.1
    net_benefit: float = 0.1
    difference: float = 0.03
    power: float = POWER


@dataclass(frozen=True)
class ExpectedPerformance:
    """Performance to expect; what a predictions table shows need not be given.

    Attributes:
        prevalence: Share of positive cases.
        auroc: AUROC of the weaker of two rungs.
        sensitivity: At the operating point; without a table also at the threshold.
        specificity: The same.
        threshold: Probability from which cases are called positive, for the net benefit.
        correlation: Of the AUROCs of two rungs on the same cases.
        cases_per_patient: Mean number of cases of a patient.
        design_effect: Variance with patients as clusters over that with independent cases.
    """

    prevalence: float | None = None
    auroc: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    threshold: float | None = None
    correlation: float = 0.5
    cases_per_patient: float = 1.0
    design_effect: float = 1.0


def require_sizes(
    expected: ExpectedPerformance, goals: SizeGoals, point: str, *, has_table: bool
) -> None:
    """Check ranges and what is needed.

    Raises:
        ConfigError: With all faults.
    """
    faults: list[str] = []
    for name in ("prevalence", "auroc"):
        if getattr(expected, name) is None and not has_table:
            faults.append(f"{name} is missing: give it, or a predictions table to measure it")
    for field in fields(goals):
        value = getattr(goals, field.name)
        if not 0 < value < 1:
            faults.append(f"the goal for {field.name} is {value:g} (allowed: over 0 and under 1)")
    for name, low, high, open_ends in (
        ("prevalence", 0, 1, True),
        ("auroc", 0.5, 1, True),
        ("threshold", 0, 1, True),
        ("sensitivity", 0, 1, False),
        ("specificity", 0, 1, False),
        ("correlation", 0, 1, False),
    ):
        value = getattr(expected, name)
        if value is None:
            continue
        if not (low < value < high or (not open_ends and value in (low, high))):
            ends = "over {} and under {}" if open_ends else "{} to {}"
            faults.append(f"{name} is {value:g} (allowed: {ends.format(low, high)})")
    try:
        EvaluationConfig(operating_points=(point,))
    except ValidationError:
        faults.append(f"'{point}' is no operating point (allowed: as sens90, spec80, youden)")
    for name in ("cases_per_patient", "design_effect"):
        if not getattr(expected, name) >= 1:
            faults.append(f"{name} is {getattr(expected, name):g} (allowed: at least 1)")
    if faults:
        raise ConfigError(fault_list("The sample size cannot be computed", faults, ""))
