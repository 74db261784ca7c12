"""Runs of a study that are asked why they win, and those that look at test cases while training."""

from collections.abc import Sequence

import polars as pl

from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun


def asked_runs(
    study: Study, folder: StudyFolder, planned: Sequence[PlannedRun]
) -> list[PlannedRun]:
    """Finished runs with most labels; of a sweep those with the settings that were taken."""
    runs = [run for run in with_most_labels(study, planned) if folder.run(run.run_id).is_done()]
    if not study.is_swept:
        return runs
    listed = pl.read_csv(folder.path / "runs.csv", infer_schema=False)
    taken = set(listed.filter(pl.col("taken").str.to_lowercase() == "true")["run_id"])
    return [run for run in runs if run.run_id in taken]


def looking_runs(study: Study, planned: Sequence[PlannedRun]) -> frozenset[str]:
    """Ids of the runs that predict test cases at their validations; of a sweep all settings."""
    if "trajectory" not in study.understanding:
        return frozenset()
    runs = with_most_labels(study, planned)
    return frozenset(run.run_id for run in runs if not has_fixed_features(run))


def has_fixed_features(run: PlannedRun) -> bool:
    """True if training changes a head alone."""
    tuning = run.cell.run.training.tuning
    return tuning.mode == "linear" or not find_rung(run.cell.rung).reads_images


def with_most_labels(study: Study, planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Runs on all cohorts with the largest label fraction."""
    most = max(study.label_fractions)
    return [
        run
        for run in planned
        if run.cell.label_fraction == most and run.cell.shots is None and run.cell.held_out is None
    ]
