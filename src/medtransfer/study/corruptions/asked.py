"""Runs of a study that predict corrupted test cases, and the images they read."""

from collections.abc import Sequence

import polars as pl

from medtransfer.data.images.corruptions import Corruption
from medtransfer.data.splits import assign_splits
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.start import control_of
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import CacheRequest
from medtransfer.runs.tested.corrupted import corrupted_request
from medtransfer.runs.tested.files import missing_cohorts
from medtransfer.study.plan import PlannedRun, StudyData
from medtransfer.study.sweep import chosen_trials, trials_of


def corrupted_runs(folder: StudyFolder, planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Runs with most labels that read images; of a sweep those with the settings that are taken.

    Runs that were trained again elsewhere, and negative controls, are not asked.
    """
    most = max((run.cell.label_fraction for run in planned if run.cell.shots is None), default=1.0)
    runs = [
        run
        for run in planned
        if run.cell.label_fraction == most
        and run.cell.shots is None
        and run.cell.retrain_fraction is None
        and find_rung(run.cell.rung).reads_images
        and control_of(run.cell.rung) is None
    ]
    if not any(run.cell.swept or run.cell.axes for run in runs):
        return runs
    return [run for trial in chosen_trials(trials_of(folder, runs)) for run in trial.runs]


def corrupted_needs(
    folder: StudyFolder,
    data: StudyData,
    planned: Sequence[PlannedRun],
    corruptions: Sequence[Corruption],
) -> list[CacheRequest]:
    """Corrupted images that runs have not predicted yet."""
    needs: list[CacheRequest] = []
    frames: dict[object, pl.DataFrame] = {}
    for run in corrupted_runs(folder, planned) if corruptions else ():
        run_folder, key = folder.run(run.run_id), run.cell.split_key
        cohorts = run.predicted.corrupted(corruptions)
        missing = cohorts
        if run_folder.is_done():
            missing = missing_cohorts(run_folder, cohorts)
        if missing and key not in frames:
            frames[key] = assign_splits(data.manifest, run.cell.run.data)
        needs += [
            corrupted_request(run.needs[1].recipe, frames[key], corruption)
            for corruption, cohort in zip(corruptions, cohorts, strict=False)
            if cohort in missing
        ]
    return needs
