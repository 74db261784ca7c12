"""From a recipe to a rung: one run in a worker, resumed by the same call. No torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medtransfer.data.scan import Progress, scan_images
from medtransfer.data.upstream import read_upstream
from medtransfer.errors import StudyError
from medtransfer.files import make_folder
from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.sources import find_weights, verified_digest
from medtransfer.study.executors.local import EXIT_STOPPED, LocalExecutor, WorkerLost
from medtransfer.study.inputs import known_architecture, upstream_needs, upstream_spec
from medtransfer.study.progress import Preparing
from medtransfer.study.run import Pretrain, pretrain_id
from medtransfer.study.rungs import RungFolder
from medtransfer.study.stopping import stopping
from medtransfer.study.store import Lease, StudyFolder

Hear = Callable[[Preparing | dict[str, Any]], None]
"""Hears of images being read, and of the worker's events."""


class PretrainingStopped(Exception):  # noqa: N818
    """It was asked to stop and has saved its state; the same command goes on."""


def run_pretraining(run: Pretrain, out: Path | None, hear: Hear) -> RungFolder:
    """Carry a pre-training run to its end, going on where it was stopped.

    Args:
        run: From `document.read_pretrain`, or made in Python.
        out: The rung's folder; ``rungs/<name>`` by default.
        hear: Hears of progress.

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
    try:

        def tell(what: str) -> Progress:
            return lambda done, total: hear(Preparing(what, done, total))

        limit, reading = run.data.pixel_limit, tell("reading images")
        facts = scan_images(upstream.manifest, limit, folder.images, reading)
        run_id = pretrain_id(run, upstream.digest(facts), _weights_digest(run))
        folder.claim(run_id)
        if not folder.is_done():
            spec = upstream_spec(run, known_architecture(run.rung))
            for need in upstream_needs(run, spec, upstream):
                need.make(upstream.manifest, facts, folder.cache, tell("preparing images"))
            about = {"run_id": run_id, "pretrain": run.model_dump(mode="json")}
            _carry_out(folder, about, lease, hear)
    finally:
        lease.drop()
    return folder


def _weights_digest(run: Pretrain) -> str | None:
    """SHA-256 of the weights it starts from; None for random ones."""
    path = find_weights(ModelConfig(rung=run.rung, weights=run.weights))
    return None if path is None else verified_digest(path, find_rung(run.rung))


def _carry_out(folder: RungFolder, about: dict[str, Any], lease: Lease, hear: Hear) -> None:
    executor = LocalExecutor(folder.path)
    with stopping(executor) as asked:
        try:
            for event in executor.execute(about):
                lease.renew()
                if event is not None:
                    hear(event)
        except WorkerLost as lost:
            if lost.signal != "SIGTERM" and lost.code != EXIT_STOPPED:
                raise StudyError(
                    f"{lost}. The same command goes on from the last checkpoint; a smaller "
                    "training.micro_batch needs less memory."
                ) from lost
        finally:
            executor.close()
    if folder.is_done():
        return
    error = folder.error()
    if error is not None:
        raise StudyError(f'Pre-training "{folder.path.name}" {error["state"]}: {error["message"]}')
    if asked.is_set():
        raise PretrainingStopped
    raise StudyError(f'Pre-training "{folder.path.name}" did not end. Run the same command again.')
