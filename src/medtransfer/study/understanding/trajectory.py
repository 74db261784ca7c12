"""Table of trajectories of a study, and the slopes of its runs for the table of understanding.

What a run's looks come to is kept in ``understanding/`` like all answers: a table of the looks and
one of the slopes.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medtransfer.analysis.table import AskedRun, read_understanding, understanding_frame
from medtransfer.analysis.trajectory import (
    TRAJECTORY_FILE,
    away_slopes,
    cohort_looks,
    read_trajectory,
    trajectory_frame,
    trajectory_rows,
    with_mean_trajectories,
)
from medtransfer.errors import StudyError, plural
from medtransfer.files import make_folder, remove
from medtransfer.integrity.run_seal import TRAJECTORY
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.tested.corrupted import home_name
from medtransfer.runs.understanding.looks import read_looks
from medtransfer.study.plan import PlannedRun
from medtransfer.study.understanding.answers import answer_place
from medtransfer.study.understanding.asked import has_fixed_features
from medtransfer.tables.schema import write_frame

NO_LOOKS = (
    "Trajectory: {count} finished before it was asked for, and did not look at test cases. "
    "Nothing is trained again for it. To have it, delete these runs with `medtransfer forget` and "
    "run the same command again: {runs}."
)
NO_SHIFT = (
    "Trajectory: all cohorts with test cases were trained on. Name data.split.train_cohorts to "
    "have a shifted one."
)
MAX_NAMED = 5


def write_trajectory(folder: StudyFolder, runs: Sequence[PlannedRun]) -> list[pl.DataFrame]:
    """Write the table of the runs' looks, else remove an earlier one.

    Args:
        folder: Of the study.
        runs: Finished runs that are asked; none if the question is not.

    Returns:
        Slopes of each run, as rows of the table of understanding.
    """
    path = folder.path / "curves" / TRAJECTORY_FILE
    tuned = [run for run in runs if not has_fixed_features(run)]
    looked = [run for run in tuned if (folder.run(run.run_id).path / TRAJECTORY).is_file()]
    if len(looked) < len(tuned):
        blind = [run.run_id for run in tuned if run not in looked]
        more = ["…"] if len(blind) > MAX_NAMED else []
        logging.getLogger(__name__).warning(
            NO_LOOKS.format(
                count=plural(len(blind), "run"), runs=", ".join(blind[:MAX_NAMED] + more)
            )
        )
    tables: list[pl.DataFrame] = []
    slopes: list[pl.DataFrame] = []
    for run in looked:
        places = _places(folder, run)
        if not all(place.is_file() for place in places):
            try:
                _measure(folder, run, places)
            except StudyError as error:
                logging.getLogger(__name__).warning("%s", error)
                continue
        tables.append(read_trajectory(places[0]))
        slopes.append(read_understanding(places[1]))
    if tables:
        rows = pl.concat(tables)
        if "away" not in rows["place"]:
            logging.getLogger(__name__).warning(NO_SHIFT)
        write_frame(with_mean_trajectories(rows), path)
    else:
        remove(path)
    return slopes


def _places(folder: StudyFolder, run: PlannedRun) -> tuple[Path, Path]:
    """Files of a run's looks and slopes."""
    slopes = answer_place(folder, run, "trajectory")
    return slopes.with_name(f"looks-{slopes.name}"), slopes


def _measure(folder: StudyFolder, run: PlannedRun, places: tuple[Path, Path]) -> None:
    """Measure the looks of a run, and write both tables.

    Raises:
        StudyError: The file of looks is damaged.
    """
    logits = read_looks(folder.run(run.run_id))
    cases = run.predicted.table
    looks = [] if logits is None else cohort_looks(logits, cases, home_name(cases))
    asked = AskedRun(run.cell.rung, run.run_id, run.cell.seed)
    rows = [row for part in looks for row in trajectory_rows(asked, part)]
    slopes = [
        asked.row(
            "trajectory",
            (0, "network"),
            "after",
            "away_per_home",
            slope,
            cases=away.num_cases,
            group=("cohort", away.cohort),
        )
        for away, slope in away_slopes(looks)
    ]
    make_folder(places[0].parent)
    write_frame(trajectory_frame(rows), places[0])
    write_frame(understanding_frame(slopes), places[1])
