"""From a study to its runs: rungs × label budgets × seeds (× cohorts left out or retrained)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import (
    SEQUENTIAL,
    TOGETHER,
    DataConfig,
    RetrainArm,
    RetrainConfig,
    SplitConfig,
)
from medtransfer.data.splits import hospitals, leave_one_cohort_out, shifted_cohorts
from medtransfer.errors import StudyError, plural
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.runs.config import Transfer
from medtransfer.sizes.limits import MAX_RUNS, require_count
from medtransfer.study.axes.combinations import Combination, GridSettings, words
from medtransfer.study.config import Study


@dataclass(frozen=True)
class Cell:
    """One place in the grid.

    Attributes:
        key: Its rung and training set. The label fraction of shots is 0 until the patients are
            known, see `plan.plan_runs`.
        seed: Of the run.
        run: The complete configuration.
        shots: Training patients of each class, where those are what is drawn.
        swept: Whether its training settings are one of several that are tried.
        axes: Settings of the study's axes that it has.
    """

    key: GridKey
    seed: int
    run: Transfer
    shots: int | None = None
    swept: bool = False
    axes: Combination = ()

    @property
    def rung(self) -> str:
        """Name of the rung."""
        return self.key.rung

    @property
    def label_fraction(self) -> float:
        """Share of the training patients whose labels are used."""
        return self.key.label_fraction

    @property
    def held_out(self) -> str | None:
        """Cohort left out of training, or trained on again in part."""
        return self.key.held_out

    @property
    def retrain_fraction(self) -> float | None:
        """Share of that cohort's patients set apart that are trained on again."""
        return self.key.retrain_fraction

    @property
    def budget(self) -> str:
        """Label budget in words."""
        return plural(self.shots, "shot") if self.shots else f"{100 * self.label_fraction:.3g}%"

    @property
    def setting(self) -> str:
        """Settings tried in a sweep, in words; empty if there is no sweep."""
        training = self.run.training
        parts = [words(self.axes)] if self.axes else []
        if self.swept and training.tuning.mode != "linear":
            steps = "" if training.steps is None else f", {plural(training.steps, 'step')}"
            rate = f"rate {training.learning_rate:g}{steps}, decay {training.weight_decay:g}"
            parts.insert(0, rate)
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def label(self) -> str:
        """Rung, label budget, seed, cohort left out or trained on again, and setting, in words."""
        cohort = f", without {self.held_out}" if self.held_out else ""
        if self.retrain_fraction is not None:
            words = {TOGETHER: "with", SEQUENTIAL: "then"}.get(self.key.arm, "only")
            cohort = f", {words} {self.retrain_fraction:.0%} of {self.held_out}"
        return f"{self.rung} {self.budget} seed {self.seed}{cohort}{self.setting}"

    @property
    def split_key(self) -> tuple[str | None, bool]:
        """The settings that differ within a study and change the splits."""
        return self.held_out, self.retrain_fraction is not None


def expand(study: Study, frame: pl.DataFrame) -> list[Cell]:
    """Every run of a study; all rungs of the first seed come first.

    Args:
        study: What is compared.
        frame: The manifest's rows; their cohorts are what leave-cohort-out goes over.

    Raises:
        TableError: Leave-cohort-out with a single cohort.
        StudyError: There are more runs than are allowed.
    """
    splits = [(None, study.data.split)]
    if study.leave_cohort_out:
        held_out = hospitals(frame)
        splits = list(zip(held_out, leave_one_cohort_out(frame, study.data.split), strict=True))
    blocks = list(_blocks(study, frame, splits))
    cells: list[Cell] = []
    for seed in study.seeds:
        for block in blocks:
            cells += [
                Cell(
                    key=key,
                    seed=seed,
                    run=_transfer(study, data, settings, seed),
                    shots=block.shots,
                    swept=study.sweep.is_set,
                    axes=settings.axes,
                )
                for key, data, settings in block.places
            ]
        # a study counts its own runs; how many cohorts there are is known only here
        require_count(len(cells), "runs", MAX_RUNS, "The study", StudyError, partly=True)
    return cells


@dataclass(frozen=True)
class _Block:
    """Runs of one seed on one training set; seeds share their configurations."""

    shots: int | None
    places: tuple[tuple[GridKey, DataConfig, GridSettings], ...]


def _blocks(
    study: Study, frame: pl.DataFrame, splits: Sequence[tuple[str | None, SplitConfig]]
) -> Iterator[_Block]:
    """Training sets of a study, each with its rungs and their settings, in the order they run."""
    settings = [each for entry in study.rungs for each in study.settings_of(entry)]

    def block(part: SplitConfig, shots: int | None, *place: Any) -> _Block:
        by_image = {
            id(each.image): study.data.model_copy(update={"split": part, "image": each.image})
            for each in settings
        }
        places = (
            (GridKey(each.model.rung, *place), by_image[id(each.image)], each) for each in settings
        )
        return _Block(shots, tuple(places))

    for cohort, split in splits:
        for fraction in sorted(study.label_fractions, reverse=True):
            part = split.model_copy(update={"train_fraction": fraction})
            yield block(part, None, fraction, cohort)
        for shots in sorted(study.shots, reverse=True):
            yield block(split.model_copy(update={"shots": shots}), shots, 0.0, cohort)
        most = max(study.label_fractions)
        for shifted, fraction in _retrained(study, frame, split, cohort):
            for arm in (TOGETHER, *study.trained_arms):
                again = RetrainConfig(
                    cohort=shifted, fraction=fraction, pool=study.retrain_pool, arm=arm
                )
                part = split.model_copy(update={"train_fraction": most, "retrain": again})
                place = most, shifted, fraction, arm
                yield _trained_as(block(part, None, *place), arm)


def _trained_as(block: _Block, arm: RetrainArm) -> _Block:
    """The runs of an arm: the optimum of a linear probe does not depend on where it starts."""
    if arm != SEQUENTIAL:
        return block
    places = (place for place in block.places if place[2].training.tuning.mode != "linear")
    return replace(block, places=tuple(places))


def _retrained(
    study: Study, frame: pl.DataFrame, split: SplitConfig, held_out: str | None
) -> Iterator[tuple[str, float]]:
    """Shifted cohorts that are trained on again, with most labels at home, and their shares."""
    if not study.retrain_fractions:
        return
    for cohort in [held_out] if held_out is not None else shifted_cohorts(frame, split):
        for fraction in sorted(study.retrain_fractions, reverse=True):
            yield cohort, fraction


def _transfer(study: Study, data: DataConfig, settings: GridSettings, seed: int) -> Transfer:
    return Transfer(
        data=data,
        model=settings.model,
        training=settings.training,
        evaluation=study.evaluation,
        seed=seed,
    )


def share_of_shots(cell: Cell, cases: CaseTable) -> float:
    """Share of the training patients that a few-shot budget has, whatever the seed.

    A patient counts once for every class it is of: where classes share no patient it is the exact
    share.

    Raises:
        StudyError: No class has more patients than the budget takes.
    """
    shots = cell.shots or 0
    counts = cases.class_counts(cell.run.data)
    most = int(counts.max(initial=0))
    if shots >= most:
        raise StudyError(
            f"shots holds {shots}, and no class has more than {plural(most, 'training patient')}: "
            f"that is all of them (allowed: below {most}). Leave it out; label fraction 1 has all."
        )
    return float(np.minimum(counts, shots).sum() / counts.sum())


def start_numbers(cells: Sequence[Cell], *, leave_cohort_out: bool) -> list[int | None]:
    """Number of the run whose weights each run goes on from: same rung, seed and cases at home.

    Args:
        cells: Of a study, from `expand`.
        leave_cohort_out: True if the run at home is the one that was trained without the cohort.

    Returns:
        None for a run that starts from the weights of its rung.
    """
    homes = {
        (cell.rung, cell.seed, cell.label_fraction, cell.held_out): number
        for number, cell in enumerate(cells)
        if cell.retrain_fraction is None and cell.shots is None
    }

    def number_of(cell: Cell) -> int:
        held_out = cell.held_out if leave_cohort_out else None
        return homes[cell.rung, cell.seed, cell.label_fraction, held_out]

    return [number_of(cell) if cell.key.arm == SEQUENTIAL else None for cell in cells]


def check_budgets_differ(cells: Sequence[Cell]) -> None:
    """Refuse budgets that tables and curves, which go by shares, could not keep apart.

    Raises:
        StudyError: A few-shot budget has the share of a label fraction.
    """
    plain = {cell.label_fraction for cell in cells if cell.shots is None}
    for cell in cells:
        if cell.shots is not None and cell.label_fraction in plain:
            raise StudyError(
                f"shots {cell.shots} and label fraction {cell.label_fraction:g} are the same share "
                "of the training patients. Leave one of them out."
            )
