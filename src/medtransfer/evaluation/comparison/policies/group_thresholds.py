"""Thresholds of each group against the one that all groups share.

Both are fixed on the tuning split, the first on its cases of the group alone. Which one is used is
a choice of policy: a group's own threshold gives it the sensitivity that was asked for, at another
number of false alarms, and treats two patients of the same probability differently.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.policies.paired_mean import paired_mean
from medtransfer.evaluation.comparison.policies.table import GroupThresholdRow
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.evaluation.scoring.test_set import test_set_replicates
from medtransfer.evaluation.scoring.tune_fit import TuneFit, cases_of_target, fit_on_tune
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.catalog import CATALOG
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.metrics.weighted import SubgroupMetrics, evaluate_replicates
from medtransfer.posthoc.risk_control import guarantee_of
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.statistics.small_samples import Patients
from medtransfer.tables.results import ALL
from medtransfer.tables.values.missing_words import UNKNOWN

METRICS = ("sensitivity", "specificity")
FEW = "fewer than {least} positive or negative tuning cases of the group: the shared threshold"


@dataclass(frozen=True, order=True)
class Place:
    """Subject of a row within a rung; fields as in the table."""

    cohort: str
    attribute: str
    group: str
    target: str
    point: str
    metric: str


@dataclass(frozen=True)
class _Pair:
    own: Estimate
    shared: Estimate
    note: str | None


def group_threshold_rows(
    runs: Sequence[LadderRun],
    attributes: pl.DataFrame,
    task: Task,
    evaluation: EvaluationConfig,
) -> list[GroupThresholdRow]:
    """Rows of the table: of each rung with most labels, mean over its seeds.

    Args:
        runs: Of any grid; those that were trained on another hospital again are left out.
        attributes: `case_id` and the attributes, as they are reported by.
        task: How the targets relate to each other.
        evaluation: Names the attributes; operating points, replicates, least group size.
    """
    plain = [run for run in runs if run.key.retrain_fraction is None]
    most = max((run.key.label_fraction for run in plain), default=1.0)
    groups: dict[GridKey, list[LadderRun]] = {}
    for run in plain:
        if run.key.label_fraction == most:
            groups.setdefault(run.key, []).append(run)
    rows: list[GroupThresholdRow] = []
    for key, of_rung in groups.items():
        measured = [_measure(run.predictions(), attributes, task, evaluation) for run in of_rung]
        for place in measured[0]:
            pairs = [pairs[place] for pairs in measured if place in pairs]
            if len(pairs) == len(measured):
                rows.append(_row(key, place, pairs))
    return rows


def own_thresholds(
    run: RunArrays, target: int, groups: pl.Series, point: str, least: int
) -> dict[str, float]:
    """Threshold of each group with enough tuning cases of both classes.

    Args:
        run: The predictions.
        target: Number of the target.
        groups: Group of each case. [N]
        point: Operating point.
        least: Positive and negative tuning cases that a group needs.
    """
    thresholds: dict[str, float] = {}
    tuned = run.tuned() & run.labelled(target)
    for group in groups.unique().sort().to_list():
        rows = tuned & (groups == group).to_numpy()
        truth = run.truth(target)[rows]
        if min(int(truth.sum()), int((1 - truth).sum())) < least:
            continue
        threshold = operating_threshold(truth, run.probabilities_of(target)[rows], point)
        if threshold is not None:
            thresholds[str(group)] = threshold
    return thresholds


def _measure(
    predictions: pl.DataFrame, attributes: pl.DataFrame, task: Task, config: EvaluationConfig
) -> dict[Place, _Pair]:
    run = run_arrays(predictions, task)
    fit = fit_on_tune(run, config.operating_points, thresholds_only=True)
    table = run.frame.join(attributes, on="case_id", how="left", maintain_order="left")
    pairs: dict[Place, _Pair] = {}
    for cohort, cases in run.test_cases().items():
        replicates = test_set_replicates(run, cohort, cases, config)
        for attribute in config.group_thresholds:
            groups = table[attribute].cast(pl.String).fill_null(UNKNOWN)
            for target in range(len(run.names)):
                for point in config.operating_points:
                    if not guarantee_of(point):
                        policy = _Policy(
                            run, fit, target, groups, point=point, least=config.minimum_group
                        )
                        pairs |= policy.pairs(cohort, attribute, cases, replicates)
    return pairs


class _Policy:
    """Decisions on one target at one operating point: at shared thresholds, and at own ones."""

    def __init__(
        self,
        run: RunArrays,
        fit: TuneFit,
        target: int,
        groups: pl.Series,
        *,
        point: str,
        least: int,
    ) -> None:
        self._run, self._target, self._groups, self._point = run, target, groups, point
        self._least = least
        self._shared = fit[target].thresholds.get(point)
        self._own = own_thresholds(run, target, groups, point, least)
        cases = cases_of_target(run, fit, target)
        self._cases = cases if isinstance(cases, TargetCases) else None

    def pairs(
        self, cohort: str, attribute: str, cases: Flags, replicates: Replicates
    ) -> dict[Place, _Pair]:
        """Both versions of every number of a test set, by its place."""
        if self._shared is None or self._cases is None:
            return {}
        run, shared = self._run, self._shared
        thresholds = self._groups.replace_strict(
            list(self._own), list(self._own.values()), default=shared, return_dtype=pl.Float64
        ).to_numpy()
        decided = run.probabilities_of(self._target) >= thresholds
        at_own = replace(self._cases, predicted_positive={self._point: decided})
        places = np.full(len(cases), -1, dtype=np.int32)
        places[cases] = replicates.patient
        pairs: dict[Place, _Pair] = {}
        inside = cases & run.labelled(self._target)
        names = self._groups.filter(pl.Series(inside)).unique().sort().to_list()
        for group in (ALL, *names):
            rows = inside if group == ALL else inside & (self._groups == group).to_numpy()
            for metric in METRICS:
                place = Place(
                    cohort=cohort,
                    attribute=attribute,
                    group=group,
                    target=run.names[self._target],
                    point=self._point,
                    metric=metric,
                )
                few = group not in self._own and group != ALL
                note = FEW.format(least=self._least) if few else None
                both = self._estimates(
                    (at_own, self._cases), rows, metric, places=places, replicates=replicates
                )
                pairs[place] = _Pair(both[0], both[1], note)
        return pairs

    def _estimates(
        self,
        versions: tuple[TargetCases, TargetCases],
        rows: Flags,
        metric: str,
        *,
        places: np.ndarray[tuple[int], np.dtype[np.int32]],
        replicates: Replicates,
    ) -> tuple[Estimate, Estimate]:
        """Estimates of a metric in some cases under both policies."""
        run, entry = self._run, CATALOG[f"{metric}@<point>"]
        cases = [version.take(rows) for version in versions]
        positives = int((cases[0].targets == 1).sum())
        blank = Estimate(None, int(rows.sum()), run.patients(rows), positives)
        side = positives if metric == "sensitivity" else len(cases[0]) - positives
        if side < self._least:
            reason = f"fewer than {self._least} cases of the class"
            return replace(blank, reason=reason), replace(blank, reason=reason)
        assert entry.of_target is not None  # noqa: S101 — both are metrics of targets
        bound = tuple(entry.of_target(version, self._point) for version in cases)
        subgroup = SubgroupMetrics(places[rows], bound)
        values = evaluate_replicates([subgroup], replicates.blocks())[0]
        supports = [Patients(c, run.patient[rows]).behind(entry, self._point) for c in cases]
        first, second = (
            replace(blank, values=value, support=support)
            for value, support in zip(values, supports, strict=True)
        )
        return first, second


def _row(key: GridKey, place: Place, pairs: Sequence[_Pair]) -> GroupThresholdRow:
    name = f"{place.metric}@{place.point}"
    result = ResultKey(place.cohort, place.attribute, place.group, place.target, name)
    paired = paired_mean([(pair.own, pair.shared) for pair in pairs], result)
    first = pairs[0].own
    reasons: Iterator[str] = (r for r in (pairs[0].note, paired.reason) if r)
    where: Mapping[str, str] = vars(place)
    return GroupThresholdRow(
        rung=key.rung,
        label_fraction=key.label_fraction,
        held_out=key.held_out,
        **where,
        shared=paired.other,
        own=paired.value,
        low=paired.low,
        high=paired.high,
        difference=paired.difference,
        difference_low=paired.difference_low,
        difference_high=paired.difference_high,
        num_seeds=len(pairs),
        num_cases=first.cases,
        num_patients=first.patients,
        num_positive=first.positives,
        reason="; ".join(reasons) or None,
        contains=paired.contains,
    )
