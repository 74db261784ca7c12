"""Scoring settings. A change scores runs again; it trains nothing again."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field, field_validator

from medtransfer.errors import listed, suggestion
from medtransfer.metrics.catalog import CATALOG, SOFT_METRICS
from medtransfer.metrics.decisions import risk_name
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.metric import Metric
from medtransfer.settings import Settings, scoring, scoring_if_set
from medtransfer.statistics.bootstrap import Kind

Point = Annotated[
    str, Field(pattern=r"^(youden|recall([1-9]\d?)|(sens|spec)([1-9]\d?)(-sure|-mean)?)$")
]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Pair = tuple[str, str]
MissCost = float | dict[str, float | dict[str, float]]
"""Cost of a miss: of all targets, of each target or class, or of each class called instead."""
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
    miss_cost: MissCost | None = scoring(None)
    """Cost of a missed positive, in false alarms, for the expected cost: `20`, or of each target,
    `{melanoma: 20, nevus: 1}`. For the classes of a single-label task also by the class that is
    called instead: `{melanoma: {nevus: 20, keratosis: 5}}`; an error that is not named costs 1."""
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
    hundreds of thousands of cases), or names that `medtransfer metrics` lists, without `@…`. Those
    against shares of readers have to be named: `[all, brier_soft, nll_soft, ece_soft]`."""
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

    @field_validator("miss_cost", mode="before")
    @classmethod
    def _costs(cls, value: Any) -> Any:
        faults: list[str] = []
        costs = _read_costs("miss_cost", value, faults)
        if faults:
            raise ValueError("; ".join(faults))
        return costs

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        allowed = [ALL_METRICS, CORE_METRICS, *dict.fromkeys(map(_base, CATALOG)), *SOFT_METRICS]
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

    def cost_of_miss(self, target: str) -> float | None:
        """Cost of a missed positive of a target; None if it is not stated as one number."""
        if not isinstance(self.miss_cost, dict):
            return self.miss_cost
        cost = self.miss_cost.get(target)
        return None if isinstance(cost, dict) else cost

    def cost_table(self, classes: Sequence[str]) -> Floats | None:
        """Cost of each answer to a case of each class; None if costs are not stated by class.

        An error costs 1 unless another cost is stated, as a false alarm does.

        Args:
            classes: In the order of the table.

        Returns:
            True class by class called; 0 on the diagonal. [C, C]
        """
        if not isinstance(self.miss_cost, dict):
            return None
        table = 1.0 - np.eye(len(classes))
        for true, name in enumerate(classes):
            cost = self.miss_cost.get(name, 1.0)
            for called, other in enumerate(classes):
                if called != true:
                    table[true, called] = cost.get(other, 1.0) if isinstance(cost, dict) else cost
        return table

    @property
    def risks(self) -> tuple[str, ...]:
        """Names of the decision thresholds, as ``risk10``."""
        return tuple(risk_name(threshold) for threshold in self.decision_thresholds)


def _base(name: str) -> str:
    """Name of a metric without its operating point or decision threshold."""
    return name.partition("@")[0]


def _read_costs(setting: str, value: Any, faults: list[str]) -> MissCost | None:
    """Costs of misses as numbers; a sentence on each cell that is none joins `faults`."""
    if value is None or _is_cost(value, least=None):
        return value
    if not isinstance(value, dict) or not value:
        faults.append(f"{setting} is {value!r} (allowed: a number over 0, or one for each target)")
        return None
    costs: dict[str, float | dict[str, float]] = {}
    for name, cost in cast("dict[Any, Any]", value).items():  # any YAML
        if _is_cost(cost, least=None):
            costs[str(name)] = cost
        elif isinstance(cost, dict) and cost:
            by_class = cast("dict[Any, Any]", cost)
            faults += [
                f"{setting}.{name}.{called} is {amount!r} (allowed: 0 or a number over 0)"
                for called, amount in by_class.items()
                if not _is_cost(amount, least=0.0)
            ]
            costs[str(name)] = {str(called): amount for called, amount in by_class.items()}
        else:
            faults.append(
                f"{setting}.{name} is {cost!r} (allowed: a number over 0, or a number for each "
                "class called instead)"
            )
    return costs


def _is_cost(value: Any, *, least: float | None) -> bool:
    """True for a finite number from `least` on, or over 0 if there is none; not for yes and no."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        return False
    return value > 0 if least is None else value >= least


def _cost_faults(
    costs: MissCost | None, targets: Sequence[str], *, single_label: bool
) -> Iterator[str]:
    """Names in the costs that are no target, and tables of costs where no class can have one."""
    for name, cost in costs.items() if isinstance(costs, dict) else ():
        if name not in targets:
            hint = suggestion(name, targets) or f"targets: {listed(targets)}"
            yield f"miss_cost names '{name}', which is no target. {hint}"
        if not isinstance(cost, dict):
            continue
        if not single_label:
            yield (
                f"miss_cost.{name} is a table, which only a class of a single-label task can have: "
                "give one number"
            )
        for called in cost:
            if called == name:
                yield f"miss_cost.{name} names '{name}' itself: a correct answer costs nothing"
            elif called not in targets:
                hint = suggestion(called, targets) or f"targets: {listed(targets)}"
                yield f"miss_cost.{name} names '{called}', which is no target. {hint}"


def unknown_names(
    config: EvaluationConfig,
    targets: Sequence[str],
    attributes: Sequence[str],
    *,
    single_label: bool = False,
) -> list[str]:
    """Names in the settings that are neither a target nor an attribute, a sentence each.

    Args:
        config: The settings.
        targets: Of the task.
        attributes: To report by.
        single_label: True if the targets are classes.
    """
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
    faults += _cost_faults(config.miss_cost, targets, single_label=single_label)
    if config.grades and sorted(config.grades) != sorted(targets):
        faults.append(
            f"grades are {listed(config.grades, 20)}, but the targets are {listed(targets, 20)}: "
            "name every target once, from the lowest grade to the highest"
        )
    return faults
