"""Understanding of a study: its finished runs one by one, then means over seeds. No torch.

What is known of a run lies in ``understanding/`` of the study's folder, a table per run and
question. These files may be deleted; what is missing is measured again.
"""

import logging
from collections.abc import Sequence

import polars as pl

from medtransfer.analysis.questions import Understanding
from medtransfer.analysis.table import (
    UNDERSTANDING_FILE,
    read_understanding,
    understanding_frame,
    with_means,
)
from medtransfer.errors import StudyError
from medtransfer.files import make_folder, remove
from medtransfer.runs.events import OnEvent, Preparing
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun
from medtransfer.study.understanding.answers import ANSWERS, answer_place
from medtransfer.study.understanding.asked import asked_runs, has_fixed_features
from medtransfer.study.understanding.trajectory import write_trajectory
from medtransfer.tables.schema import write_frame

OF_TRAINING: tuple[Understanding, ...] = ("convergence", "similarity", "reset", "weight_distance")
"""Questions about what training changes: features that are fixed have no answer."""


def write_understanding(
    study: Study, folder: StudyFolder, planned: Sequence[PlannedRun], on_event: OnEvent
) -> None:
    """Answer the questions that a study asks, else remove earlier answers.

    Args:
        study: Names the questions.
        folder: Its folder; the caller seals it.
        planned: Its runs; those with most labels that are done are asked.
        on_event: Called before each run.

    Raises:
        StudyError: The data changed while the study ran.
    """
    path = folder.path / "curves" / UNDERSTANDING_FILE
    runs = asked_runs(study, folder, planned)
    if not study.understanding or not runs:
        remove(path)
        write_trajectory(folder, ())
        return
    frames = write_trajectory(folder, runs if "trajectory" in study.understanding else ())
    for done, run in enumerate(runs):
        on_event(Preparing("understanding", done, len(runs)))
        frames += _tables_of(study, folder, run)
    if frames:
        write_frame(with_means(pl.concat(frames)), path)


def _tables_of(study: Study, folder: StudyFolder, run: PlannedRun) -> list[pl.DataFrame]:
    """A run's answers, those that are there already and those that are measured now."""
    config, is_fixed = run.cell.run, has_fixed_features(run)
    sees_covariates = bool(config.model.covariates)
    asked: list[Understanding] = [
        name
        for name in study.understanding
        if name != "trajectory"
        and not (is_fixed and name in OF_TRAINING)
        and (name == "covariate_importance") == sees_covariates
    ]
    places = {question: answer_place(folder, run, question) for question in asked}
    missing: list[Understanding] = [name for name in asked if not places[name].is_file()]
    if missing:
        from medtransfer.runs.understanding.answer import answer  # torch is loaded if needed only

        try:
            answers = answer(config, folder, folder.run(run.run_id), missing, run.inputs)
        except StudyError as error:
            logging.getLogger(__name__).warning(
                "Understanding of %s: %s", run.cell.label, str(error)
            )
            answers = {}
        make_folder(folder.path / ANSWERS)
        for question, rows in answers.items():
            write_frame(understanding_frame(rows), places[question])
    return [read_understanding(place) for place in places.values() if place.is_file()]
