"""Features of a study's networks at the shifted hospitals, for arms that fit a head on them."""

import logging
from collections.abc import Callable, Sequence

from medtransfer.data.splits import hospitals, internal_rows
from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.ladder import LadderRun
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.plan import PlannedRun, StudyData


def features_of_runs(
    folder: StudyFolder, planned: Sequence[PlannedRun], data: StudyData
) -> Callable[[LadderRun], HomeFeatures | None]:
    """A function that gives the features of a run, from the study's folder or by a pass.

    Args:
        folder: Of the study.
        planned: Its finished runs.
        data: Its manifest.

    Returns:
        Gives None, and logs why, where weights or images are gone.
    """
    by_id = {run.run_id: run for run in planned}

    def features(ladder_run: LadderRun) -> HomeFeatures | None:
        run = by_id[ladder_run.run_id]
        frame, config = data.manifest.frame, run.cell.run
        away = hospitals(frame.filter(~internal_rows(frame, config.data.split)))
        tested = {cohort.cohort for cohort in run.predicted.cohorts}
        cohorts = [name for name in away if name in tested]
        if not cohorts:
            return None
        from medtransfer.runs.tested.home_features import home_features_of  # it loads torch

        try:
            return home_features_of(config, folder, folder.run(run.run_id), cohorts, run.inputs)
        except StudyError as error:
            message = "Adaptation of %s: the arm probe is left out. %s"
            logging.getLogger(__name__).warning(message, run.cell.label, error)
            return None

    return features
