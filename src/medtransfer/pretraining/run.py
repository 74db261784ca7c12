"""From a recipe to a rung: one run in a worker, resumed by the same call. No torch."""

from pathlib import Path

from medtransfer.data.images.scan import Progress, scan_images
from medtransfer.engines.local import EXIT_STOPPED, LocalExecutor, WorkerDied
from medtransfer.engines.stopping import stopping
from medtransfer.errors import StudyError
from medtransfer.files import make_folder, sweep_temporaries
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.own_rungs import OWN
from medtransfer.models.weight_files import find_weights, verified_digest
from medtransfer.pretraining.config import Pretrain, PretrainRequest, pretrain_id
from medtransfer.pretraining.dataset import read_upstream, upstream_requests, upstream_spec
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.events import OnEvent, Preparing, PretrainStep, RungMade, ignore_progress
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.inputs import known_architecture
from medtransfer.runs.messages import Finished, StepDone
from medtransfer.runs.progress import ProgressFile, RunEta, RungProgress


class PretrainingStopped(Exception):  # noqa: N818
    """It was asked to stop and has saved its state; the same command goes on."""


def pretrain(
    run: Pretrain, out: Path | None = None, on_event: OnEvent = ignore_progress
) -> RungFolder:
    """Carry a pre-training run to its end, going on where it was stopped.

    Args:
        run: From `yaml_file.read_pretrain`, or made in Python.
        out: The rung's folder; ``rungs/<name>`` by default.
        on_event: Called with every progress event.

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
    sweep_temporaries(folder.path, deep=False)  # also of a rung that was killed after its end
    reporter = PretrainReporter(run, folder, on_event)
    try:
        limit, reading = run.data.pixel_limit, reporter.preparing("reading images")
        facts = scan_images(upstream.manifest, limit, folder.images, reading)
        run_id = pretrain_id(run, upstream.digest(facts), _weights_digest(run))
        folder.claim(run_id)
        if not folder.is_done():
            spec = upstream_spec(run, known_architecture(run.rung))
            for need in upstream_requests(run, spec, upstream):
                need.make(
                    upstream.manifest, facts, folder.cache, reporter.preparing("preparing images")
                )
            request = PretrainRequest(run_id=run_id, pretrain=run)
            _carry_out(folder, request, lease, reporter)
        on_event(RungMade(reporter.rung, str(folder.path)))
    finally:
        lease.drop()
    return folder


class PretrainReporter:
    """Progress events of a pre-training run, also kept in its folder."""

    def __init__(self, run: Pretrain, folder: RungFolder, on_event: OnEvent) -> None:
        self.rung = f"{OWN}/{run.name}"
        self.file = ProgressFile(folder)
        self._on_event = on_event
        self._eta = RunEta(run.training.sides)
        self._was_training = "step" in folder.progress()

    def preparing(self, what: str) -> Progress:
        """A callback for images; the file keeps the training progress of an earlier attempt."""

        def report(done: int, total: int) -> None:
            event = Preparing(what, done, total)
            self._on_event(event)
            if not self._was_training:
                self.file.update(RungProgress(self.rung, event))

        return report

    def step(self, message: StepDone) -> None:
        """Report a training step."""
        event = PretrainStep(
            step=message.step,
            steps=message.steps,
            loss=message.loss,
            images_per_second=message.images_per_second,
            held_out_score=message.tune_auroc,
            seconds_left=self._eta.after(message.step, message.steps),
        )
        self._on_event(event)
        self.file.update(RungProgress(self.rung, event), last=event.step == event.steps)


def _weights_digest(run: Pretrain) -> str | None:
    """SHA-256 of the weights it starts from; None for random ones."""
    path = find_weights(ModelConfig(rung=run.rung, weights=run.weights))
    return None if path is None else verified_digest(path, find_rung(run.rung))


def _carry_out(
    folder: RungFolder, request: PretrainRequest, lease: Lease, reporter: PretrainReporter
) -> None:
    executor = LocalExecutor(folder.path)
    with stopping(executor) as asked:
        try:
            for message in executor.execute(request):
                lease.require_held()
                match message:
                    case StepDone():
                        reporter.step(message)
                    case Finished(state="waiting", message=text):
                        raise StudyError(text)
                    case _:
                        pass
        except WorkerDied as death:
            if death.signal != "SIGTERM" and death.code != EXIT_STOPPED:
                raise StudyError(
                    f"{death}. The same command goes on from the last checkpoint; a smaller "
                    "training.micro_batch needs less memory."
                ) from death
        finally:
            reporter.file.write()
            executor.close()
    if folder.is_done():
        return
    name = folder.path.name
    error = folder.error()
    if error is not None:
        raise StudyError(f'Pre-training "{name}" {error.state}: {error.message}')
    if asked.is_set():
        raise PretrainingStopped
    raise StudyError(f'Pre-training "{name}" did not end. Run the same command again.')
