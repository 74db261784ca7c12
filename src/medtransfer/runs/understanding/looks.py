"""Looks of a run at test cases while it trains. No torch.

A study that asks for `trajectory` has its runs predict test cases at each validation. Nothing is
selected or stopped by them: they are written after it is decided which weights are kept, and are
read by the tables alone. Until the run ends each look is a file beside the checkpoints, so that a
run that is resumed has those that it made.

Files hold logits. Labels and cohorts are the manifest's, as with all predictions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.analysis.questions import MAX_LOOKED
from medtransfer.data.cases import Cases
from medtransfer.errors import StudyError
from medtransfer.files import make_folder
from medtransfer.integrity.run_seal import TRAJECTORY
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.understanding.drawn import drawn_patients
from medtransfer.tables.schema import write_frame

LOOK = "look-"
"""Start of the name of a look beside the checkpoints; the number of finished steps follows."""


def looked_cases(test: Mapping[str, Cases], limit: int = MAX_LOOKED) -> list[Cases]:
    """The test cases of each cohort that are looked at, at most so many of each.

    Args:
        test: Test cases by cohort.
        limit: Most cases of a cohort; whole patients are drawn.
    """
    return [
        cases.take(drawn_patients(cases.patient_ids, limit, "trajectory cases"))
        for cases in test.values()
        if len(cases)
    ]


def write_look(
    folder: RunFolder,
    step: int,
    cases: Sequence[Cases],
    logits: Sequence[NDArray[np.float32]],
    names: Sequence[str],
) -> None:
    """Write the logits of one validation.

    Args:
        folder: Of the run, which is in training.
        step: Finished steps.
        cases: From `looked_cases`.
        logits: Of each part of them. [N, T] each
        names: Of the targets. T
    """
    parts = [
        pl.DataFrame(
            {
                "step": [step] * len(part),
                "case_id": part.case_ids.tolist(),
                "patient_id": part.patient_ids.tolist(),
                **{
                    f"logit_{name}": outputs[:, column].astype(np.float64)
                    for column, name in enumerate(names)
                },
            }
        )
        for part, outputs in zip(cases, logits, strict=True)
    ]
    write_frame(pl.concat(parts), make_folder(folder.checkpoint) / f"{LOOK}{step:08d}.parquet")


def gather_looks(folder: RunFolder) -> None:
    """Put the looks of a run whose training is over into one file; nothing without looks."""
    paths = sorted(folder.checkpoint.glob(f"{LOOK}*.parquet"))
    if paths:
        write_frame(pl.concat(map(pl.read_parquet, paths)), folder.path / TRAJECTORY)


def read_looks(folder: RunFolder) -> pl.DataFrame | None:
    """`step`, `case_id`, `patient_id` and the logits of a run's looks; None without any.

    Raises:
        StudyError: The file is damaged.
    """
    path = folder.path / TRAJECTORY
    if not path.is_file():
        return None
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StudyError(
            f"The looks of run {folder.run_id} cannot be read. To train it again, delete "
            f"runs/{folder.run_id}/done and run the same command again."
        ) from error
