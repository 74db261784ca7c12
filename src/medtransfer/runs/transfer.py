"""The spine: one run from its manifest to its results, every arrow a line."""

import platform
import resource
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

from medtransfer.data.cases import build_cases, case_attributes
from medtransfer.data.images.decode import decoders
from medtransfer.data.images.scan import scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError
from medtransfer.evaluation.inference.predict import predictions_frame
from medtransfer.evaluation.scoring.score import score
from medtransfer.models.classifier import BuiltClassifier, Classifier, build_classifier
from medtransfer.models.runtime import world
from medtransfer.posthoc.ood_detectors import ood_scores
from medtransfer.runs.config import Transfer, scoring_digest
from medtransfer.runs.fine_tune import fine_tune, partition_cases, prepare_tuning, probe
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import (
    cache_requests,
    input_spec,
    known_architecture,
    merge_requests,
    read_run_manifest,
)
from medtransfer.training.checkpoint import TrainingState
from medtransfer.training.config import TrainingConfig
from medtransfer.training.distributed import shard_weights
from medtransfer.training.loop import ProgressCallback


def no_heartbeat(*_: object) -> None:
    """Nobody listens for signs of life."""


def transfer(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    watch: ProgressCallback,
    beat: Callable[..., None] = no_heartbeat,
) -> None:
    """Carry one transfer run from its manifest to its results.

    Args:
        run: What to run.
        study: Holds the facts and caches of the images.
        folder: The run's own; where it was stopped, it goes on. Of several processes rank 0 alone
            writes to it.
        watch: Hears of every step, and may ask to stop.
        beat: Called after every pass through the network, as a sign of life.

    Raises:
        MedTransferError: Something a user can mend.
        Diverged: The loss is no longer a number.
        Stopped: `watch` asked to stop.
    """
    manifest = read_run_manifest(run.data)
    frame = assign_splits(manifest, run.data)
    facts = scan_images(manifest, run.data.pixel_limit, study.images)
    cases = build_cases(frame, run.data)

    spec = input_spec(run, known_architecture(run.model.rung), frame, facts)
    device = pick_device(run.training)
    built = build_classifier(
        run.model,
        len(run.data.names),
        seed=run.seed,
        device=device,
        precision=run.training.precision,
        input_size=spec.crop,
    )
    trained = prepare_tuning(built.classifier, run.training.tuning, run.seed)
    classifier = move_to_device(built.classifier, device, run.training, beat)

    needs = cache_requests(run, spec, frame)
    parts = partition_cases(cases, frame, run)
    if run.training.tuning.mode == "linear":
        (images,) = [need.make(manifest, facts, study.cache) for need in merge_requests(needs)]
        tuned = probe(run, built, parts, images, spec, study, folder, watch)
    else:
        images = [need.make(manifest, facts, study.cache) for need in needs]
        tuned = fine_tune(run, classifier, parts, images, spec, folder, watch)

    if not world().is_main:
        return
    outputs = tuned.outputs
    foreign = ood_scores(tuned.ood_reference, outputs.features, outputs.logits)
    predictions = predictions_frame(
        parts.test, outputs.logits, run.data.names, folder.run_id, foreign
    )
    folder.write_history([vars(check) for check in tuned.checks])
    cost = cost_of(tuned.state, built, run, len(parts.train), trained)
    folder.write_outcome(predictions, cost)
    attributes = case_attributes(frame, run.data.attributes)
    results = score(predictions, attributes, run.data.task, run.evaluation)
    folder.write_results(results, scoring_digest(run))
    folder.finish()


def pick_device(config: TrainingConfig) -> torch.device:
    """The device to train on, set up for repeatable results.

    Raises:
        StudyError: The device that was asked for is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = config.device
    if name == "auto":
        name = next(kind for kind, found in there.items() if found)
    if not there[name]:
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise StudyError(f"training.device is '{name}', which this machine lacks (it has {found}).")
    if config.deterministic and name == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
    return torch.device(name)


def move_to_device(
    classifier: Classifier, device: torch.device, config: TrainingConfig, beat: Callable[..., None]
) -> Classifier:
    """Bring a classifier to its device, or to those of all processes that share it.

    Args:
        classifier: Changed in place.
        device: Of this process.
        config: Says whether weights are spread.
        beat: Called after every pass through the backbone.
    """
    classifier.to(device)
    classifier.backbone.register_forward_hook(beat)
    everyone = world()
    if config.spread_weights and everyone.size > 1:
        shard_weights(classifier.backbone, device, everyone)
    return classifier


def cost_of(
    state: TrainingState, built: BuiltClassifier, run: Transfer, num_cases: int, trained: int
) -> dict[str, Any]:
    """What a run took, and what it ran."""
    return {
        "seconds": round(state.seconds, 1),
        "steps": state.step,
        "selected_step": state.selected,
        "images": state.images,
        "images_per_second": round(state.images / state.seconds, 1) if state.seconds else None,
        "training_cases": num_cases,
        "micro_batch": state.micro_batch or run.training.micro_batch,
        "parameters": sum(weight.numel() for weight in built.classifier.parameters()),
        "trained_parameters": trained,
        "precision": built.classifier.precision,
        "weights": built.weights,
        "weights_loaded": built.weights_report.loaded if built.weights_report else 0,
        "weights_left_out": list(built.weights_report.left_out) if built.weights_report else [],
        "weights_adapted": list(built.weights_report.adapted) if built.weights_report else [],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def environment(config: TrainingConfig) -> dict[str, Any]:
    """What besides the run's identity can move the last bits of a number."""
    device = pick_device(config)
    packages = ("medtransfer", "torch", "timm", "numpy", "scipy", "polars", "safetensors")
    return {
        "packages": {name: version(name) for name in packages},
        "decoder": decoders(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        **({"devices": world().size} if world().size > 1 else {}),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
