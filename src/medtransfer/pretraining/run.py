"""From a recipe to a rung: one run in a worker, resumed by the same call. No torch."""

from pathlib import Path
from typing import Any

from medtransfer.data.images.scan import Progress, scan_images
from medtransfer.engines.local import EXIT_STOPPED, LocalExecutor, WorkerDied
from medtransfer.engines.stopping import stopping
from medtransfer.errors import StudyError
from medtransfer.files import make_folder
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.own_rungs import OWN
from medtransfer.models.weight_files import find_weights, verified_digest
from medtransfer.pretraining.config import Pretrain, pretrain_id
from medtransfer.pretraining.dataset import read_upstream, upstream_requests, upstream_spec
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.inputs import known_architecture
from medtransfer.study.progress import (
    OnEvent,
    Preparing,
    PretrainStep,
    ProgressFile,
    RunEta,
    RungMade,
    ignore_progress,
)


class PretrainingStopped(Exception):  # noqa: N818
    """It was asked to stop and has saved its state; the same command goes on."""


def pretrain(
    run: Pretrain, out: Path | None = None, watch: OnEvent = ignore_progress
) -> RungFolder:
    """Carry a pre-training run to its end, going on where it was stopped.

    Args:
        run: From `document.read_pretrain`, or made in Python.
        out: The rung's folder; ``rungs/<name>`` by default.
        watch: Hears of progress.

    Returns:
        The rung's folder.

    Raises:
        MedTransferError: Something a user can mend; nothing that was computed is lost.
        PretrainingStopped: Ctrl-C or SIGTERM; state is saved.
    """
    upstream = read_upstream(run.data)  # first: a recipe that is refused leaves no folder
    folder = RungFolder.of(run, out)
    make_folder(folder.path)
    lease = Lease(StudyFolder(folder.path))
    lease.take()
    told = PretrainReporter(run, folder, watch)
    try:
        limit, reading = run.data.pixel_limit, told.preparing("reading images")
        facts = scan_images(upstream.manifest, limit, folder.images, reading)
        run_id = pretrain_id(run, upstream.digest(facts), _weights_digest(run))
        folder.claim(run_id)
        if not folder.is_done():
            spec = upstream_spec(run, known_architecture(run.rung))
            for need in upstream_requests(run, spec, upstream):
                need.make(
                    upstream.manifest, facts, folder.cache, told.preparing("preparing images")
                )
            about = {"run_id": run_id, "pretrain": run.model_dump(mode="json")}
            _carry_out(folder, about, lease, told)
        watch(RungMade(told.rung, str(folder.path)))
    finally:
        lease.drop()
    return folder


class PretrainReporter:
    """What a watcher hears of a pre-training run, and what is noted of it."""

    def __init__(self, run: Pretrain, folder: RungFolder, watch: OnEvent) -> None:
        self.rung = f"{OWN}/{run.name}"
        self.notes = ProgressFile(folder)
        self._watch = watch
        self._left = RunEta(run.training.sides)
        self._trains = "step" in folder.progress()

    def preparing(self, what: str) -> Progress:
        """Hears of images; how far training was before says more, where it goes on."""

        def hear(done: int, total: int) -> None:
            event = Preparing(what, done, total)
            self._watch(event)
            if not self._trains:
                self.notes.update({"rung": self.rung, **vars(event)})

        return hear

    def step(self, event: dict[str, Any]) -> None:
        """Take in what the worker says after a step."""
        step, steps = event["step"], event["steps"]
        said = PretrainStep(
            step,
            steps,
            event["loss"],
            event["images_per_second"],
            event["tune_auroc"],
            self._left.after(step, steps),
        )
        self._watch(said)
        self.notes.update({"rung": self.rung, **vars(said)}, last=step == steps)


def _weights_digest(run: Pretrain) -> str | None:
    """SHA-256 of the weights it starts from; None for random ones."""
    path = find_weights(ModelConfig(rung=run.rung, weights=run.weights))
    return None if path is None else verified_digest(path, find_rung(run.rung))


def _carry_out(
    folder: RungFolder, about: dict[str, Any], lease: Lease, told: "PretrainReporter"
) -> None:
    executor = LocalExecutor(folder.path)
    with stopping(executor) as asked:
        try:
            for event in executor.execute(about):
                lease.renew()
                if event is not None and event["event"] == "step":
                    told.step(event)
        except WorkerDied as lost:
            if lost.signal != "SIGTERM" and lost.code != EXIT_STOPPED:
                raise StudyError(
                    f"{lost}. The same command goes on from the last checkpoint; a smaller "
                    "training.micro_batch needs less memory."
                ) from lost
        finally:
            told.notes.write()
            executor.close()
    if folder.is_done():
        return
    error = folder.error()
    if error is not None:
        raise StudyError(f'Pre-training "{folder.path.name}" {error["state"]}: {error["message"]}')
    if asked.is_set():
        raise PretrainingStopped
    raise StudyError(f'Pre-training "{folder.path.name}" did not end. Run the same command again.')
