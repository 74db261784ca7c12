"""Table of corruptions of a study, from what its finished runs predicted."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from medtransfer.data.images.corruptions import named_corruptions
from medtransfer.evaluation.comparison.corruptions.summary import CorruptedRun, corruption_rows
from medtransfer.evaluation.comparison.corruptions.table import CORRUPTIONS_FILE, corruptions_frame
from medtransfer.files import remove
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.tested.files import cohort_predictions, read_predictions_of
from medtransfer.study.config import Study
from medtransfer.study.corruptions.asked import corrupted_runs
from medtransfer.study.plan import PlannedRun
from medtransfer.tables.schema import write_frame


def write_corruptions(study: Study, folder: StudyFolder, done: Sequence[PlannedRun]) -> list[Path]:
    """Write the table of corruptions if they are asked for, else remove an earlier one.

    Args:
        study: Names the corruptions.
        folder: Its folder.
        done: Its finished runs; of a sweep those that were taken.

    Returns:
        The files written.
    """
    path = folder.path / "curves" / CORRUPTIONS_FILE
    runs = _runs_with_corruptions(study, folder, done)
    if not runs:
        remove(path)
        return []
    rows = corruption_rows(runs, study.data.task, study.evaluation)
    write_frame(corruptions_frame(rows), path)
    return [path]


def _runs_with_corruptions(
    study: Study, folder: StudyFolder, done: Sequence[PlannedRun]
) -> list[CorruptedRun]:
    """Runs that have predicted corrupted cases."""
    corruptions = named_corruptions(study.corruptions)
    runs: list[CorruptedRun] = []
    for run in corrupted_runs(folder, done) if corruptions else ():
        places = cohort_predictions(folder.run(run.run_id))
        tables: dict[str, Callable[[], pl.DataFrame]] = {}
        for cohort in run.predicted.corrupted(corruptions):
            if cohort.images in places:
                tables[cohort.cohort] = partial(pl.read_parquet, places[cohort.images].path)
        if tables:
            predictions = partial(read_predictions_of, folder.run(run.run_id), run.predicted)
            runs.append(CorruptedRun(run.cell.key, run.cell.seed, predictions, tables))
    return runs
