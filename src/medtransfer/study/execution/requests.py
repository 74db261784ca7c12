"""Requests that workers get for planned runs, and the names of runs in events."""

from collections.abc import Sequence

from medtransfer.data.images.corruptions import Corruption
from medtransfer.errors import StudyError
from medtransfer.files import read_json
from medtransfer.runs.events import RunName
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.messages import RunRequest
from medtransfer.runs.tested.cases import PredictedCohort
from medtransfer.runs.tested.files import missing_cohorts
from medtransfer.study.corruptions.asked import corrupted_runs
from medtransfer.study.plan import PlannedRun

Additions = list[tuple[PlannedRun, tuple[PredictedCohort, ...]]]
"""Finished runs, each with the test cohorts that it has not predicted."""


def request_of(
    run: PlannedRun,
    threads: int | None = None,
    *,
    tune_only: bool = False,
    looks: bool = False,
) -> RunRequest:
    """The request that a worker gets for a run.

    Args:
        run: What is run.
        threads: Of each of its processes; None for what torch takes.
        tune_only: The test split is not predicted yet.
        looks: Test cases are predicted at each validation too.
    """
    cell = run.cell
    return RunRequest(
        run_id=run.run_id,
        rung=cell.rung,
        label_fraction=cell.label_fraction,
        shots=cell.shots,
        seed=cell.seed,
        held_out=cell.held_out,
        retrain_fraction=cell.retrain_fraction,
        run=cell.run,
        inputs=run.inputs,
        threads=threads,
        tune_only=tune_only,
        looks=looks,
        start=run.start,
    )


def recorded_request(run: RunFolder) -> RunRequest | None:
    """The request that a run was carried out by; None where it cannot be read."""
    try:
        return RunRequest.model_validate(read_json(run.path / "run.json"))
    except (StudyError, ValueError):
        return None


def run_name(run: PlannedRun) -> RunName:
    """The run as progress events name it."""
    return RunName(run.run_id, run.cell.rung, run.cell.seed, run.cell.label)


def name_of_request(request: RunRequest) -> RunName:
    """A run that is carried out alone, as progress events name it."""
    label = f"{request.rung} seed {request.seed}"
    return RunName(request.run_id, request.rung, request.seed, label)


def runs_to_extend(
    folder: StudyFolder, planned: Sequence[PlannedRun], corruptions: Sequence[Corruption] = ()
) -> Additions:
    """Finished runs, each with the test cohorts that it has not predicted, and its corrupted ones.

    Args:
        folder: Of the study.
        planned: Its runs.
        corruptions: That its runs with most labels are to predict.
    """
    asked = corrupted_runs(folder, planned) if corruptions else []
    corrupted = {run.run_id for run in asked}
    waiting: Additions = []
    for run in planned:
        run_folder = folder.run(run.run_id)
        if not run_folder.is_done():
            continue
        cohorts = run.predicted.cohorts
        if run.run_id in corrupted:
            cohorts += run.predicted.corrupted(corruptions)
        if missing := missing_cohorts(run_folder, cohorts):
            waiting.append((run, missing))
    return waiting


def with_folders(
    folder: StudyFolder, waiting: Additions
) -> list[tuple[RunFolder, tuple[PredictedCohort, ...]]]:
    """The folders of finished runs, with the cohorts that they are to predict."""
    return [(folder.run(run.run_id), cohorts) for run, cohorts in waiting]
