"""From a study to its finished folder: what is done stays done, what is missing is run."""

from pathlib import Path
from typing import Any

import yaml

from medtransfer.data.audit.run import Finding
from medtransfer.data.images.scan import decoding_of
from medtransfer.engines.local import EXIT_STOPPED, LocalExecutor, WorkerDied
from medtransfer.engines.stopping import stopping
from medtransfer.errors import StudyError
from medtransfer.files import sweep_temporaries, write_text
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.caches import cache_states, make_caches, unmet_needs
from medtransfer.study.config import Study
from medtransfer.study.image_checks import look_at_pictures
from medtransfer.study.plan import (
    PlannedRun,
    StudyData,
    check_findings,
    flow_of,
    plan_runs,
    read_data,
)
from medtransfer.study.progress import (
    OnEvent,
    Planned,
    Preparing,
    ProgressFile,
    RunEnded,
    RungEta,
    RunStep,
    Scoring,
    ignore_progress,
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
        super().__init__(f"{done} of {total} runs are done. The same command goes on from here.")
        self.done, self.total = done, total


def run_study(
    study: Study, out: Path | None = None, watch: OnEvent = ignore_progress
) -> StudyFolder:
    """Run what is missing of a study.

    Args:
        study: From `read_study`, or made in Python (paths are relative to the working folder).
        out: The study's folder; ``studies/<name>`` by default.
        watch: Hears of progress.

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
    lease.take()
    sweep_temporaries(folder.path, deep=False)  # runs and caches sweep their own
    try:
        data = prepare(study, folder, watch)
        planned = plan_runs(study, data)
        _write_plan(study, folder, data, planned)
        states = cache_states(folder, data, unmet_needs(folder, planned))
        make_caches(folder, data, states, watch)
        data = look_at_pictures(study, folder, data, planned, watch)
        check_findings(study, data.findings)
        _write_plan(study, folder, data, planned)
        _Sitting(folder, planned, lease, watch).run_missing()
        watch(Scoring("tables"))
        rescore(folder, planned, data)
        write_study_tables(study, folder, planned, data)
    finally:
        lease.drop()
    return folder


def prepare(study: Study, folder: StudyFolder, watch: OnEvent = ignore_progress) -> StudyData:
    """Read and audit a study's data.

    Raises:
        StudyError: The audit found errors that are not waived.
    """
    data = read_data(
        study, folder.images, lambda done, total: watch(Preparing("reading images", done, total))
    )
    check_findings(study, data.findings)
    return data


class _Sitting:
    """One go at a study's missing runs."""

    def __init__(
        self, folder: StudyFolder, planned: list[PlannedRun], lease: Lease, watch: OnEvent
    ) -> None:
        self.folder, self.planned, self.lease, self.watch = folder, planned, lease, watch
        over = [r for r in planned if folder.run(r.run_id).state() in ("done", "diverged")]
        self.waiting = [r for r in planned if r not in over]
        self.finished = len(over)
        self.clock = RungEta()
        self.executor = LocalExecutor(folder.path)

    def run_missing(self) -> None:
        """Run what is neither done nor diverged; a failure leaves its error, others go on.

        Raises:
            StudyStopped: It was asked to stop.
        """
        self.watch(Planned(tuple(self.planned), self.finished))
        with stopping(self.executor) as asked:
            try:
                while self.waiting:
                    run = self.waiting.pop(0)
                    self.finished += self._run_one(run)
                    if asked.is_set():
                        raise StudyStopped(self.finished, len(self.planned))
                    self._announce(run)
            finally:
                self.executor.close()

    def _run_one(self, run: PlannedRun) -> bool:
        """Carry one run to its end; False if it was stopped on the way.

        Raises:
            StudyError: The disk is full, or fails.
        """
        notes = ProgressFile(self.folder.run(run.run_id))
        try:
            for event in self.executor.execute(_about(run)):
                self.lease.renew()
                if event is None:
                    continue
                if event["event"] == "stopped":
                    notes.write()
                    return False
                if event["event"] == "step":
                    self.watch(self._step(run, event))
                    about = {key: event[key] for key in ("step", "steps", "tune_auroc")}
                    notes.update(about, last=event["step"] == event["steps"])
                elif self.folder.run(run.run_id).state() == "waiting":
                    raise StudyError(event["message"])
        except WorkerDied as lost:
            if lost.signal == "SIGTERM" or lost.code == EXIT_STOPPED:
                return False
            message = f"{lost}. The same command tries again; {lost.advice}"
            self.folder.run(run.run_id).fail("failed", message)
        return True

    def _announce(self, run: PlannedRun) -> None:
        own = self.folder.run(run.run_id)
        message = (own.error() or {}).get("message", "")
        self.watch(RunEnded(run, own.state(), message, self.finished, len(self.planned)))

    def _step(self, run: PlannedRun, event: dict[str, Any]) -> RunStep:
        self.clock.note(run.cell.rung, event["images_per_second"])
        left = self.clock.seconds(run, 1 - event["step"] / event["steps"]) or 0.0
        return RunStep(
            run,
            event["step"],
            event["steps"],
            event["loss"],
            event["images_per_second"],
            event["tune_auroc"],
            left,
            self.clock.total(self.waiting, left),
        )


def _about(run: PlannedRun) -> dict[str, Any]:
    """What ``run.json`` holds."""
    cell = run.cell
    return {
        "run_id": run.run_id,
        "rung": cell.rung,
        "label_fraction": cell.label_fraction,
        "shots": cell.shots,
        "seed": cell.seed,
        "held_out": cell.held_out,
        "retrain_fraction": cell.retrain_fraction,
        "run": cell.run.model_dump(mode="json"),
    }


def _write_plan(
    study: Study, folder: StudyFolder, data: StudyData, planned: list[PlannedRun]
) -> None:
    """Leave in the folder what is run, on what, and what was found in it."""
    text = yaml.safe_dump(
        study.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True
    )
    write_text(folder.path / "study.yaml", text)
    runs = [
        {
            **_about(run),
            "steps": run.steps,
            "training_cases": run.num_cases,
            "images": run.num_images,
        }
        for run in planned
    ]
    folder.write("plan.json", [{k: v for k, v in run.items() if k != "run"} for run in runs])
    folder.write(
        "data.json",
        {
            "digest": data.digest,
            "images": len(data.manifest),
            "decoding": decoding_of(data.facts),
            "findings": [_said(finding) for finding in data.findings],
            "waived": study.waive,
            "flow": flow_of(study, data),
        },
    )


def _said(finding: Finding) -> dict[str, Any]:
    return {"code": finding.code, "level": finding.level, "sentence": finding.sentence}
