"""Additions: test cohorts that finished runs have not predicted."""

from collections.abc import Sequence

from medtransfer.errors import StudyError, listed, plural
from medtransfer.runs.events import Additions
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.tested.cases import PredictedCohort
from medtransfer.runs.tested.files import cohort_predictions

Missing = Sequence[tuple[RunFolder, tuple[PredictedCohort, ...]]]
"""Finished runs, each with the cohorts that it has not predicted."""


def additions_of(missing: Missing) -> list[Additions]:
    """Events that name the cohorts that finished runs are to predict, one for each.

    Runs that see clinical data know a cohort by another digest than the others: it is one cohort.
    """
    counts: dict[tuple[str, int, bool], int] = {}
    for run, cohorts in missing:
        predicted = {table.cohort for table in cohort_predictions(run).values()}
        for cohort in cohorts:
            place = cohort.cohort, cohort.cases, cohort.cohort in predicted
            counts[place] = counts.get(place, 0) + 1
    return [
        Additions(cohort, cases, runs, is_changed)
        for (cohort, cases, is_changed), runs in counts.items()
    ]


def require_weights(missing: Missing) -> None:
    """Check that runs which are to predict a cohort still have their weights.

    Raises:
        StudyError: Some have not.
    """
    lacking = [(run, cohorts) for run, cohorts in missing if not run.has_weights()]
    if lacking:
        names = sorted({cohort.cohort for _, cohorts in lacking for cohort in cohorts})
        raise StudyError(
            f"{plural(len(lacking), 'finished run')} cannot predict {listed(names)}: the weights "
            f"are no longer in the folder (runs {listed([run.run_id for run, _ in lacking])}). Put "
            "`checkpoint/` of these runs back from a copy, or take the cohort out of the manifest, "
            "or delete `done` in the folders of these runs to train them again. With "
            "`keep: weights` a study keeps the weights of its runs."
        )
