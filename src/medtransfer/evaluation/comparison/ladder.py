"""From the runs of a ladder to its tables: results, means over seeds, comparisons."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import plural
from medtransfer.evaluation.comparison.answered import others, shared_cases
from medtransfer.evaluation.comparison.cells.kept_cells import KeptCells, comparison_key
from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns
from medtransfer.evaluation.comparison.cells.measured import measure_ladder, setting_of_training
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun, RungRuns, RunScorer
from medtransfer.evaluation.comparison.cells.tables import curve_tables, summary_tables
from medtransfer.evaluation.comparison.differences import Pairing, comparisons
from medtransfer.evaluation.comparison.grid_key import ensemble_parts
from medtransfer.evaluation.comparison.label_savings import curve_areas, saving_results
from medtransfer.evaluation.comparison.scaling import RungFacts, robustness_results, scale_results
from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.tables.results import Curve, comparisons_frame

PLACE = "place"
"""Column with the place of a rung while comparisons are put in order."""


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


def compare_runs(
    runs: Sequence[LadderRun],
    attributes: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
    *,
    reference: str,
    facts: Sequence[RungFacts] = (),
    ensembles: Sequence[LadderRun] = (),
    kept: KeptRuns | None = None,
    cells: KeptCells | None = None,
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
        kept: Runs that were measured before; None to measure them all.
        cells: Cells that were summed up before; None to sum them all up.
        on_run: Called with the number of runs done, and of all runs.

    Raises:
        TableError: Runs of one rung share no test case.
    """
    scorer = RunScorer(attributes, task, config, kept, cells)
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
        *summary_tables(
            [
                *saving_results(alike, reference, config.seed),
                *curve_areas(alike, config.seed),
                *robustness_results(alike),
                *scale_results(alike, facts, config.seed),
            ]
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


def _differences(rungs: Sequence[RungRuns], reference: str, scorer: RunScorer) -> pl.DataFrame:
    """Comparisons table; in a leave-cohort-out study only of the cohort that was left out."""
    references = {r.mean.key.training: r for r in rungs if r.mean.key.rung == reference}
    frames = [comparisons_frame([]).with_columns(**{PLACE: pl.lit(0, pl.Int64)})]
    for training, base in references.items():
        compared = {
            rung.mean.key.rung.strip(): number
            for number, rung in enumerate(rungs)
            if rung.mean.key.training == training and rung.mean.key.rung != reference
        }
        if not compared:
            continue
        frame = _differences_of([rungs[number] for number in compared.values()], base, scorer)
        places = [compared[rung] for rung in frame["rung"].to_list()]
        frames.append(frame.with_columns(pl.Series(PLACE, places, dtype=pl.Int64)))
    in_order = pl.concat(frames).sort(PLACE, maintain_order=True).drop(PLACE)
    held_out = pl.col("held_out")
    return in_order.filter(held_out.is_null() | (pl.col("cohort") == held_out))


def _differences_of(rungs: Sequence[RungRuns], base: RungRuns, scorer: RunScorer) -> pl.DataFrame:
    """Comparisons of some rungs with the reference on one training set, as they were kept."""
    by_key = {rung.mean.key: rung for rung in (base, *rungs)}
    reference = base.mean.key.rung

    def paired(mean: Mean, of_base: Mean) -> Pairing:
        return _paired(by_key[mean.key], by_key[of_base.key], scorer)

    def compared() -> pl.DataFrame:
        means = [rung.mean for rung in by_key.values()]
        return comparisons_frame(comparisons(means, reference, scorer.config, paired))

    names = [rung.kept_as for rung in by_key.values() if rung.kept_as is not None]
    if scorer.cells is None or scorer.settings is None or len(names) < len(by_key):
        return compared()
    return scorer.cells.table(comparison_key(scorer.settings, reference, names), compared)


def _ensemble_differences(
    rungs: Sequence[RungRuns], ensembles: Sequence[RungRuns], scorer: RunScorer
) -> Iterator[pl.DataFrame]:
    """Comparisons of each ensemble with the rung whose seeds it is made of."""
    by_key = {rung.mean.key: rung for rung in rungs}
    for ensemble in ensembles:
        rung, _ = ensemble_parts(ensemble.mean.key.rung)
        base = by_key.get(replace(ensemble.mean.key, rung=rung))
        if base is not None:
            yield _differences([base, ensemble], rung, scorer)


def _paired(rung: RungRuns, base: RungRuns, scorer: RunScorer) -> Pairing:
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


def _on_cases_of_all(rungs: Sequence[RungRuns], scorer: RunScorer) -> list[Mean]:
    """Means for summaries over several rungs: on the test cases that all of them answered.

    Rungs trained without a cohort, or on a part of it, are tested on other cases by design: only
    those that share `held_out` and `retrain_fraction` are brought together.
    """
    settings: dict[tuple[str | None, float | None], list[RungRuns]] = {}
    for rung in rungs:
        settings.setdefault(setting_of_training(rung.mean.key), []).append(rung)
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
            "answered. All other numbers of each are of the cases that it answered itself."
        )
