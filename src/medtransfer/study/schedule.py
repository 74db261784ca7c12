"""From a study to its finished folder: what is done stays done, what is missing is run."""

import logging
from collections.abc import Sequence
from pathlib import Path

import yaml

from medtransfer.data.audit.run import Finding
from medtransfer.data.images.scan import decoding_of
from medtransfer.engines.local import EXIT_STOPPED, LocalExecutor, WorkerDied
from medtransfer.engines.stopping import stopping
from medtransfer.errors import StudyError, plural
from medtransfer.files import note_change, sweep_temporaries, write_text
from medtransfer.runs.events import (
    OnEvent,
    Planned,
    Preparing,
    Repaired,
    RunEnded,
    RunExtended,
    RunName,
    RunStep,
    Scoring,
    ignore_progress,
)
from medtransfer.runs.folders import Lease, RunFolder, StudyFolder
from medtransfer.runs.inputs import InputsChangedError, changed_inputs
from medtransfer.runs.messages import (
    Finished,
    Interrupted,
    PredictRequest,
    RunRequest,
    StepDone,
)
from medtransfer.runs.progress import ProgressFile, RunProgress
from medtransfer.runs.repairs import repair_study
from medtransfer.runs.tested.additions import additions_of, require_weights
from medtransfer.runs.tested.cases import PredictedCohort
from medtransfer.runs.tested.earlier import mark_earlier_run
from medtransfer.runs.tested.files import missing_cohorts
from medtransfer.study.caches import cache_states, make_caches, unmet_needs
from medtransfer.study.config import Keep, Study
from medtransfer.study.image_checks import audit_study_images
from medtransfer.study.plan import (
    PlannedRun,
    RungEta,
    StudyData,
    check_findings,
    flow_of,
    plan_runs,
    read_data,
)
from medtransfer.study.tables import rescore, write_study_tables
from medtransfer.study.yaml_file import resolve_paths


class StudyStopped(Exception):  # noqa: N818
    """The study was asked to stop; the same command goes on.

    Attributes:
        done: Runs that are over.
        total: Runs of the study.
    """

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"{done} of {total} runs are done. Run the same command again to resume.")
        self.done, self.total = done, total


def run_study(
    study: Study,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    verify: bool = False,
) -> StudyFolder:
    """Run what is missing of a study.

    Args:
        study: From `read_study`, or made in Python (paths are relative to the working folder).
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with every progress event.
        verify: Compare the content of every finished file with its seal, not only size and times.

    Returns:
        The study's folder, its tables written.

    Raises:
        MedTransferError: Something a user can mend; nothing that was computed is lost.
        StudyStopped: Ctrl-C or SIGTERM; state is saved.
    """
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
            for repair in repair_study(folder, verify=verify, was_killed=was_killed):
                on_event(Repaired(repair.file, str(repair)))
            data = prepare(study, folder, on_event)
        with folder.sealing():
            _complete(study, folder, data, lease, on_event)
    finally:
        lease.drop()
    return folder


def _complete(
    study: Study, folder: StudyFolder, data: StudyData, lease: Lease, on_event: OnEvent
) -> None:
    """Run what is missing and write the tables."""
    planned = plan_runs(study, data, folder)
    for run in planned:
        if run.earlier is not None:
            mark_earlier_run(folder, run.earlier, run.identity, run.predicted.cohorts)
    require_weights(_with_folders(folder, runs_to_extend(folder, planned)))
    _write_plan(study, folder, data, planned)
    states = cache_states(folder, data, unmet_needs(folder, planned))
    make_caches(folder, data, states, on_event)
    data = audit_study_images(study, folder, data, planned, on_event)
    check_findings(study, data.findings)
    _write_plan(study, folder, data, planned)
    execution = StudyExecution(folder, planned, lease, on_event, keep=study.keep)
    try:
        execution.run_missing()
        execution.extend_finished()
    except InputsChangedError as error:
        message = changed_inputs(study.data, data.manifest, data.facts, folder.images)
        raise InputsChangedError(message) from error
    on_event(Scoring("tables"))
    rescore(folder, planned, data)
    write_study_tables(study, folder, planned, data)


def prepare(study: Study, folder: StudyFolder, on_event: OnEvent = ignore_progress) -> StudyData:
    """Read and audit a study's data.

    Raises:
        StudyError: The audit found errors that are not waived.
    """
    data = read_data(
        study, folder.images, lambda done, total: on_event(Preparing("reading images", done, total))
    )
    for note in data.manifest.notes:
        logging.getLogger(__name__).warning(note)
    check_findings(study, data.findings)
    return data


class StudyExecution:
    """Execution of a study's missing runs, one after another."""

    def __init__(
        self,
        folder: StudyFolder,
        planned: list[PlannedRun],
        lease: Lease,
        on_event: OnEvent,
        *,
        keep: Keep = "weights",
    ) -> None:
        self.folder, self.planned, self.lease, self.on_event = folder, planned, lease, on_event
        self.keep: Keep = keep
        ended = [r for r in planned if folder.run(r.run_id).state() in ("done", "diverged")]
        self.waiting = [r for r in planned if r not in ended]
        self.finished = len(ended)
        self.eta = RungEta()
        self.executor = LocalExecutor(folder.path)

    def run_missing(self) -> None:
        """Run what is neither done nor diverged; a failed run leaves its error, others go on.

        Raises:
            StudyStopped: It was asked to stop.
        """
        self.on_event(Planned(tuple(run_name(run) for run in self.planned), self.finished))
        with stopping(self.executor) as asked:
            try:
                while self.waiting:
                    run = self.waiting.pop(0)
                    self.finished += self._run_one(run)
                    if asked.is_set():
                        raise StudyStopped(self.finished, len(self.planned))
                    self._announce(run)
                    self._drop_weights(run)
            finally:
                self.executor.close()

    def extend_finished(self) -> None:
        """Have finished runs predict the cohorts that they have not; nothing is trained.

        Raises:
            StudyStopped: It was asked to stop.
            StudyError: Some runs could not; the others have.
        """
        waiting = runs_to_extend(self.folder, self.planned)
        for event in additions_of(_with_folders(self.folder, waiting)):
            self.on_event(event)
        failures: list[str] = []
        with stopping(self.executor) as asked:
            try:
                for place, (run, cohorts) in enumerate(waiting):
                    names = tuple(cohort.cohort for cohort in cohorts)
                    failure = self._extend_one(run, names)
                    if failure is None or asked.is_set():
                        raise StudyStopped(self.finished, len(self.planned))
                    failures += [failure] if failure else []
                    done = place + 1 - len(failures)
                    self.on_event(RunExtended(run_name(run), names, failure, done, len(waiting)))
            finally:
                self.executor.close()
        if failures:
            raise StudyError(
                f"{len(failures)} of {plural(len(waiting), 'finished run')} could not predict the "
                f"added cohorts: {failures[0]} The tables were not made again. Run the same "
                "command again to retry."
            )
        for run in self.planned:
            self._drop_weights(run)

    def _extend_one(self, run: PlannedRun, cohorts: tuple[str, ...]) -> str | None:
        """Have a run predict cohorts; the reason if it could not, None if it was stopped."""
        for path in (self.folder.run(run.run_id).path, self.folder.images, self.folder.features):
            note_change(path)  # the worker writes there
        request = PredictRequest(
            run_id=run.run_id, cohorts=cohorts, run=run.cell.run, inputs=run.inputs
        )
        failure = ""
        try:
            for message in self.executor.execute(request):
                self.lease.require_held()
                match message:
                    case Interrupted():
                        return None
                    case Finished(message=text, inputs_changed=True):
                        raise InputsChangedError(text)
                    case Finished(state="waiting"):
                        raise StudyError(message.message)
                    case Finished():
                        failure = message.message
                    case _:
                        pass
        except WorkerDied as death:
            if death.signal == "SIGTERM" or death.code == EXIT_STOPPED:
                return None
            failure = f"{death}."
        return failure

    def _drop_weights(self, run: PlannedRun) -> None:
        if self.keep == "predictions" and self.folder.run(run.run_id).is_done():
            self.folder.run(run.run_id).drop_weights()

    def _run_one(self, run: PlannedRun) -> bool:
        """Carry one run to its end; False if it was stopped before.

        Raises:
            StudyError: The disk is full, or fails.
        """
        folder = self.folder.run(run.run_id)
        for path in (folder.path, self.folder.images, self.folder.features):
            note_change(path)  # the worker writes there
        progress = ProgressFile(folder)
        try:
            for message in self.executor.execute(request_of(run)):
                self.lease.require_held()
                match message:
                    case StepDone():
                        self.on_event(self._step(run, message))
                        is_last = message.step == message.steps
                        progress.update(
                            RunProgress(message.step, message.steps, message.tune_auroc),
                            last=is_last,
                        )
                    case Interrupted():
                        progress.write()
                        return False
                    case Finished(message=text, inputs_changed=True):
                        raise InputsChangedError(text)
                    case Finished() if folder.state() == "waiting":
                        raise StudyError(message.message)
                    case _:
                        pass
        except WorkerDied as death:
            if death.signal == "SIGTERM" or death.code == EXIT_STOPPED:
                return False
            folder.fail("failed", f"{death}. The same command tries again; {death.advice}")
        return True

    def _announce(self, run: PlannedRun) -> None:
        folder = self.folder.run(run.run_id)
        error = folder.error()
        message = "" if error is None else error.message
        self.on_event(
            RunEnded(run_name(run), folder.state(), message, self.finished, len(self.planned))
        )

    def _step(self, run: PlannedRun, message: StepDone) -> RunStep:
        self.eta.note(run.cell.rung, message.images_per_second)
        left = self.eta.seconds(run, 1 - message.step / message.steps) or 0.0
        return RunStep(
            run=run_name(run),
            step=message.step,
            steps=message.steps,
            loss=message.loss,
            images_per_second=message.images_per_second,
            tune_auroc=message.tune_auroc,
            seconds_left=left,
            study_seconds_left=self.eta.total(self.waiting, left),
        )


def runs_to_extend(
    folder: StudyFolder, planned: Sequence[PlannedRun]
) -> list[tuple[PlannedRun, tuple[PredictedCohort, ...]]]:
    """Finished runs, each with the test cohorts that it has not predicted."""
    return [
        (run, cohorts)
        for run in planned
        if folder.run(run.run_id).is_done()
        and (cohorts := missing_cohorts(folder.run(run.run_id), run.predicted.cohorts))
    ]


def _with_folders(
    folder: StudyFolder, waiting: Sequence[tuple[PlannedRun, tuple[PredictedCohort, ...]]]
) -> list[tuple[RunFolder, tuple[PredictedCohort, ...]]]:
    return [(folder.run(run.run_id), cohorts) for run, cohorts in waiting]


def request_of(run: PlannedRun) -> RunRequest:
    """The request that a worker gets for a run."""
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
    )


def run_name(run: PlannedRun) -> RunName:
    """The run as progress events name it."""
    return RunName(run.run_id, run.cell.rung, run.cell.seed, run.cell.label)


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
            **request_of(run).model_dump(exclude={"run", "inputs"}),
            "steps": run.steps,
            "training_cases": run.num_cases,
            "images": run.num_images,
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
            "notes": list(data.manifest.notes),
            "flow": flow_of(study, data),
        },
    )


def _record(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "level": finding.level, "sentence": finding.sentence}
