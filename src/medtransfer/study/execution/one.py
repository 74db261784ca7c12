"""One run of a study, carried out without its driver: the unit that clusters call."""

from medtransfer.engines.local import LocalExecutor
from medtransfer.engines.local_engine import LocalEngine
from medtransfer.engines.machine import usable_cores
from medtransfer.errors import StudyError, listed, printable, suggestion
from medtransfer.files import read_json
from medtransfer.runs.events import OnEvent, RunEnded, RunName, RunStep, ignore_progress
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.lease import RunPlace, leased_runs
from medtransfer.runs.messages import RunRequest, StepDone
from medtransfer.runs.progress import RunEta
from medtransfer.runs.records import State
from medtransfer.study.execution.dispatch import dispatch
from medtransfer.study.execution.jobs import TrainingJob
from medtransfer.study.execution.requests import name_of_request
from medtransfer.study.execution.stopped import StudyStopped
from medtransfer.study.execution.worker_count import read_engine


def run_one(folder: StudyFolder, run_id: str, on_event: OnEvent = ignore_progress) -> State:
    """Carry out one run of a study, or resume it; a finished run is left as it is.

    The study's tables are not made: `run_study` makes them when its runs are done.

    Args:
        folder: Of the study, with the run's ``run.json``.
        run_id: Its id, as in ``plan.json``.
        on_event: Called with every progress event.

    Returns:
        Done, failed or diverged.

    Raises:
        StudyError: The run is not known, or another process carries it out.
        StudyStopped: SIGTERM or Ctrl-C; its state is saved.
    """
    request = _request(folder, run_id)
    run = folder.run(run_id)
    if run.is_done():
        return "done"
    lease = Lease(RunPlace.of(folder.path, run_id), "run")
    lease.take()
    try:
        driver = Lease(folder).holder()
        if driver is not None and read_engine(folder) == "local":
            raise StudyError(
                f"Process {driver['pid']} on {driver['host']} carries out the runs of this study. "
                "Wait for it, or stop it first."
            )
        name = name_of_request(request)
        engine = LocalEngine(folder.path, cores=usable_cores(), make=LocalExecutor)
        eta = RunEta()
        job = TrainingJob(folder, request, lambda step: on_event(step_event(name, step, eta)))
        is_over = dispatch(engine, [job], lease, lambda _job, _waiting: None)
        if not is_over or job.was_stopped:
            raise StudyStopped(0, 1)
    finally:
        lease.drop()
    error = run.error()
    on_event(RunEnded(name, run.state(), "" if error is None else error.message, 1, 1))
    return run.state()


def require_no_other(folder: StudyFolder) -> None:
    """Compare with the runs that processes carry out without a driver.

    Raises:
        StudyError: There are some; two processes must not carry out one run.
    """
    for run_id, holder in leased_runs(folder.path):
        raise StudyError(
            f"Process {holder['pid']} on {holder['host']} carries out run {run_id} of this study. "
            "Wait for it, or stop it first; with `--on slurm` or a Ray cluster "
            "this command waits for its own."
        )


def _request(folder: StudyFolder, run_id: str) -> RunRequest:
    """Request of a run, from its folder.

    Raises:
        StudyError: The study has no such run, or it was not submitted.
    """
    path = folder.run(run_id).path / "run.json"
    names = [str(row["run_id"]) for row in folder.read("plan.json")]
    if run_id not in names:
        hint = suggestion(run_id, names)
        raise StudyError(
            f"The study has no run '{printable(run_id)}'. plan.json lists all: "
            f"{listed(names, 3)}. {hint}".rstrip()
        )
    if not path.is_file():
        raise StudyError(
            f"Run '{run_id}' was not submitted. `medtransfer run --on slurm`, or --on a Ray "
            "cluster, writes what it needs."
        )
    return RunRequest.model_validate(read_json(path))


def step_event(run: RunName, message: StepDone, eta: RunEta) -> RunStep:
    """Event of a step of a run that is carried out alone."""
    left = eta.after(message.step, message.steps)
    return RunStep(
        run=run,
        step=message.step,
        steps=message.steps,
        loss=message.loss,
        images_per_second=message.images_per_second,
        tune_auroc=message.tune_auroc,
        seconds_left=left or 0.0,
        study_seconds_left=None,
    )
