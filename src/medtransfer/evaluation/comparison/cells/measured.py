"""Cells of a ladder, measured one after the other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.answered import Answered, AnsweredSets, shared_cases
from medtransfer.evaluation.comparison.cells.cell import SummedCell
from medtransfer.evaluation.comparison.cells.kept_cells import cell_key
from medtransfer.evaluation.comparison.cells.released import released
from medtransfer.evaluation.comparison.cells.run_lines import Line, LineKey
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun, RungRuns, RunScorer
from medtransfer.evaluation.comparison.cells.tables import CellTables, cell_of, run_tables
from medtransfer.evaluation.comparison.curves import line_frames
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import MeanOfSeeds


@dataclass(frozen=True)
class MeasuredLadder:
    """Measured runs of a ladder.

    Attributes:
        rungs: Their runs and means, without replicates that are not asked for any more.
        tables: Of the runs and means.
    """

    rungs: list[RungRuns] = field(default_factory=list[RungRuns])
    tables: CellTables = field(default_factory=CellTables)

    def add(self, rung: RungRuns, cell: SummedCell) -> None:
        """Add a rung and its tables."""
        self.tables.add(cell)
        self.rungs.append(rung)


def measure_ladder(
    runs: Sequence[LadderRun], scorer: RunScorer, on_run: Callable[[int, int], None]
) -> MeasuredLadder:
    """Measure every run, one rung after the other; arguments as for `compare_runs`.

    Raises:
        TableError: Runs of one rung share no test case.
    """
    groups: dict[GridKey, list[LadderRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed or 0):  # seeds are paired by position
        groups.setdefault(run.key, []).append(run)
    ladder, done = MeasuredLadder(), 0
    largest = _largest_fractions(groups)
    sets = AnsweredSets()
    for key in dict.fromkeys(run.key for run in runs):
        of_key = groups[key]
        is_largest = key.label_fraction == largest[setting_of_training(key)]
        kept_as = _kept_name(of_key, scorer, is_largest=is_largest)
        cell = None if scorer.cells is None or kept_as is None else scorer.cells.find(kept_as, key)
        tested: list[Answered] = []
        measuring = None if cell is not None else CellInProgress(key, scorer)
        if cell is not None and scorer.kept is not None:
            scorer.kept.hold(cell.parts)
        for run in of_key:
            on_run(done + len(tested), len(runs))
            predictions = run.predictions()
            tested.append(sets.of(predictions))
            if measuring is not None:
                measuring.add(run, predictions)
        if measuring is not None:
            cell = measuring.cell(of_key, tested, is_largest=is_largest)
            if scorer.cells is not None and kept_as is not None:
                scorer.cells.keep(kept_as, cell)
        if cell is not None:
            ladder.add(RungRuns(tuple(of_key), tuple(tested), cell.mean, kept_as), cell)
        done += len(of_key)
    on_run(len(runs), len(runs))
    return ladder


class CellInProgress:
    """A cell whose runs are measured one after the other."""

    def __init__(self, key: GridKey, scorer: RunScorer) -> None:
        self.key, self.scorer = key, scorer
        self.mean = MeanOfSeeds(key, scorer.config)
        self.lines: list[dict[LineKey, Line]] = []
        self.results: list[tuple[pl.DataFrame, int | None]] = []
        self.parts: list[str] = []

    def add(self, run: LadderRun, predictions: pl.DataFrame) -> None:
        """Measure a run; its predictions are not kept."""
        part = self.scorer.part(predictions, with_results=run.results is None)
        results = part.results if run.results is None else run.results()
        if results is not None:
            self.results.append((results, run.seed))
        if part.kept_as is not None:
            self.parts.append(part.kept_as)
        self.lines.append(part.lines)
        self.mean.add_part(part.numbers, run.seed or 0)

    def cell(
        self, runs: Sequence[LadderRun], tested: Sequence[Answered], *, is_largest: bool
    ) -> SummedCell:
        """The cell of the runs so far, released.

        Args:
            runs: That were added.
            tested: Test cases of each.
            is_largest: True if no cell of the same setting has a larger label fraction.

        Raises:
            TableError: The runs share no test case.
        """
        rung = RungRuns(tuple(runs), tuple(tested), self.mean.mean())
        rung = _on_shared_cases(rung, self.scorer)
        results = run_tables(self.results, self.key)
        cell = cell_of(rung.mean, results, line_frames(self.key, self.lines))
        mean = released(cell.mean, is_largest=is_largest)
        return replace(cell, mean=mean, parts=tuple(self.parts))


def _kept_name(runs: Sequence[LadderRun], scorer: RunScorer, *, is_largest: bool) -> str | None:
    """Name of the cell of some runs among those that are kept; None if none is."""
    contents = [(run.run_id, run.seed, run.content) for run in runs if run.content is not None]
    if scorer.settings is None or len(contents) < len(runs):
        return None
    return cell_key(scorer.settings, runs[0].key, contents, is_largest=is_largest)


def setting_of_training(key: GridKey) -> tuple[str | None, float | None]:
    """Setting of a training set: summaries over several rungs are of one."""
    return key.held_out, key.retrain_fraction


def _largest_fractions(
    keys: Iterable[GridKey],
) -> dict[tuple[str | None, float | None], float]:
    """Largest label fraction of each setting."""
    largest: dict[tuple[str | None, float | None], float] = {}
    for key in keys:
        setting = setting_of_training(key)
        largest[setting] = max(largest.get(setting, 0.0), key.label_fraction)
    return largest


def _on_shared_cases(rung: RungRuns, scorer: RunScorer) -> RungRuns:
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
