"""Scoring settings. A change scores runs again; it trains nothing again."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from medtransfer.errors import listed, suggestion
from medtransfer.metrics.catalog import CATALOG
from medtransfer.metrics.decisions import risk_name
from medtransfer.metrics.metric import Metric
from medtransfer.settings import Settings, scoring, scoring_if_set
from medtransfer.statistics.bootstrap import Kind

Point = Annotated[
    str, Field(pattern=r"^(youden|recall([1-9]\d?)|(sens|spec)([1-9]\d?)(-sure|-mean)?)$")
]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Pair = tuple[str, str]
ALL_METRICS = "all"
CORE_METRICS = "core"
CORE = (
    "auroc",
    "auprc",
    "brier",
    "ece",
    "prevalence",
    "predicted_prevalence",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
)
"""Metrics that `core` stands for."""


class EvaluationConfig(Settings):
    """Intervals, operating points and the least group size."""

    operating_points: tuple[Point, ...] = scoring(("sens90",))
    """Fixed on the tuning split and carried to every cohort and group: `sens90` (90 %
    sensitivity), `spec80` (80 % specificity), `youden`, `recall5` (the 5 % highest are called).
    Guaranteed on patients like those of the tuning split: `sens90-sure` (in 95 % of tuning
    splits), `sens90-mean` (on average)."""
    decision_thresholds: tuple[Threshold, ...] = scoring((0.05, 0.1, 0.2, 0.3, 0.5))
    """Probabilities from which a clinician might act, rising: net benefit is reported at each, and
    decision curves run from the first to the last. Empty for none."""
    miss_cost: float | None = scoring(None, gt=0)
    """Cost of a missed positive, in false alarms, for the expected cost."""
    grades: tuple[str, ...] = scoring(())
    """Classes of a single-label task from the lowest grade to the highest, if they have an order
    (retinopathy, BI-RADS): weighted kappa and errors in grades are reported."""
    replicates: int = scoring(1000, ge=0, le=100_000)
    """Bootstrap replicates, by patient."""
    resample: Kind = scoring("patients")
    """Resampling of patients: `patients`, `stratified` by the targets they are positive for,
    `bayesian` weights, or `poisson` counts."""
    interval: Literal["percentile", "bca"] = scoring("percentile")
    """Kind of interval for metrics that chance does not push one way."""
    metrics: tuple[str, ...] = scoring_if_set((ALL_METRICS,))
    """Metrics that are computed: `all`, `core` (AUROC, AUPRC, Brier score, ECE, prevalence, and
    sensitivity, specificity, PPV and NPV at the operating points: a quarter of the time, for
    hundreds of thousands of cases), or names that `medtransfer metrics` lists, without `@…`."""
    permutations: int = scoring(1000, ge=0, le=100_000)
    """Permutations in the test of "no difference between groups"."""
    minimum_group: int = scoring(10, ge=1)
    """Groups of fewer cases are reported as counts only. A value that fewer patients have is not
    named: its cases are in one group of rare values. The report prints smaller counts as `<10`."""
    intersections: tuple[Pair, ...] = scoring(())
    """Pairs of attributes whose groups are crossed: `[[sex, age_band]]`."""
    group_thresholds: tuple[str, ...] = scoring_if_set(())
    """Attributes for whose groups the operating points are fixed apart too, on the tuning cases of
    each group: what that choice of policy would change is in `curves/group_thresholds.parquet`."""
    healthy_targets: tuple[str, ...] = scoring(())
    """Targets that mean "no finding": under-diagnosis is calling the ill healthy."""
    margin: float | None = scoring(None, gt=0, lt=1)
    """Difference in AUROC that would not matter: rungs are tested for being no worse than the
    reference by as much, and for being equal within it."""
    seed: int = scoring(0, ge=0)
    """Of replicates and permutations."""

    @field_validator("decision_thresholds")
    @classmethod
    def _rising(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in pairwise(thresholds)):
            raise ValueError(f"decision_thresholds do not rise: {listed(thresholds, 20)}")
        return thresholds

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        allowed = [ALL_METRICS, CORE_METRICS, *dict.fromkeys(_base(name) for name in CATALOG)]
        wrong = [name for name in names if name not in allowed]
        faults = [f"no metric is called '{n}'. {suggestion(n, allowed)}".rstrip() for n in wrong]
        if faults or not names:
            how = (
                "Name metrics without `@…`, as `medtransfer metrics` lists them, or say "
                f"{ALL_METRICS} or {CORE_METRICS}"
            )
            raise ValueError(" ".join([*faults, how]))
        return names

    def computes(self, metric: Metric) -> bool:
        """True if a metric of the catalogue is among those that are computed."""
        wanted = set(self.metrics)
        is_core = CORE_METRICS in wanted and _base(metric.name) in CORE
        return ALL_METRICS in wanted or is_core or _base(metric.name) in wanted

    @property
    def needs_fits(self) -> bool:
        """True if a metric needs calibrators or prediction sets, beside operating points."""
        return any(
            metric.calibrator is not None or metric.conformal is not None
            for metric in CATALOG.values()
            if self.computes(metric)
        )

    @property
    def risks(self) -> tuple[str, ...]:
        """Names of the decision thresholds, as ``risk10``."""
        return tuple(risk_name(threshold) for threshold in self.decision_thresholds)


def _base(name: str) -> str:
    """Name of a metric without its operating point or decision threshold."""
    return name.partition("@")[0]


def unknown_names(
    config: EvaluationConfig, targets: Sequence[str], attributes: Sequence[str]
) -> list[str]:
    """Names in the settings that are neither a target nor an attribute, a sentence each."""
    faults: list[str] = []
    for name in dict.fromkeys(name for pair in config.intersections for name in pair):
        if name not in attributes:
            hint = suggestion(name, attributes) or f"attributes: {listed(attributes) or 'none'}"
            faults.append(f"intersections names '{name}', which is no attribute. {hint}")
    for name in config.group_thresholds:
        if name not in attributes:
            hint = suggestion(name, attributes) or f"attributes: {listed(attributes) or 'none'}"
            faults.append(f"group_thresholds names '{name}', which is no attribute. {hint}")
    for name in config.healthy_targets:
        if name not in targets:
            hint = suggestion(name, targets) or f"targets: {listed(targets)}"
            faults.append(f"healthy_targets names '{name}', which is no target. {hint}")
    if config.grades and sorted(config.grades) != sorted(targets):
        faults.append(
            f"grades are {listed(config.grades, 20)}, but the targets are {listed(targets, 20)}: "
            "name every target once, from the lowest grade to the highest"
        )
    return faults
