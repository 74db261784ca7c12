"""Scoring settings. A change scores runs again; it trains nothing again."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from medtransfer.errors import listed, suggestion
from medtransfer.settings import Settings, scoring
from medtransfer.statistics.bootstrap import Kind

Point = Annotated[str, Field(pattern=r"^(youden|(sens|spec)([1-9]\d?))$")]
Pair = tuple[str, str]


class EvaluationConfig(Settings):
    """Intervals, operating points and the least group size."""

    operating_points: tuple[Point, ...] = scoring(("sens90",))
    """Fixed on the tuning split and carried to every cohort and group: `sens90` (90 %
    sensitivity), `spec80` (80 % specificity), `youden`."""
    replicates: int = scoring(1000, ge=0, le=100_000)
    """Bootstrap replicates, by patient."""
    resample: Kind = scoring("patients")
    """Resampling of patients: `patients`, `stratified` by the targets they are positive for,
    `bayesian` weights, or `poisson` counts."""
    interval: Literal["percentile", "bca"] = scoring("percentile")
    """Kind of interval for metrics that chance does not push one way."""
    permutations: int = scoring(1000, ge=0, le=100_000)
    """Permutations in the test of "no difference between groups"."""
    minimum_group: int = scoring(10, ge=1)
    """Groups of fewer cases are reported as counts only."""
    intersections: tuple[Pair, ...] = scoring(())
    """Pairs of attributes whose groups are crossed: `[[sex, age_band]]`."""
    healthy_targets: tuple[str, ...] = scoring(())
    """Targets that mean "no finding": under-diagnosis is calling the ill healthy."""
    margin: float | None = scoring(None, gt=0, lt=1)
    """Difference in AUROC that would not matter: rungs are tested for being no worse than the
    reference by as much, and for being equal within it."""
    seed: int = scoring(0, ge=0)
    """Of replicates and permutations."""


def unknown_names(
    config: EvaluationConfig, targets: Sequence[str], attributes: Sequence[str]
) -> list[str]:
    """Names in the settings that are neither a target nor an attribute, a sentence each."""
    faults: list[str] = []
    for name in dict.fromkeys(name for pair in config.intersections for name in pair):
        if name not in attributes:
            hint = suggestion(name, attributes) or f"attributes: {listed(attributes) or 'none'}"
            faults.append(f"intersections names '{name}', which is no attribute. {hint}")
    for name in config.healthy_targets:
        if name not in targets:
            hint = suggestion(name, targets) or f"targets: {listed(targets)}"
            faults.append(f"healthy_targets names '{name}', which is no target. {hint}")
    return faults
