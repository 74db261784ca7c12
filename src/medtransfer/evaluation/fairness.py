"""Whom a run serves worse: worst group and gap per attribute, with a permutation test."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.config import EvaluationConfig
from medtransfer.evaluation.fitted import Fitted, RunArrays
from medtransfer.evaluation.measure import (
    CASE,
    NO_INTERVAL,
    Key,
    Number,
    bindings,
    count_patients,
)
from medtransfer.metrics.bootstrap import Floats, Weighted
from medtransfer.metrics.catalog import Metric, find_metric
from medtransfer.metrics.groups import (
    gap,
    gap_interval,
    permutation_p,
    worst_group,
    worst_interval,
)
from medtransfer.seeds import generator
from medtransfer.tables.results import ALL, MACRO, Result

COMPARED = ("auroc", "balanced_accuracy", "accuracy", "ece", "sensitivity", "specificity")
"""Metrics, without their operating point, that groups are compared by."""
GAP, GAP_P, WORST = "_gap", "_gap_p", "_worst_group"
"""What is added to a metric's name: largest minus smallest, p-value of no gap, worst group."""

Numbers = dict[Key, Number]


def gap_results(
    run: RunArrays,
    fitted: Fitted,
    groups: pl.Series,
    numbers: dict[str, Numbers],
    *,
    cohort: str,
    config: EvaluationConfig,
) -> list[Result]:
    """Worst group, gap and its p-value for one attribute of one cohort.

    Args:
        run: The predictions.
        fitted: Thresholds and temperatures.
        groups: The attribute's value of each case; its name is the attribute's. [N]
        numbers: Every metric of each group.
        cohort: The place whose test cases are compared.
        config: Least group size, permutations.
    """
    here = run.places()[cohort]
    rows: list[Result] = []
    for key in compared_keys(run, numbers):
        metric = find_metric(key[1])
        sizes = {name: found[key].cases for name, found in numbers.items()}
        large = [
            name
            for name, found in numbers.items()
            if sizes[name] >= config.minimum_group and found[key].values is not None
        ]
        member = here & groups.is_in(large).fill_null(value=False).to_numpy()
        about = _About(run, cohort, groups.name, key[0], member)
        if len(large) < 2:
            rows += about.undefined(key[1], "fewer than two groups large enough")
            continue
        values = [v for name in large if (v := numbers[name][key].values) is not None]
        p = None
        bound = _overall(run, fitted, member, key, config)
        if bound is not None and config.permutations:
            codes = groups.filter(pl.Series(member)).cast(pl.Enum(large)).to_physical()
            p = permutation_p(
                bound,
                _patient_codes(run, member),
                codes.to_numpy().astype(np.int64),
                permutations=config.permutations,
                rng=generator(config.seed, "permutation", cohort, groups.name),
            )
        why = "a patient is in two groups, or a group has one class"
        why = why if config.permutations else "no permutations were asked for"
        rows += about.defined(key[1], metric, values, p if p is not None else why)
    return rows


def compared_keys(run: RunArrays, numbers: dict[str, Numbers]) -> list[Key]:
    """What groups are compared by: the mean over targets, the only target, or the case."""
    keys = dict.fromkeys(key for found in numbers.values() for key in found)
    overall = {MACRO, CASE} if len(run.names) > 1 else set(run.names)
    return [key for key in keys if key[0] in overall and key[1].split("@")[0] in COMPARED]


class _About:
    """What the rows of one comparison have in common."""

    def __init__(
        self, run: RunArrays, cohort: str, attribute: str, target: str, member: NDArray[np.bool_]
    ) -> None:
        self.run, self.cohort, self.attribute, self.target = run, cohort, attribute, target
        self.counts = int(member.sum()), count_patients(run, member)

    def row(
        self,
        metric: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        low, high = interval or (None, None)
        return Result(
            self.run.run_id, "test", self.cohort, self.target, metric, value, low, high,
            *self.counts, None, reason, self.attribute, ALL,
        )  # fmt: skip

    def undefined(self, metric: str, reason: str) -> list[Result]:
        return [self.row(metric + suffix, None, None, reason) for suffix in (WORST, GAP, GAP_P)]

    def defined(
        self, name: str, metric: Metric, values: list[Floats], p: float | str
    ) -> Iterator[Result]:
        better = metric.better == "higher"
        worst = worst_interval(values, higher_is_better=better, ends=(metric.low, metric.high))
        found = (
            (WORST, worst_group(values, higher_is_better=better)[0], worst),
            (GAP, gap(values)[0], gap_interval(values, metric.high - metric.low)),
        )
        for suffix, number, interval in found:
            missing = interval is None and len(values[0]) > 1
            yield self.row(name + suffix, float(number), interval, NO_INTERVAL if missing else None)
        value, reason = (None, p) if isinstance(p, str) else (p, None)
        yield self.row(name + GAP_P, value, None, reason)


def _overall(
    run: RunArrays,
    fitted: Fitted,
    cases: NDArray[np.bool_],
    key: Key,
    config: EvaluationConfig,
) -> Weighted | None:
    """A metric bound to all of some cases; for the mean over targets, to each of them."""
    parts: list[tuple[NDArray[np.bool_], Weighted]] = []
    for (target, name), _metric, rows, bound in bindings(run, fitted, cases, config):
        wanted = name == key[1] and (target == key[0] or (key[0] == MACRO and target in run.names))
        if wanted and not isinstance(bound, str):
            parts.append((rows[cases], bound))
    if not parts:
        return None

    def mean_of_parts(weights: Floats) -> Floats:
        return np.mean([bound(weights[:, rows]) for rows, bound in parts], axis=0)

    return mean_of_parts


def _patient_codes(run: RunArrays, cases: NDArray[np.bool_]) -> NDArray[np.int64]:
    patients = run.frame.filter(pl.Series(cases))["patient_id"].to_list()
    return np.unique(np.array(patients), return_inverse=True)[1].astype(np.int64).ravel()
