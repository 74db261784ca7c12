"""From a study to its runs: rungs × label fractions × seeds (× held-out cohorts)."""

from dataclasses import dataclass

import polars as pl

from medtransfer.data.splits import leave_one_cohort_out
from medtransfer.study.config import RungEntry, Study
from medtransfer.study.run import Transfer


@dataclass(frozen=True)
class Cell:
    """One place in the grid.

    Attributes:
        rung: Its name.
        label_fraction: Share of the training patients whose labels are used.
        seed: Of the run.
        held_out: The cohort that was left out of training, in a leave-cohort-out study.
        run: The complete configuration.
    """

    rung: str
    label_fraction: float
    seed: int
    held_out: str | None
    run: Transfer


def expand(study: Study, frame: pl.DataFrame) -> list[Cell]:
    """Every run of a study; all rungs of the first seed come first.

    Args:
        study: What is compared.
        frame: The manifest's rows; their cohorts are what leave-cohort-out goes over.

    Raises:
        TableError: Leave-cohort-out with a single cohort.
    """
    splits = [(None, study.data.split)]
    if study.leave_cohort_out:
        held_out = sorted(frame["cohort"].unique().to_list())
        splits = list(zip(held_out, leave_one_cohort_out(frame, study.data.split), strict=True))
    cells: list[Cell] = []
    for seed in study.seeds:
        for cohort, split in splits:
            for fraction in sorted(study.label_fractions, reverse=True):
                part = split.model_copy(update={"train_fraction": fraction})
                data = study.data.model_copy(update={"split": part})
                for entry in study.rungs:
                    run = _run(study, entry, seed).model_copy(update={"data": data})
                    cells.append(Cell(entry.rung, fraction, seed, cohort, run))
    return cells


def _run(study: Study, entry: RungEntry, seed: int) -> Transfer:
    return Transfer(
        data=study.data,
        model=study.model_of(entry),
        training=study.training_of(entry),
        evaluation=study.evaluation,
        seed=seed,
    )
