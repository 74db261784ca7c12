"""Runs of a ladder, the runs of one rung on one training set, and how they are scored."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.answered import Answered, restricted, shared_cases
from medtransfer.evaluation.comparison.cells.cell_part import CellPart, cell_part
from medtransfer.evaluation.comparison.cells.kept_cells import KeptCells
from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import Mean, MeanOfSeeds
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run
from medtransfer.evaluation.scoring.test_set import SharedGroups


@dataclass(frozen=True)
class LadderRun:
    """A finished run with its place in the ladder.

    Attributes:
        run_id: Its name.
        key: Rung and training set.
        seed: Of its training; None for an ensemble of seeds.
        predictions: Reads its predictions table.
        results: Reads its results table, if it was scored already.
        content: Digest of what predictions and results are made from; None if it is not known.
    """

    run_id: str
    key: GridKey
    seed: int | None
    predictions: Callable[[], pl.DataFrame]
    results: Callable[[], pl.DataFrame] | None = None
    content: str | None = None


@dataclass(frozen=True)
class RungRuns:
    """The runs of one rung and training set.

    Attributes:
        runs: One per seed.
        answered: Test cases of each.
        mean: Mean over the seeds, on the test cases that all of them answered.
        kept_as: Name of the cell among those that are kept; None if it has none.
    """

    runs: tuple[LadderRun, ...]
    answered: tuple[Answered, ...]
    mean: Mean
    kept_as: str | None = None

    @property
    def shared(self) -> Answered:
        """Test cases that all seeds answered."""
        return shared_cases(self.answered) or self.answered[0]


@dataclass(frozen=True)
class RunScorer:
    """Settings that runs are scored with.

    Attributes:
        attributes: `case_id` and the attributes to report by.
        task: How the targets relate to each other.
        config: Intervals, operating points, smallest group size.
        kept: Runs that were measured before; None to measure them all.
        cells: Cells that were summed up before; None to sum them all up.
    """

    attributes: pl.DataFrame
    task: Task
    config: EvaluationConfig
    kept: KeptRuns | None = None
    cells: KeptCells | None = None

    @cached_property
    def settings(self) -> str | None:
        """Digest of what all cells share; None if none are kept."""
        if self.cells is None:
            return None
        return self.cells.settings(self.attributes, self.task, self.config)

    def part(self, predictions: pl.DataFrame, *, with_results: bool) -> CellPart:
        """Part of a run, on all of its test cases, measured if it was not before.

        Args:
            predictions: Of the run.
            with_results: With its results table.
        """
        measure = self._measuring(predictions)
        if self.kept is None:
            return cell_part(measure(), self.config, with_results=with_results)
        key = self.kept.key(predictions, self.attributes, self.task, self.config)
        part = self.kept.part(key, measure, self.config, with_results=with_results)
        return replace(part, kept_as=key)

    def _measuring(self, predictions: pl.DataFrame) -> Callable[[], MeasuredRun]:
        """`measure_run` of a run."""
        find = self._groups.find
        return partial(
            measure_run, predictions, self.attributes, self.task, self.config, find_groups=find
        )

    @cached_property
    def _groups(self) -> SharedGroups:
        return SharedGroups()

    def mean(self, rung: RungRuns, cases: Answered) -> Mean | None:
        """Mean of a rung's runs on some of their test cases; None without a case."""
        if not len(cases):
            return None
        mean = MeanOfSeeds(rung.mean.key, self.config)
        for run in rung.runs:
            some = restricted(run.predictions(), cases)
            mean.add(self._measuring(some)(), run.seed or 0)
        return mean.mean()
