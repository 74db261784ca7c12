"""The spine: one run from its manifest to its results, one arrow a line."""

import platform
import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import polars as pl
import torch

from medtransfer.data.cases import build_cases, reported_attributes
from medtransfer.data.images.cache import CachedImages, require_intact
from medtransfer.data.images.decode import decoders
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError
from medtransfer.files import remove
from medtransfer.integrity.code_digest import code_digest
from medtransfer.models.classifier import (
    BuiltClassifier,
    Classifier,
    PrecisionSetting,
    build_classifier,
    resolve_precision,
)
from medtransfer.models.ladder import find_rung
from medtransfer.models.precision.choice import Passes, PrecisionChooser, decide_precision
from medtransfer.models.precision.decision import PrecisionDecision
from medtransfer.models.rungs.architectures import Precision
from medtransfer.models.runtime import world
from medtransfer.runs.config import Transfer, run_id, scoring_digest
from medtransfer.runs.embedded.transfer import transfer_features
from medtransfer.runs.fine_tune import (
    RunCases,
    fine_tune,
    load_start,
    partition_cases,
    prediction_parts,
    prepare_tuning,
)
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    PlannedInputs,
    RunData,
    cache_requests,
    input_spec,
    known_architecture,
    merge_requests,
    training_digest,
)
from medtransfer.runs.probe import FeatureSource, feature_blocks, needed_blocks, probe, start_head
from medtransfer.runs.records import RunCost
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.tested.files import write_tested
from medtransfer.runs.understanding.looks import gather_looks
from medtransfer.training.bit_hyperrule import make_schedule
from medtransfer.training.checkpoint import TrainingState
from medtransfer.training.config import TrainingConfig
from medtransfer.training.distributed import shard_weights
from medtransfer.training.loop import ProgressCallback


def no_heartbeat(*_: object) -> None:
    """Take a sign of life and do nothing."""


def transfer(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    on_step: ProgressCallback,
    heartbeat: Callable[..., None] = no_heartbeat,
    *,
    planned: PlannedInputs | None = None,
    tune_only: bool = False,
    precision: Precision | None = None,
    looks: bool = False,
    start: str | None = None,
) -> None:
    """Carry one transfer run from its manifest to its results.

    Args:
        run: Its configuration.
        study: Holds the facts and caches of the images.
        folder: The run's; a stopped run resumes from its last checkpoint. Of several processes
            only rank 0 writes to it.
        on_step: Called after every step; it may ask to stop.
        heartbeat: Called after every pass through the network.
        planned: Digests of data and weights that the run's id was made from; None compares nothing.
        tune_only: Predict the tuning split alone; the test split is predicted later, when the run
            was selected.
        precision: That it must have; None for its setting.
        looks: Predict test cases at each validation too, see `understanding.looks`.
        start: Id of the finished run whose weights it goes on from; None for those of its rung.

    Raises:
        InputsChangedError: Labels or images are not those of the plan, before training or after it.
        MedTransferError: Something a user can mend.
        Diverged: The loss is no longer a number.
        Stopped: `on_step` asked to stop.
    """
    if not find_rung(run.model.rung).reads_images:
        transfer_features(run, study, folder, on_step, planned=planned, tune_only=tune_only)
        return
    data = RunData(run, study.images, planned)
    manifest, facts = data.manifest, data.facts
    frame = assign_splits(manifest, run.data)
    cases = build_cases(frame, run.data)
    split = partition_cases(cases, frame, run)

    spec = input_spec(run, known_architecture(run.model.rung), frame, facts)
    device = pick_device(run.training)
    passes = run_passes(run, split, spec)
    decision = run_precision(run, passes, study, folder, asked=precision)
    built = build_classifier(
        run.model,
        len(run.data.names),
        seed=run.seed,
        device=device,
        precision=decision.precision,
        input_size=spec.crop,
    )
    if planned is not None:
        planned.require_weights(run.model.rung, built.weights)
    if split.width:
        built.classifier.add_covariates(split.width)
    load_start(built.classifier, study.run(start) if start else None)
    trained_parameters = prepare_tuning(built.classifier, run.training.tuning, run.seed)
    classifier = move_to_device(built.classifier, device, run.training, heartbeat)

    requests = cache_requests(run, spec, frame)
    split = split.without_test() if tune_only else split
    blocks = feature_blocks(cases, manifest.frame)
    if run.training.tuning.mode == "linear":
        images = [r.make(manifest, facts, study.cache) for r in merge_requests(requests)]
        blocks = needed_blocks(blocks, split.train, split.predicted)
        source = FeatureSource(blocks, images[0], spec, study.features)
        model = probe(run, built, split, source, folder=folder, on_step=on_step)
    else:
        images = [request.make(manifest, facts, study.cache) for request in requests]
        blocks = needed_blocks(blocks, split.train, (split.tune,))
        source = FeatureSource(blocks, images[1].beside(images[2]), spec, study.features)
        model = fine_tune(
            run,
            classifier,
            split,
            images,
            spec,
            folder=folder,
            on_step=on_step,
            looks=looks,
            start_head=None
            if start
            else partial(start_head, run, built, split, source, on_step=on_step),
        )

    if not world().is_main:
        return
    data.require_unchanged()
    require_intact_caches(images, folder)
    predictions = pl.concat(prediction_parts(model.outputs, run, folder.run_id)).sort("case_id")
    folder.write_history(vars(check) for check in model.checks)
    gather_looks(folder)
    cost = cost_of(model.state, built, run, len(split.train), trained_parameters)
    folder.write_outcome(predictions, replace(cost, precision_choice=decision.sentence))
    predicted = PredictedCases(frame, facts, run.data, run.model.covariates, tune_only=tune_only)
    trained_on = training_digest(frame, facts, run.data, run.training_columns)
    identity = run_id(run, trained_on, built.weights)
    write_tested(folder, identity, predicted.cohorts)
    attributes = reported_attributes(frame, run.data.attributes, run.evaluation.minimum_group)
    scored = study.kept_runs().scored
    results = scored(predictions, attributes, run.data.task, run.evaluation)
    folder.write_results(results, scoring_digest(run, predicted.digest))
    folder.finish()


def require_intact_caches(images: Sequence[CachedImages], folder: RunFolder) -> None:
    """Compare what a run read from caches with what was put there.

    Raises:
        StudyError: Images were altered; the run's checkpoints, which they may have spoiled, are
            dropped.
    """
    try:
        require_intact(images)
    except StudyError:
        remove(folder.checkpoint)
        raise


def run_passes(run: Transfer, cases: RunCases, spec: InputSpec) -> Passes:
    """Passes of a run's images through its backbone.

    Args:
        run: Its configuration.
        cases: Of the run, by their use.
        spec: The network's input.
    """
    config, train = run.training, cases.train
    if config.tuning.mode == "linear":
        work, images = "features", sum(map(len, cases.all.images))
    else:
        steps = make_schedule(len(train), config.learning_rate, config.steps).steps
        share = sum(map(len, train.images)) / len(train)
        work, images = "training", round(steps * config.batch_size * share)
    architecture = known_architecture(run.model.rung)
    batch = min(config.micro_batch, config.batch_size)
    return Passes(architecture, spec.crop, work, images, batch)


def run_precision(
    run: Transfer,
    passes: Passes,
    study: StudyFolder,
    folder: RunFolder,
    *,
    asked: Precision | None = None,
) -> PrecisionDecision:
    """The precision of a run, decided once for the study; a run that was begun keeps its own.

    Args:
        run: Its configuration.
        passes: Through its backbone.
        study: Holds the decision.
        folder: The run's.
        asked: That of the run that is repeated; None for its setting.
    """
    if asked is not None:
        return PrecisionDecision(asked, "repeated")
    device = pick_device(run.training)
    begun = None
    if any(folder.checkpoint.glob("*")):
        begun = resolve_precision("auto", passes.architecture, device)
    setting = run.training.precision
    return decide_precision(setting, study.path, passes, PrecisionChooser(device), begun)


def finished_precision(folder: RunFolder) -> PrecisionSetting:
    """The precision that a finished run was trained in; every later pass has it too."""
    precision = folder.cost().precision
    return precision if precision in ("float32", "bfloat16") else "auto"


def pick_device(config: TrainingConfig) -> torch.device:
    """The device to train on, set up for repeatable results.

    Raises:
        StudyError: This machine lacks the device of the settings.
    """
    is_available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    available = [kind for kind, is_here in is_available.items() if is_here]
    name = available[0] if config.device == "auto" else config.device
    if name not in available:
        raise StudyError(
            f"training.device is '{name}', which this machine lacks (it has "
            f"{', '.join(available)})."
        )
    if config.deterministic and name == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
    return torch.device(name)


def move_to_device(
    classifier: Classifier,
    device: torch.device,
    config: TrainingConfig,
    heartbeat: Callable[..., None],
) -> Classifier:
    """Move a classifier to its device, or shard it over the devices of all processes.

    Args:
        classifier: Changed in place.
        device: Of this process.
        config: Training settings.
        heartbeat: Called after every pass through the backbone.
    """
    classifier.to(device)
    classifier.backbone.register_forward_hook(heartbeat)
    everyone = world()
    if config.spread_weights and everyone.size > 1:
        shard_weights(classifier.backbone, device, everyone)
    return classifier


def cost_of(
    state: TrainingState, built: BuiltClassifier, run: Transfer, num_cases: int, trained: int
) -> RunCost:
    """Time, speed and size of a finished run, with the weights that it started from.

    Args:
        state: After training.
        built: The classifier.
        run: Its configuration.
        num_cases: Number of training cases.
        trained: Number of trained parameters.
    """
    weights = built.weights_report
    return RunCost(
        seconds=round(state.seconds, 1),
        steps=state.step,
        selected_step=state.selected,
        images=state.images,
        images_per_second=round(state.images / state.seconds, 1) if state.seconds else None,
        training_cases=num_cases,
        micro_batch=state.micro_batch or run.training.micro_batch,
        parameters=sum(weight.numel() for weight in built.classifier.parameters()),
        trained_parameters=trained,
        precision=built.classifier.precision,
        weights=built.weights,
        weights_loaded=weights.loaded if weights else 0,
        weights_left_out=tuple(weights.left_out) if weights else (),
        weights_adapted=tuple(weights.adapted) if weights else (),
        peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def environment(config: TrainingConfig) -> dict[str, object]:
    """Machine and packages: everything but the run's identity that can change last digits."""
    device = pick_device(config)
    packages = ("medtransfer", "torch", "timm", "numpy", "scipy", "polars", "safetensors")
    return {
        "packages": {name: version(name) for name in packages},
        "code": code_digest(),
        "decoder": decoders(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        **({"devices": world().size} if world().size > 1 else {}),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
