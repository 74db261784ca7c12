"""From a study to its finished folder: what is done stays done, what is missing is run."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from medtransfer.data.audit.run import Finding
from medtransfer.data.images.corruptions import named_corruptions
from medtransfer.data.images.scan import decoding_of
from medtransfer.files import sweep_temporaries, write_text
from medtransfer.runs.events import (
    OnEvent,
    Preparing,
    Repaired,
    Scoring,
    TimeEstimated,
    ignore_progress,
)
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.inputs import InputsChangedError, changed_inputs
from medtransfer.runs.repairs import repair_study
from medtransfer.runs.tested.additions import require_weights
from medtransfer.runs.tested.earlier import mark_earlier_run
from medtransfer.study.caches import cache_states, make_caches, unmet_needs
from medtransfer.study.config import Study
from medtransfer.study.corruptions.asked import corrupted_needs
from medtransfer.study.execution.dispatch import never
from medtransfer.study.execution.engine_choice import EngineChoice
from medtransfer.study.execution.execution import StudyExecution
from medtransfer.study.execution.one import require_no_other
from medtransfer.study.execution.precisions import note_precisions
from medtransfer.study.execution.requests import request_of, runs_to_extend, with_folders
from medtransfer.study.execution.worker_count import write_workers
from medtransfer.study.image_checks import audit_study_images
from medtransfer.study.plan import (
    PlannedRun,
    StudyData,
    check_findings,
    plan_runs,
    read_data,
)
from medtransfer.study.planning.flow import flow_of
from medtransfer.study.planning.kinds import kind_of
from medtransfer.study.planning.networks import require_networks
from medtransfer.study.planning.study_plan import StudyPlan, make_plan
from medtransfer.study.record.lock import note_circumstances, write_lock
from medtransfer.study.tables import rescore, write_study_tables
from medtransfer.study.understanding.asked import looking_runs
from medtransfer.study.understanding.collect import write_understanding
from medtransfer.study.yaml_file import resolve_paths

NOT_PLANNED = {"run", "inputs", "threads", "tune_only", "looks"}
"""Fields of a request that ``plan.json`` leaves out."""
PROBE_STEPS = 30
"""Steps after which a probe stops: the first ones are slower."""


@dataclass(frozen=True)
class RunOptions:
    """Options of one command that runs a study; none changes a result.

    Attributes:
        verify: Compare the content of every finished file with its seal.
        workers: Runs that are carried out at once; None for what suits machine and networks.
        max_hours: Longest time that is left, or nothing is run.
        probe_steps: Train the first run of each kind for so many steps, and stop.
        engine: Where runs are trained.
        tune_only: Runs predict the tuning split alone; no table is made.
        until: Says that the time is over; then runs save their state and stop.
    """

    verify: bool = False
    workers: int | None = None
    max_hours: float | None = None
    probe_steps: int | None = None
    engine: EngineChoice = field(default_factory=EngineChoice)
    tune_only: bool = False
    until: Callable[[], bool] = never


def run_study(
    study: Study,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    verify: bool = False,
    workers: int | None = None,
    max_hours: float | None = None,
    on: str = "local",
    sbatch: Sequence[str] = (),
) -> StudyFolder:
    """Run what is missing of a study.

    Args:
        study: From `read_study`, or made in Python (paths are relative to the working folder).
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with every progress event.
        verify: Compare the content of every finished file with its seal, not only size and times.
        workers: Processes that each carry out a run; None for what suits the machine and the
            networks, see `execution.workers.plan_workers`.
        max_hours: Longest estimate of the time that is left; a longer study is refused.
        on: Where runs are trained: `local`, `slurm` for job arrays, `ray` for a private Ray
            cluster on this machine, or a cluster's address, see `execution.engine_choice`; then
            `workers` is the number of tasks that run at once.
        sbatch: Options for ``sbatch``, such as ``--partition=gpu``.

    Returns:
        The study's folder, its tables written.

    Raises:
        MedTransferError: Something a user can mend; nothing that was computed is lost.
        StudyStopped: Ctrl-C or SIGTERM; state is saved.
    """
    options = RunOptions(
        verify=verify,
        workers=workers,
        max_hours=max_hours,
        engine=EngineChoice(on, tuple(sbatch)),
    )
    return _run(study, out, on_event, options)


def probe_study(
    study: Study,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    steps: int = PROBE_STEPS,
    workers: int | None = None,
) -> StudyFolder:
    """Measure the speed of a study's networks: a few steps of the first run of each kind.

    The steps are not lost: `run_study` resumes these runs where they stopped.

    Args:
        study: From `read_study`, or made in Python.
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with every progress event.
        steps: After which a run is stopped.
        workers: As for `run_study`; runs have the threads that they would have there.

    Returns:
        The study's folder.

    Raises:
        MedTransferError: Something a user can mend.
        StudyStopped: Ctrl-C or SIGTERM; state is saved.
    """
    return _run(study, out, on_event, RunOptions(workers=workers, probe_steps=steps))


def select_on_tuning(
    study: Study,
    out: Path,
    on_event: OnEvent = ignore_progress,
    *,
    until: Callable[[], bool] = never,
    steps: int | None = None,
    workers: int | None = None,
) -> StudyFolder:
    """Train what is missing of a study without a look at its test cases.

    The runs predict their tuning split; no table is made. `run_study` has runs predict the test
    cases that it finds unpredicted, so a study of the runs that were selected reads them once.

    Args:
        study: From `read_study`, or made in Python.
        out: The study's folder.
        on_event: Called with every progress event.
        until: Asked about once a second; if it says so, runs save their state and stop.
        steps: Train the first run of each kind for so many steps, to measure its speed; None for
            all runs to their ends.
        workers: As for `run_study`.

    Returns:
        The study's folder; runs that were stopped by `until` are waiting.

    Raises:
        MedTransferError: Something a user can mend.
        StudyStopped: Ctrl-C or SIGTERM; state is saved.
    """
    options = RunOptions(workers=workers, probe_steps=steps, tune_only=True, until=until)
    return _run(study, out, on_event, options)


def _run(study: Study, out: Path | None, on_event: OnEvent, options: RunOptions) -> StudyFolder:
    """Take a study's folder, audit its data, and run what is asked for."""
    options.engine.check()
    study = resolve_paths(study, Path.cwd())
    folder = StudyFolder(out or Path("studies") / study.name)
    folder.claim(study.name)
    lease = Lease(folder)
    was_killed = lease.is_left()
    lease.take()
    sweep_temporaries(folder.path, deep=False)  # runs and caches sweep their own
    sweep_temporaries(folder.path / "curves")
    try:
        with folder.sealing():
            for repair in repair_study(folder, verify=options.verify, was_killed=was_killed):
                on_event(Repaired(repair.file, str(repair)))
            data = prepare(study, folder, on_event)
        with folder.sealing():
            _complete(study, data, options, lease, on_event=on_event, folder=folder)
    finally:
        lease.drop()
    return folder


def _complete(
    study: Study,
    data: StudyData,
    options: RunOptions,
    lease: Lease,
    *,
    folder: StudyFolder,
    on_event: OnEvent,
) -> None:
    """Run what is missing and write the tables."""
    planned = plan_runs(study, data, folder)
    require_networks(run for run in planned if not folder.run(run.run_id).is_done())
    for run in planned:
        if run.earlier is not None:
            mark_earlier_run(folder, run.earlier, run.identity, run.predicted.cohorts)
    corruptions = named_corruptions(study.corruptions)
    require_weights(with_folders(folder, runs_to_extend(folder, planned, corruptions)))
    _write_plan(study, folder, data, planned)
    needs = unmet_needs(folder, planned)
    needs += corrupted_needs(folder, data, planned, corruptions)
    states = cache_states(folder, data, needs)
    make_caches(folder, data, states, on_event)
    data = audit_study_images(study, folder, data, planned, on_event)
    check_findings(study, data.findings)
    _write_plan(study, folder, data, planned)
    note_circumstances(folder, study, data, planned, on_event)
    engine = options.engine
    processes, at_work = engine.workers(options.workers, planned)
    write_workers(folder, at_work.count, at_work.cores, engine.name)
    if engine.is_local:
        require_no_other(folder)
    _announce_time(make_plan(study, folder, planned, at_work), options, on_event)
    note_precisions(folder, planned)
    execution = StudyExecution(
        folder,
        planned,
        lease,
        on_event,
        workers=processes,
        keep=study.keep,
        corruptions=corruptions,
        make_engine=engine.maker(folder.path, planned, options.workers),
        tune_only=options.tune_only,
        looking=frozenset() if options.tune_only else looking_runs(study, planned),
    )
    if options.probe_steps is not None:
        execution.probe(options.probe_steps, options.until)
        return
    try:
        execution.run_missing(options.until)
        if options.tune_only:
            return
        execution.extend_finished()
    except InputsChangedError as error:
        columns = dict.fromkeys(c for run in planned for c in run.cell.run.training_columns)
        message = changed_inputs(
            study.data, data.manifest, data.facts, folder.images, tuple(columns)
        )
        raise InputsChangedError(message) from error
    on_event(Scoring("tables"))
    rescore(folder, planned, data)
    write_study_tables(study, folder, planned, data)
    write_understanding(study, folder, planned, on_event)
    write_lock(folder, study, data, planned)


def _announce_time(plan: StudyPlan, options: RunOptions, on_event: OnEvent) -> None:
    """Tell how long what is left takes; refuse what takes longer than it may.

    Raises:
        StudyError: It takes longer than `max_hours`.
    """
    if options.max_hours is not None:
        plan.require_hours(options.max_hours)
    if plan.to_run and plan.seconds is not None:
        low, middle, high = plan.seconds.low, plan.seconds.middle, plan.seconds.high
        on_event(TimeEstimated(plan.to_run, plan.workers, low, middle, high))


def prepare(study: Study, folder: StudyFolder, on_event: OnEvent = ignore_progress) -> StudyData:
    """Read and audit a study's data.

    Raises:
        StudyError: The audit found errors that are not waived.
    """
    data = read_data(
        study,
        folder.images,
        lambda done, total: on_event(Preparing("reading images", done, total)),
        looking=lambda done, total: on_event(Preparing("looking for files", done, total)),
    )
    for note in data.notes:
        logging.getLogger(__name__).warning(note)
    check_findings(study, data.findings)
    return data


def _write_plan(
    study: Study, folder: StudyFolder, data: StudyData, planned: list[PlannedRun]
) -> None:
    """Leave in the folder what is run, on what, and what was found in it."""
    folder.mark(study.name)
    text = yaml.safe_dump(
        study.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True
    )
    write_text(folder.path / "study.yaml", text)
    runs = [
        {
            **request_of(run).model_dump(exclude=NOT_PLANNED),
            "kind": kind_of(run),
            "steps": run.steps,
            "training_cases": run.num_cases,
            "images": run.num_images,
            "test_cases": sum(cohort.cases for cohort in run.predicted.cohorts),
            "tested": {cohort.cohort: cohort.images for cohort in run.predicted.cohorts},
        }
        for run in planned
    ]
    folder.write("plan.json", runs)
    folder.write(
        "data.json",
        {
            "digest": data.digest,
            "images": len(data.manifest),
            "decoding": decoding_of(data.facts),
            "findings": [_record(finding) for finding in data.findings],
            "waived": study.waive,
            "notes": list(data.notes),
            "flow": flow_of(study, data),
        },
    )


def _record(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "level": finding.level, "sentence": finding.sentence}
