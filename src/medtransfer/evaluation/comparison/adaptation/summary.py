"""Rows of adaptation curves: means over draws and seeds, and differences from `carried`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from medtransfer.data.config import RetrainArm, Task
from medtransfer.errors import plural
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.curve import (
    ArmCurve,
    ArmEstimate,
    ArmKey,
    arm_curves,
    retrained_curve,
)
from medtransfer.evaluation.comparison.adaptation.table import AdaptRow, adapt_frame
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.pairs.intervals import paired_interval
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import ROUNDING, Estimate, MetricKey, ResultKey
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.statistics.contrasts import SeedTerm, contrast, seed_term, within_span
from medtransfer.tables.results import ALL

CARRIED = "carried"
NO_CHANGE = "no interval of the difference: the arm changes nothing here"


@dataclass(frozen=True)
class SeededEstimate:
    """A metric of an arm, mean over draws and seeds.

    Attributes:
        estimate: Mean, with its replicates over patients.
        by_seed: The value of each seed. [S]
        by_draw: The value of each draw, mean over seeds. [D]
        share: Patients of a draw over those of the pool; 0 for `carried`.
    """

    estimate: Estimate
    by_seed: Floats
    by_draw: Floats
    share: float = 0.0

    @property
    def is_drawn(self) -> bool:
        """True if the draws tell how another set of patients would differ."""
        return len(self.by_draw) > 1 and self.share < 1

    @property
    def draw_variance(self) -> float | None:
        """Variance between sets of patients of a draw's size; None if it is not known.

        Draws from one pool are alike where they overlap: two draws of a share f of it vary by
        1 - f of what two sets of new patients vary by, to first order.
        """
        return float(self.by_draw.var(ddof=1)) / (1 - self.share) if self.is_drawn else None

    @property
    def terms(self) -> list[SeedTerm | None]:
        """Parts of the variance of the draws and of the seeds; unknown parts are left out.

        The mean over the draws varies by that of a mean over the whole pool, f times the variance
        of a draw, and by that of D draws from it.
        """
        terms = [seed_term(self.by_seed)] if len(self.by_seed) > 1 else []
        if self.draw_variance is not None:
            draws = len(self.by_draw)
            factor = self.share + (1 - self.share) / draws
            terms.append(SeedTerm(self.draw_variance * factor, draws - 1))
        return terms

    @property
    def contains(self) -> str:
        """Random variation in the interval, in words."""
        extra = ["draws"] * self.is_drawn + ["seeds"] * (len(self.by_seed) > 1)
        return " and ".join(["patients", *extra]) if len(extra) < 2 else "patients, draws and seeds"


def adapt_table(
    runs: Sequence[LadderRun],
    task: Task,
    evaluation: EvaluationConfig,
    config: AdaptConfig,
    *,
    tested: Mapping[str, pl.Series] | None = None,
    features: Callable[[LadderRun], HomeFeatures | None] = lambda _run: None,
    on_run: Callable[[int, int], None] = lambda _done, _total: None,
) -> pl.DataFrame:
    """Adaptation curves of every rung at every shifted hospital.

    Args:
        runs: Runs of any grid; those trained with most labels count. Those that were trained on a
            hospital again are arms by the way in which they were.
        task: How the targets relate to each other.
        evaluation: Operating points, decision thresholds, replicates.
        config: Arms, numbers of patients, draws.
        tested: Hospital to the ids of its cases that test, where a division is given.
        features: Gives the features of a run's network at the shifted hospitals, for `probe`;
            None if they cannot be had.
        on_run: Called with the number of runs measured, and of all runs.
    """
    chosen = [run for run in runs if run.key.retrain_fraction is None]
    most = max((run.key.label_fraction for run in chosen), default=1.0)
    groups: dict[GridKey, list[LadderRun]] = {}
    for run in sorted(chosen, key=lambda run: run.seed or 0):
        if run.key.label_fraction == most:
            groups.setdefault(run.key, []).append(run)
    rows: list[AdaptRow] = []
    done, total = 0, sum(len(of_rung) for of_rung in groups.values())
    for key, of_rung in groups.items():
        curves: list[dict[ArmKey, ArmCurve]] = []
        for run in of_rung:
            values = features(run) if "probe" in config.arms else None
            predictions = run.predictions()
            measured = arm_curves(
                predictions,
                task,
                evaluation,
                config,
                tested or {},
                features=() if values is None else (values,),
            )
            curves.append({curve.key: curve for curve in measured})
            done += 1
            on_run(done, total)
        rows += arm_rows(key, curves, config)
        by_seed = {run.seed: of_run for run, of_run in zip(of_rung, curves, strict=True)}
        rows += retrained_rows(key, by_seed, runs, task, evaluation)
    return adapt_frame(rows)


def arm_rows(
    key: GridKey, by_seed: Sequence[Mapping[ArmKey, ArmCurve]], config: AdaptConfig
) -> Iterator[AdaptRow]:
    """Rows of one rung.

    Args:
        key: The rung and its training set.
        by_seed: Curves of each of its runs.
        config: Numbers of patients that were asked for.
    """
    for arm_key, first in by_seed[0].items():
        of_seeds = [curves[arm_key] for curves in by_seed if arm_key in curves]
        carried = [curves[ArmKey(arm_key.cohort, CARRIED, 0)] for curves in by_seed]
        for metric_key in first.estimates:
            draft = _draft(key, first, metric_key, config)
            yield _row(draft, metric_key, of_seeds, carried)
    for cohort, pool in {k.cohort: c.pool_patients for k, c in by_seed[0].items()}.items():
        yield from _out_of_reach(key, by_seed[0], cohort, pool=pool, config=config)


def retrained_rows(
    key: GridKey,
    by_seed: Mapping[int | None, Mapping[ArmKey, ArmCurve]],
    runs: Sequence[LadderRun],
    task: Task,
    evaluation: EvaluationConfig,
) -> Iterator[AdaptRow]:
    """Rows of a rung's runs that were trained on a hospital again, beside its arms.

    They are paired with the run of the same seed that was not. Each seed draws patients of its own.

    Args:
        key: The rung and its training set, without the hospital.
        by_seed: Curves of each of its runs that were not trained again, by seed.
        runs: Of any grid.
        task: How the targets relate to each other.
        evaluation: Operating points, decision thresholds, replicates.
    """
    groups: dict[tuple[RetrainArm, str, float], list[LadderRun]] = {}
    for run in sorted(runs, key=lambda run: (run.key.retrain_fraction or 0.0, run.seed or 0)):
        place = run.key
        same = (place.rung, place.label_fraction) == (key.rung, key.label_fraction)
        if same and place.retrain_fraction and place.held_out and run.seed in by_seed:
            group = place.arm, place.held_out, place.retrain_fraction
            groups.setdefault(group, []).append(run)
    for (arm, cohort, fraction), of_fraction in groups.items():
        start = ArmKey(cohort, CARRIED, 0)
        pairs = [
            (run, by_seed[run.seed][start]) for run in of_fraction if start in by_seed[run.seed]
        ]
        if key.held_out not in (None, cohort) or not pairs:
            continue
        carried = [curve for _, curve in pairs]
        patients = round(fraction * carried[0].pool_patients)
        curves = [
            retrained_curve(run.predictions(), task, evaluation, curve, patients, arm=arm)
            for run, curve in pairs
        ]
        for metric_key in curves[0].estimates:
            draft = replace(_draft(key, curves[0], metric_key, AdaptConfig()), draws=1)
            yield _row(draft, metric_key, curves, carried)


def _draft(key: GridKey, curve: ArmCurve, metric_key: MetricKey, config: AdaptConfig) -> AdaptRow:
    """A row without its numbers."""
    return AdaptRow(
        rung=key.rung,
        label_fraction=key.label_fraction,
        held_out=key.held_out,
        cohort=curve.key.cohort,
        target=metric_key.target,
        arm=curve.key.arm,
        patients=curve.key.patients,
        metric=metric_key.metric,
        value=None,
        positives=curve.positives.get(metric_key.target),
        draws=config.draws if curve.key.patients else 0,
        not_fitted=curve.not_fitted.get(metric_key.target, max(curve.not_fitted.values())),
        pool_patients=curve.pool_patients,
    )


def _row(
    draft: AdaptRow,
    key: MetricKey,
    curves: Sequence[ArmCurve],
    carried: Sequence[ArmCurve],
) -> AdaptRow:
    share = draft.patients / draft.pool_patients
    seeded = replace(_over_seeds([curve.estimates[key] for curve in curves]), share=share)
    estimate = seeded.estimate
    draft = replace(
        draft,
        num_cases=estimate.cases,
        num_patients=estimate.patients,
        num_positive=estimate.positives,
        reason=estimate.reason,
    )
    of_curves = [curve.reasons for curve in curves if curve.reasons]
    # a mean over targets, or a class, is as little fitted as the classes together
    own = next((reasons[key.target] for reasons in of_curves if key.target in reasons), None)
    not_fitted = own or next((reason for r in of_curves for reason in r.values()), None)
    if draft.draws and draft.not_fitted == draft.draws:
        return replace(draft, reason=not_fitted)
    if estimate.values is None:
        return draft
    result = estimate.as_result(ResultKey(draft.cohort, ALL, ALL, key.target, key.metric))
    entry = find_metric(key.metric)
    draft = replace(draft, value=result.value, draw_sd=_deviation(seeded), reason=result.reason)
    if result.value is not None and result.low is not None and result.high is not None:
        both = contrast(result.value, (result.low, result.high), seeded.terms)
        low, high = max(entry.low, both.low), min(entry.high, both.high)
        draft = replace(draft, low=low, high=high, contains=seeded.contains)
    if draft.not_fitted:
        counted = f"{plural(draft.not_fitted, 'draw')} of {draft.draws} as carried: {not_fitted}"
        draft = replace(draft, reason="; ".join(r for r in (counted, draft.reason) if r))
    if draft.arm == CARRIED:
        return draft
    return _with_difference(draft, key, seeded, [curve.estimates[key] for curve in carried])


def _with_difference(
    row: AdaptRow, key: MetricKey, seeded: SeededEstimate, carried: Sequence[ArmEstimate]
) -> AdaptRow:
    """A row with its paired difference from `carried`, seed by seed on the same test patients."""
    start = _over_seeds(carried)
    adapted, before = seeded.estimate, start.estimate
    if adapted.values is None or before.values is None:
        return row
    if float(np.nanmax(np.abs(adapted.values - before.values))) < ROUNDING:
        reason = "; ".join(r for r in (row.reason, NO_CHANGE) if r)
        return replace(row, difference=0.0, reason=reason)
    value = float(adapted.values[0] - before.values[0])
    interval, _ = paired_interval(adapted, before, key.metric)
    row = replace(row, difference=value)
    if interval is None:
        return row
    differences = SeededEstimate(
        adapted,
        seeded.by_seed - start.by_seed,
        seeded.by_draw,
        share=row.patients / row.pool_patients,
    )
    both = contrast(value, interval, differences.terms)
    low, high = within_span(both.low, both.high, find_metric(key.metric).span)
    return replace(row, difference_low=low, difference_high=high)


def _over_seeds(estimates: Sequence[ArmEstimate]) -> SeededEstimate:
    """The mean over seeds; undefined where it is undefined for one."""
    first = next((e for e in estimates if e.estimate.values is None), estimates[0])
    if first.estimate.values is None:
        return SeededEstimate(first.estimate, np.zeros(0), np.zeros(0))
    values = np.stack([e.estimate.values for e in estimates if e.estimate.values is not None])
    mean = replace(first.estimate, values=values.mean(axis=0))
    by_draw = np.mean([e.by_draw for e in estimates], axis=0)
    return SeededEstimate(mean, values[:, 0], by_draw)


def _deviation(seeded: SeededEstimate) -> float | None:
    """Standard deviation between sets of patients; None if it is not known."""
    return None if seeded.draw_variance is None else seeded.draw_variance**0.5


def _out_of_reach(
    key: GridKey,
    curves: Mapping[ArmKey, ArmCurve],
    cohort: str,
    *,
    pool: int,
    config: AdaptConfig,
) -> Iterator[AdaptRow]:
    """Rows of numbers of patients that the hospital does not have: no value, but the reason."""
    carried = curves[ArmKey(cohort, CARRIED, 0)]
    for size in (size for size in config.patients if size > pool):
        reason = f"{plural(size, 'patient')} asked for, {pool:,} to draw from"
        for metric_key in carried.estimates:
            draft = replace(
                _draft(key, carried, metric_key, config), arm="selected", patients=size, draws=0
            )
            yield replace(draft, reason=reason)
