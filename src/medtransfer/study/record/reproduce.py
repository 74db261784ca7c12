"""Repetition of a finished run from its recorded inputs, compared with it to the bit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from medtransfer.data.images.scan import scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.engines.local import LocalExecutor
from medtransfer.engines.local_engine import LocalEngine
from medtransfer.engines.machine import usable_cores
from medtransfer.errors import MedTransferError, StudyError, fault_list, printable
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.architectures import Precision
from medtransfer.models.weight_files import model_digest
from medtransfer.runs.config import run_id as name_of
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import Lease, RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    PlannedInputs,
    data_digest,
    read_run_manifest,
    training_digest,
)
from medtransfer.runs.messages import RunRequest
from medtransfer.runs.progress import RunEta
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.tested.files import cohort_predictions, read_identity
from medtransfer.study.execution.dispatch import dispatch
from medtransfer.study.execution.jobs import TrainingJob
from medtransfer.study.execution.one import step_event
from medtransfer.study.execution.requests import name_of_request, recorded_request
from medtransfer.study.execution.stopped import StudyStopped
from medtransfer.study.record.comparison import (
    ComparedPart,
    LogitDifference,
    compare_histories,
    compare_predictions,
    compare_weights,
)
from medtransfer.study.record.differences import Difference, Plain, differences, flat

PLACE = Path("reproduced")
"""Folder of repetitions, by default."""


@dataclass(frozen=True)
class Reproduction:
    """A run beside its repetition.

    Attributes:
        run_id: Its id.
        folder: Of the repetition.
        parts: Predictions, weights and validations.
        largest: The largest difference of a logit; None if there is none.
        circumstances: Recorded circumstances that were not the same.
    """

    run_id: str
    folder: str
    parts: tuple[ComparedPart, ...]
    largest: LogitDifference | None
    circumstances: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        """True if everything that could be compared is equal to the bit."""
        return all(part.is_equal is not False for part in self.parts)

    def plain(self) -> dict[str, object]:
        """The outcome as a JSON object."""
        return {**asdict(self), "is_equal": self.is_equal}


def reproduce_run(
    folder: StudyFolder,
    run_id: str,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
) -> Reproduction:
    """Carry out a finished run again in a folder of its own, and compare the two to the bit.

    Images are prepared anew from the files. On a CPU, and on CUDA with `training.deterministic`,
    the same circumstances give the same bits.

    Args:
        folder: Of the study.
        run_id: A finished run.
        out: Folder of the repetition; `reproduced/RUN_ID` by default. One that was stopped is
            resumed, one that is done is compared only.
        on_event: Called with every progress event.

    Returns:
        The parts of both with their digests, the largest difference of a logit, and circumstances
        that were not the same.

    Raises:
        StudyError: The run is not finished, its inputs have changed, or the repetition failed.
        StudyStopped: Ctrl-C or SIGTERM; the state of the repetition is saved.
    """
    run = folder.run(run_id)
    request = recorded_request(run)
    if not run.is_done() or request is None:
        raise StudyError(
            f"Run '{printable(run_id)}' is not finished or not there, so there is nothing to "
            "compare with. `medtransfer status` lists the runs."
        )
    run.require_sealed()
    if request.start is not None:
        raise StudyError(
            f"Run {run.run_id} goes on from the weights of run {request.start}, which a repetition "
            "does not make. Reproduce that run; nothing was run."
        )
    place = StudyFolder(out or PLACE / run_id)
    place.claim(f"reproduce-{run_id}")
    lease = Lease(place, "repetition")
    lease.take()
    try:
        with place.sealing():
            planned = _require_inputs(run, request, place, on_event)
            again = request.model_copy(update={"inputs": planned, "threads": _threads(run)})
            again = again.model_copy(update={"precision": _precision(run)})
            if not place.run(run_id).is_done():
                _carry_out(place, again, lease, on_event)
    finally:
        lease.drop()
    return _compare(run, place.run(run_id), place)


def _threads(run: RunFolder) -> int | None:
    """Threads that the run had, which can change last digits."""
    machines = run.environments()
    threads = machines[0].get("threads") if machines else None
    return threads if isinstance(threads, int) else None


def _precision(run: RunFolder) -> Precision | None:
    """Precision that the run had; None where its version did not record it."""
    precision = run.cost().precision
    return precision if precision in ("float32", "bfloat16") else None


def _require_inputs(
    run: RunFolder, request: RunRequest, place: StudyFolder, on_event: OnEvent
) -> PlannedInputs:
    """Compare data and weights of today with those of a run.

    Raises:
        StudyError: Some have changed, or cannot be read; all of them are named.
    """
    config = request.run
    try:
        manifest = read_run_manifest(config.data, images=find_rung(config.model.rung).reads_images)
        facts = scan_images(
            manifest,
            config.data.pixel_limit,
            place.images,
            lambda done, total: on_event(Preparing("reading images", done, total)),
        )
        weights = model_digest(config.model)
    except MedTransferError as error:
        raise StudyError(f"The inputs of run {run.run_id} cannot be read: {error}") from error
    frame = assign_splits(manifest, config.data)
    faults: list[str] = []
    if weights != run.cost().weights:
        faults.append(f"the weights of rung '{config.model.rung}' have another content")
    trained_on = training_digest(frame, facts, config.data, config.training_columns)
    identity = name_of(config, trained_on, run.cost().weights)
    if identity != (read_identity(run) or run.run_id):
        faults.append(
            "the rows and images that train and select are others, or this version of the package "
            f"carries out such a run otherwise (its id is now {identity})"
        )
    predicted = {
        table.cohort: images
        for images, table in cohort_predictions(run).items()
        if table.added is None
    }
    cases = PredictedCases(frame, facts, config.data, config.model.covariates)
    now = {cohort.cohort: cohort.images for cohort in cases.cohorts}
    changed = [name for name, images in predicted.items() if now.get(name) != images]
    faults += [f"the test cases of {printable(name)} are others" for name in changed]
    if faults:
        raise StudyError(
            fault_list(
                f"Run {run.run_id} cannot be reproduced",
                faults,
                "Put the files back that it was made from; nothing was run.",
            )
        )
    digest = data_digest(manifest, facts, config.data, config.training_columns)
    return PlannedInputs(digest, weights)


def _carry_out(place: StudyFolder, request: RunRequest, lease: Lease, on_event: OnEvent) -> None:
    """Carry out the repetition, or resume it."""
    name, eta = name_of_request(request), RunEta()
    job = TrainingJob(place, request, lambda step: on_event(step_event(name, step, eta)))
    engine = LocalEngine(place.path, cores=usable_cores(), make=LocalExecutor)
    is_over = dispatch(engine, [job], lease, lambda _job, _waiting: None)
    if not is_over or job.was_stopped:
        raise StudyStopped(0, 1)
    run = place.run(request.run_id)
    error = run.error()
    if not run.is_done():
        reason = "it was lost" if error is None else error.message
        raise StudyError(f"The repetition of run {request.run_id} has no result: {reason}")


def _compare(then: RunFolder, now: RunFolder, place: StudyFolder) -> Reproduction:
    predicted = then.predictions()
    again = now.predictions()
    cohorts = predicted["cohort"].unique().implode()
    predictions, largest = compare_predictions(
        predicted, again.filter(again["cohort"].is_in(cohorts))
    )
    return Reproduction(
        run_id=then.run_id,
        folder=str(place.path),
        parts=(predictions, compare_weights(then, now), compare_histories(then, now)),
        largest=largest,
        circumstances=tuple(differences(_circumstances(then), _circumstances(now))),
    )


def _circumstances(run: RunFolder) -> dict[str, Plain]:
    """Machine, packages, code, precision and micro-batch of a run, by dotted name."""
    machines: Sequence[dict[str, Plain]] = run.environments()
    facts: dict[str, Plain] = {}
    for number, machine in enumerate(machines, start=1):
        facts |= flat(machine, f"machine {number}" if len(machines) > 1 else "")
    cost = run.cost()
    return {**facts, "precision": cost.precision, "micro_batch": cost.micro_batch}
