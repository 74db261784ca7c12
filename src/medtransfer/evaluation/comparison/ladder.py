"""From the runs of a ladder to its tables: results, means over seeds, comparisons."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import TableError, plural
from medtransfer.evaluation.comparison.answered import (
    Answered,
    answered_once,
    others,
    restricted,
    shared_cases,
)
from medtransfer.evaluation.comparison.cells.released import released
from medtransfer.evaluation.comparison.cells.tables import CellTables, curve_tables, summary_table
from medtransfer.evaluation.comparison.curves import Line, LineKey, line_frames, run_lines
from medtransfer.evaluation.comparison.differences import Pairing, comparisons
from medtransfer.evaluation.comparison.grid_key import GridKey, ensemble_parts
from medtransfer.evaluation.comparison.label_savings import curve_areas, saving_results
from medtransfer.evaluation.comparison.scaling import RungFacts, robustness_results, scale_results
from medtransfer.evaluation.comparison.seed_means import Mean, MeanOfSeeds
from medtransfer.evaluation.kept.estimates import KeptEstimates
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run, results_of
from medtransfer.tables.results import Curve, comparisons_frame


@dataclass(frozen=True)
class LadderRun:
    """A finished run with its place in the ladder.

    Attributes:
        run_id: Its name.
        key: Rung and training set.
        seed: Of its training; None for an ensemble of seeds.
        predictions: Reads its predictions table.
        results: Reads its results table, if it was scored already.
    """

    run_id: str
    key: GridKey
    seed: int | None
    predictions: Callable[[], pl.DataFrame]
    results: Callable[[], pl.DataFrame] | None = None


@dataclass(frozen=True)
class LadderTables:
    """Tables of a ladder.

    Attributes:
        results: Every number, of runs and of means over seeds.
        comparisons: Differences from the reference rung.
        curves: By kind.
        means: The rungs' means, from which differences and summaries were made.
        notes: What was left out where runs answered different cases, in sentences.
    """

    results: pl.DataFrame
    comparisons: pl.DataFrame
    curves: dict[Curve, pl.DataFrame]
    means: tuple[Mean, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RungRuns:
    """The runs of one rung and training set.

    Attributes:
        runs: One per seed.
        answered: Test cases of each.
        mean: Mean over the seeds, on the test cases that all of them answered.
    """

    runs: tuple[LadderRun, ...]
    answered: tuple[Answered, ...]
    mean: Mean

    @property
    def shared(self) -> Answered:
        """Test cases that all seeds answered."""
        return shared_cases(self.answered) or self.answered[0]


@dataclass(frozen=True)
class Scorer:
    """Settings that runs are scored with.

    Attributes:
        attributes: `case_id` and the attributes to report by.
        task: How the targets relate to each other.
        config: Intervals, operating points, smallest group size.
        kept: Estimates of runs that were measured before; None to measure them all.
    """

    attributes: pl.DataFrame
    task: Task
    config: EvaluationConfig
    kept: KeptEstimates | None = None

    def measure(self, predictions: pl.DataFrame) -> MeasuredRun:
        """Measure a run on all of its test cases, if it was not before."""
        if self.kept is None:
            return self._measured(predictions)
        measure = self.kept.measuring(predictions, self.attributes, self.task)
        return measure_run(predictions, self.attributes, self.task, self.config, measure)

    def _measured(self, predictions: pl.DataFrame) -> MeasuredRun:
        return measure_run(predictions, self.attributes, self.task, self.config)

    def mean(self, rung: RungRuns, cases: Answered) -> Mean | None:
        """Mean of a rung's runs on some of their test cases; None without a case."""
        if not len(cases):
            return None
        mean = MeanOfSeeds(rung.mean.key, self.config)
        for run in rung.runs:
            some = restricted(run.predictions(), cases)
            mean.add(self._measured(some), run.seed or 0)
        return mean.mean()


@dataclass(frozen=True)
class MeasuredLadder:
    """Measured runs of a ladder.

    Attributes:
        rungs: Their runs and means, without replicates that are not asked for any more.
        tables: Of the runs and means.
    """

    rungs: list[RungRuns] = field(default_factory=list[RungRuns])
    tables: CellTables = field(default_factory=CellTables)

    def add(self, rung: RungRuns, *, is_largest: bool) -> None:
        """Sum a rung up; of its mean stays what is asked for together with other rungs.

        Args:
            rung: Its runs and mean.
            is_largest: True if no rung of the same setting has a larger label fraction.
        """
        self.tables.add_mean(rung.mean)
        self.rungs.append(replace(rung, mean=released(rung.mean, is_largest=is_largest)))


def compare_runs(
    runs: Sequence[LadderRun],
    attributes: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
    *,
    reference: str,
    facts: Sequence[RungFacts] = (),
    ensembles: Sequence[LadderRun] = (),
    kept: KeptEstimates | None = None,
    on_run: Callable[[int, int], None] = lambda _done, _total: None,
) -> LadderTables:
    """Measure every run and sum the ladder up.

    An ensemble of the seeds of a rung is compared with that rung alone, and is in no interval that
    holds for the whole ladder: what is said of the rungs is the same with ensembles and without.

    Args:
        runs: In the order of their rungs.
        attributes: `case_id` and the attributes to report by.
        task: How the targets relate to each other.
        config: Intervals, operating points, smallest group size.
        reference: The rung that others are compared with.
        facts: Of the rungs whose scale is known.
        ensembles: Of the seeds of these rungs.
        kept: Estimates of runs that were measured before; None to measure them all.
        on_run: Called with the number of runs done, and of all runs.

    Raises:
        TableError: Runs of one rung share no test case.
    """
    scorer = Scorer(attributes, task, config, kept)
    ladder = measure_ladder(runs, scorer, on_run)
    together = measure_ladder(ensembles, scorer, lambda _done, _total: None)
    means = [rung.mean for rung in ladder.rungs]
    all_means = [*means, *(rung.mean for rung in together.rungs)]
    alike = _on_cases_of_all(ladder.rungs, scorer)
    frames = [
        *ladder.tables.results,
        *together.tables.results,
        *ladder.tables.summaries,
        *together.tables.summaries,
        *(
            summary_table([row], key)
            for key, row in (
                *saving_results(alike, reference, config.seed),
                *curve_areas(alike, config.seed),
                *robustness_results(alike),
                *scale_results(alike, facts, config.seed),
            )
        ),
    ]
    return LadderTables(
        results=pl.concat(frames),
        comparisons=pl.concat(
            [
                _differences(ladder.rungs, reference, scorer),
                *_ensemble_differences(ladder.rungs, together.rungs, scorer),
            ]
        ),
        curves=curve_tables([ladder.tables, together.tables], all_means),
        means=tuple(means),
        notes=tuple(_left_out(ladder.rungs, reference)),
    )


def measure_ladder(
    runs: Sequence[LadderRun], scorer: Scorer, on_run: Callable[[int, int], None]
) -> MeasuredLadder:
    """Measure every run, one rung after the other; arguments as for `compare_runs`."""
    groups: dict[GridKey, list[LadderRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed or 0):  # seeds are paired by position
        groups.setdefault(run.key, []).append(run)
    ladder = MeasuredLadder()
    largest = _largest_fractions(groups)
    seen: list[Answered] = []
    for key in dict.fromkeys(run.key for run in runs):
        mean = MeanOfSeeds(key, scorer.config)
        lines: list[dict[LineKey, Line]] = []
        tested: list[Answered] = []
        for run in groups[key]:
            on_run(len(ladder.tables.results), len(runs))
            predictions = run.predictions()
            measured = scorer.measure(predictions)
            results = run.results() if run.results else results_of(measured, scorer.config)
            ladder.tables.add_run(results, key, run.seed)
            lines.append(run_lines(measured))
            tested.append(answered_once(predictions, seen))
            mean.add(measured, run.seed or 0)
        ladder.tables.add_curves(line_frames(key, lines))
        rung = RungRuns(tuple(groups[key]), tuple(tested), mean.mean())
        is_largest = key.label_fraction == largest[_setting(key)]
        ladder.add(_on_shared_cases(rung, scorer), is_largest=is_largest)
    on_run(len(runs), len(runs))
    return ladder


def _setting(key: GridKey) -> tuple[str | None, float | None]:
    """Setting of a training set: summaries over several rungs are of one."""
    return key.held_out, key.retrain_fraction


def _largest_fractions(
    keys: Iterable[GridKey],
) -> dict[tuple[str | None, float | None], float]:
    """Largest label fraction of each setting."""
    largest: dict[tuple[str | None, float | None], float] = {}
    for key in keys:
        setting = _setting(key)
        largest[setting] = max(largest.get(setting, 0.0), key.label_fraction)
    return largest


def _differences(rungs: Sequence[RungRuns], reference: str, scorer: Scorer) -> pl.DataFrame:
    """Comparisons table; in a leave-cohort-out study only of the cohort that was left out."""
    by_key = {rung.mean.key: rung for rung in rungs}

    def paired(mean: Mean, base: Mean) -> Pairing:
        return _paired(by_key[mean.key], by_key[base.key], scorer)

    means = [rung.mean for rung in rungs]
    rows = comparisons(means, reference, scorer.config, paired)
    held_out = pl.col("held_out")
    return comparisons_frame(rows).filter(held_out.is_null() | (pl.col("cohort") == held_out))


def _ensemble_differences(
    rungs: Sequence[RungRuns], ensembles: Sequence[RungRuns], scorer: Scorer
) -> Iterator[pl.DataFrame]:
    """Comparisons of each ensemble with the rung whose seeds it is made of."""
    by_key = {rung.mean.key: rung for rung in rungs}
    for ensemble in ensembles:
        rung, _ = ensemble_parts(ensemble.mean.key.rung)
        base = by_key.get(replace(ensemble.mean.key, rung=rung))
        if base is not None:
            yield _differences([base, ensemble], rung, scorer)


def _on_shared_cases(rung: RungRuns, scorer: Scorer) -> RungRuns:
    """A rung whose mean is of the test cases that all of its seeds answered.

    Raises:
        TableError: The seeds share no test case.
    """
    shared = shared_cases(rung.answered)
    if shared is None:
        return rung
    mean = scorer.mean(rung, shared)
    if mean is None:
        key = rung.mean.key
        raise TableError(
            f"The {len(rung.runs)} runs of rung '{key.rung}' share no test case, so they have no "
            "mean. Give each a rung of its own, or predict the same cases with all."
        )
    return replace(rung, mean=mean)


def _paired(rung: RungRuns, base: RungRuns, scorer: Scorer) -> Pairing:
    """Two rungs on the test cases that both answered."""
    shared = shared_cases([rung.shared, base.shared])
    if shared is None:
        return Pairing(rung.mean, base.mean, (rung.mean, base.mean))
    rest = (others(rung.shared, shared), others(base.shared, shared))
    return Pairing(
        scorer.mean(rung, shared),
        scorer.mean(base, shared),
        (rung.mean, base.mean),
        (scorer.mean(rung, rest[0]), scorer.mean(base, rest[1])),
    )


def _on_cases_of_all(rungs: Sequence[RungRuns], scorer: Scorer) -> list[Mean]:
    """Means for summaries over several rungs: on the test cases that all of them answered.

    Rungs trained without a cohort, or on a part of it, are tested on other cases by design: only
    those that share `held_out` and `retrain_fraction` are brought together.
    """
    settings: dict[tuple[str | None, float | None], list[RungRuns]] = {}
    for rung in rungs:
        settings.setdefault(_setting(rung.mean.key), []).append(rung)
    means: list[Mean] = []
    for of_setting in settings.values():
        shared = shared_cases([rung.shared for rung in of_setting])
        for rung in of_setting:
            mean = rung.mean if shared is None else scorer.mean(rung, shared)
            means += [] if mean is None else [mean]
    return means


def _left_out(rungs: Sequence[RungRuns], reference: str) -> Iterator[str]:
    """Sentences on test cases that some runs did not answer."""
    references = {r.mean.key.training: r for r in rungs if r.mean.key.rung == reference}
    for rung in rungs:
        name, base = rung.mean.key.rung, references.get(rung.mean.key.training)
        if shared_cases(rung.answered) is not None:
            most = max(len(cases) for cases in rung.answered)
            yield (
                f"The {len(rung.runs)} seeds of {name} answered different test cases: their mean "
                f"is of the {plural(len(rung.shared), 'case')} that all answered (of up to "
                f"{most:,})."
            )
        shared = None if base is None else shared_cases([rung.shared, base.shared])
        if base is None or shared is None:
            continue
        alone = [len(side.shared) - len(shared) for side in (rung, base)]
        total = len(shared) + sum(alone)
        silent = " and ".join(
            f"{side} did not answer {count:,} of {plural(total, 'test case')}"
            for side, count in zip((reference, name), alone, strict=True)
            if count
        )
        yield (
            f"{silent}: the two are compared on the {plural(len(shared), 'case')} that both "
            "answered."
        )
