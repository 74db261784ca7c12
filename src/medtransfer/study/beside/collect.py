"""Tables beside a study's results: adaptation, thresholds by group, readers.

Each is written if the study asks for it; an earlier one is removed if it does not.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from medtransfer.evaluation.comparison.adaptation.summary import adapt_table
from medtransfer.evaluation.comparison.adaptation.table import FILE_NAME
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.policies.group_thresholds import group_threshold_rows
from medtransfer.evaluation.comparison.policies.table import (
    GROUP_THRESHOLDS_FILE,
    group_thresholds_frame,
)
from medtransfer.evaluation.comparison.readers.compare import readers_table
from medtransfer.evaluation.comparison.readers.judged import READERS_FILE
from medtransfer.evaluation.comparison.readers.table import Readings
from medtransfer.files import remove
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.tables.schema import write_frame


def write_adaptation(
    study: Study,
    folder: StudyFolder,
    runs: Sequence[LadderRun],
    tested: Mapping[str, pl.Series],
    features: Callable[[LadderRun], HomeFeatures | None],
) -> list[Path]:
    """Write the adaptation curves.

    Args:
        study: Of the runs.
        folder: Its folder.
        runs: Its finished runs.
        tested: Cohorts that are trained on again, with the ids of their cases that test.
        features: Gives the features of a run at the shifted hospitals, if an arm needs them.

    Returns:
        The files written.
    """
    path = folder.path / "curves" / FILE_NAME
    if study.adapt is None:
        remove(path)
        return []
    config = study.evaluation
    frame = adapt_table(
        runs, study.data.task, config, study.adapt, tested=tested, features=features
    )
    write_frame(frame, path)
    return [path]


def write_group_thresholds(
    study: Study, folder: StudyFolder, runs: Sequence[LadderRun], attributes: pl.DataFrame
) -> list[Path]:
    """Write the table of thresholds by group.

    Args:
        study: Of the runs.
        folder: Its folder.
        runs: Its finished runs.
        attributes: `case_id` and the attributes, as they are reported by.

    Returns:
        The files written.
    """
    path = folder.path / "curves" / GROUP_THRESHOLDS_FILE
    config = study.evaluation
    if not config.group_thresholds:
        remove(path)
        return []
    rows = group_threshold_rows(runs, attributes, study.data.task, config)
    write_frame(group_thresholds_frame(rows), path)
    return [path]


def write_study_readers(
    study: Study, folder: StudyFolder, runs: Sequence[LadderRun], readings: Readings | None
) -> list[Path]:
    """Write the table of readers, as Parquet and CSV.

    Args:
        study: Of the runs.
        folder: Its folder.
        runs: Its finished runs.
        readings: Of its cases.

    Returns:
        The files written.
    """
    path = folder.path / READERS_FILE
    paths = [path, path.with_suffix(".csv")]
    if readings is None:
        for old in paths:
            remove(old)
        return []
    table = readers_table(runs, readings, study.data.task, study.evaluation)
    for place in paths:
        write_frame(table, place)
    return paths
