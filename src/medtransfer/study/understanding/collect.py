"""Understanding of a study: its finished runs one by one, then means over seeds. No torch.

What is known of a run lies in ``understanding/`` of the study's folder, a table per run and
question. These files may be deleted; what is missing is measured again.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

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
from medtransfer.study.rungs.facts import study_facts
from medtransfer.study.understanding.answers import ANSWERS, answer_place
from medtransfer.study.understanding.asked import asked_runs, has_fixed_features
from medtransfer.study.understanding.between_rungs import between_rungs
from medtransfer.study.understanding.convergence_scale import convergence_scale_rows
from medtransfer.study.understanding.trajectory import write_trajectory
from medtransfer.tables.schema import write_frame

OF_TRAINING: tuple[Understanding, ...] = ("convergence", "similarity", "reset", "weight_distance")
"""Questions about what training changes: features that are fixed have no answer."""

NO_RUN = (
    "Understanding is not answered: it asks networks that were trained on all cohorts, and with "
    "leave_cohort_out each lacks one. Study it without leave_cohort_out in a study of its own."
)
OF_SEVERAL: tuple[Understanding, ...] = ("trajectory", "rung_similarity")
"""Questions that are not answered by a finished network alone."""


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
        if study.understanding and study.leave_cohort_out:
            logging.getLogger(__name__).warning(NO_RUN)
        remove(path)
        write_trajectory(folder, ())
        return
    frames = write_trajectory(folder, runs if "trajectory" in study.understanding else ())
    files: dict[str, Path] = {}
    for done, run in enumerate(runs):
        on_event(Preparing("understanding", done, len(runs), "run"))
        if _is_compared(study, run):
            files[run.run_id] = answer_place(folder, run, "rung_similarity")
        frames += _tables_of(study, folder, run, files.get(run.run_id))
    if rows := between_rungs([run for run in runs if run.run_id in files], files):
        frames.append(understanding_frame(rows))
    if frames:
        rows = pl.concat(frames)
        scale = convergence_scale_rows(rows, study_facts(study, folder, runs))
        write_frame(pl.concat([with_means(rows), understanding_frame(scale)]), path)


def _is_compared(study: Study, run: PlannedRun) -> bool:
    """True if a run is compared with other rungs; those with clinical data are not."""
    return "rung_similarity" in study.understanding and not run.cell.run.model.covariates


def _tables_of(
    study: Study, folder: StudyFolder, run: PlannedRun, grams: Path | None
) -> list[pl.DataFrame]:
    """A run's answers, those that are there already and those that are measured now.

    Args:
        study: Names the questions.
        folder: Its folder.
        run: A finished run.
        grams: File of its Gram matrices; None if they are not asked for.
    """
    config, is_fixed = run.cell.run, has_fixed_features(run)
    sees_covariates = bool(config.model.covariates)
    asked: list[Understanding] = [
        name
        for name in study.understanding
        if name not in OF_SEVERAL
        and not (is_fixed and name in OF_TRAINING)
        and (name == "covariate_importance") == sees_covariates
    ]
    places = {question: answer_place(folder, run, question) for question in asked}
    missing: list[Understanding] = [name for name in asked if not places[name].is_file()]
    grams = None if grams is None or grams.is_file() else grams
    if missing or grams is not None:
        from medtransfer.runs.understanding.answer import answer  # torch is loaded if needed only

        try:
            run_folder = folder.run(run.run_id)
            make_folder(folder.path / ANSWERS)
            answers = answer(config, folder, run_folder, missing, run.inputs, grams=grams)
        except StudyError as error:
            logging.getLogger(__name__).warning(
                "Understanding of %s: %s", run.cell.label, str(error)
            )
            answers = {}
        for question, rows in answers.items():
            write_frame(understanding_frame(rows), places[question])
    return [read_understanding(place) for place in places.values() if place.is_file()]
