"""Goals of a sample size, and the performance to expect."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import nextafter
from sys import float_info

from pydantic import ValidationError

from medtransfer.errors import ConfigError, fault_list
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.statistics.sample_size import POWER

PATIENTS_ALONE = (
    "Sizes allow for the sampling of patients alone: training again with another seed adds "
    "variance that they leave out."
)


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
        power: Probability that a study shows the difference.
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
    """Performance to expect. What is not given is measured on the predictions table.

    Attributes:
        prevalence: Share of positive cases.
        auroc: AUROC of the weaker of two rungs.
        sensitivity: At the operating point; without a table also at the threshold.
        specificity: The same.
        threshold: Probability from which cases are called positive, for the net benefit.
        correlation: Of the AUROCs of two rungs on the same cases; 0.5 without a table, which
            measures it.
        cases_per_patient: Mean number of cases of a patient; 1 without a table.
        design_effect: Variance with patients as clusters over that with independent cases; 1
            without a table.
    """

    prevalence: float | None = None
    auroc: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    threshold: float | None = None
    correlation: float | None = None
    cases_per_patient: float | None = None
    design_effect: float | None = None

    def completed(self, values: Mapping[str, float]) -> "ExpectedPerformance":
        """The same with values for what is not given."""
        missing = {name: v for name, v in values.items() if getattr(self, name) is None}
        return replace(self, **missing)


_LEAST, _MOST = nextafter(0, 1), nextafter(1, 0)
RANGES = {
    "prevalence": (_LEAST, _MOST, "over 0 and under 1"),
    "auroc": (nextafter(0.5, 1), _MOST, "over 0.5 and under 1"),
    "threshold": (_LEAST, _MOST, "over 0 and under 1"),
    "sensitivity": (0, 1, "0 to 1"),
    "specificity": (0, 1, "0 to 1"),
    "correlation": (0, 1, "0 to 1"),
    "cases_per_patient": (1, float_info.max, "at least 1"),
    "design_effect": (1, float_info.max, "at least 1"),
}
"""Least and largest value of each assumption, and both in words."""


def require_sizes(
    expected: ExpectedPerformance,
    goals: SizeGoals,
    point: str,
    *,
    table_options: Mapping[str, object],
    has_table: bool,
) -> None:
    """Check ranges, what is needed, and what would have no effect.

    Args:
        expected: Performance to expect.
        goals: Precision to reach.
        point: Operating point.
        table_options: Options that only a table has a use for, by name; None if not given.
        has_table: True if there is a predictions table.

    Raises:
        ConfigError: With all faults.
    """
    faults: list[str] = []
    if has_table:
        if expected.correlation is not None:
            faults.append("correlation is measured on the predictions table: leave it out")
    else:
        faults += [
            f"{name} is missing: give it, or a predictions table to measure it"
            for name in ("prevalence", "auroc")
            if getattr(expected, name) is None
        ]
        faults += [
            f"{name} needs a predictions table: give one, or leave it out"
            for name, value in table_options.items()
            if value
        ]
    for field in fields(goals):
        value = getattr(goals, field.name)
        if not 0 < value < 1:
            faults.append(f"the goal for {field.name} is {value:g} (allowed: over 0 and under 1)")
    for name, (low, high, allowed) in RANGES.items():
        value = getattr(expected, name)
        if value is not None and not low <= value <= high:
            faults.append(f"{name} is {value:g} (allowed: {allowed})")
    try:
        EvaluationConfig(operating_points=(point,))
    except ValidationError:
        faults.append(f"'{point}' is no operating point (allowed: as sens90, spec80, youden)")
    if faults:
        raise ConfigError(fault_list("The sample size cannot be computed", faults, ""))


def assumption_notes(expected: ExpectedPerformance) -> tuple[str, ...]:
    """Sentences on what sizes without a predictions table assume."""
    clusters = (
        f"Assumed: cases per patient {expected.cases_per_patient:g}, "
        f"design effect {expected.design_effect:g}, "
    )
    notes = (
        f"{clusters}correlation {expected.correlation:g} between two rungs.",
        PATIENTS_ALONE,
    )
    if expected.sensitivity is None or expected.specificity is None:
        return (*notes, "Sizes for sensitivity and specificity need an expected value of each.")
    return notes
