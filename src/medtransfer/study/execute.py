"""The spine: one run from its manifest to its results, every arrow a line."""

import platform
import resource
from importlib.metadata import version
from typing import Any

import torch

from medtransfer.data.augment import Augmentation
from medtransfer.data.cache import PixelCache
from medtransfer.data.cases import build_cases, case_attributes, predicted_cases, training_cases
from medtransfer.data.decode import decoders
from medtransfer.data.loader import CaseImages, TrainingBatches
from medtransfer.data.scan import scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError
from medtransfer.evaluation.features import outputs_of, trained_on
from medtransfer.evaluation.predict import predict, predictions_frame, quick_score
from medtransfer.evaluation.score import score
from medtransfer.metrics.detection import foreign_scores
from medtransfer.models.classifier import Built, Classifier, build_classifier
from medtransfer.study.inputs import cache_needs, input_spec, known_architecture, open_manifest
from medtransfer.study.run import Transfer, scoring_digest
from medtransfer.study.store import RunFolder, StudyFolder
from medtransfer.training.checkpoint import CheckpointFolder, TrainingState
from medtransfer.training.config import TrainingConfig
from medtransfer.training.loop import Plan, TuneScore, Watch, fit
from medtransfer.training.rules import make_schedule, mixup_alpha


def transfer(run: Transfer, study: StudyFolder, folder: RunFolder, watch: Watch) -> None:
    """Carry one transfer run from its manifest to its results.

    Args:
        run: What to run.
        study: Holds the facts and caches of the images.
        folder: The run's own; where it was stopped, it goes on.
        watch: Hears of every step, and may ask to stop.

    Raises:
        MedTransferError: Something a user can mend.
        Diverged: The loss is no longer a number.
        Stopped: `watch` asked to stop.
    """
    manifest = open_manifest(run.data)
    frame = assign_splits(manifest, run.data)
    facts = scan_images(manifest, run.data.pixel_limit, study.images)
    cases = build_cases(frame, run.data)

    spec = input_spec(run, known_architecture(run.model.rung), frame, facts)
    device = pick_device(run.training)
    built = build_classifier(run.model, len(run.data.names), seed=run.seed, device=device,
                             precision=run.training.precision, input_size=spec.crop)  # fmt: skip
    classifier = built.classifier.to(device)

    needs = cache_needs(run, spec, frame)
    caches = [PixelCache(need.make(manifest, facts, study.cache)) for need in needs]
    train_pixels, test_pixels, seen_pixels = caches
    labelled = training_cases(cases, frame, run.data, run.seed)
    if not len(labelled):
        share = run.data.split.train_fraction
        raise StudyError(f"No labelled training case is left at label fraction {share:g}.")
    training = CaseImages(labelled, train_pixels, spec)
    seen = CaseImages(labelled, seen_pixels, spec)
    tuning = CaseImages(cases.take(cases.splits == "tune"), test_pixels, spec)
    testing = CaseImages(predicted_cases(cases, run.data), test_pixels, spec)

    chance = Augmentation(run.seed, run.data.image.flip, run.data.image.augment)
    batches = TrainingBatches(training, run.training.batch_size, augmentation=chance,
                              micro_batch=run.training.micro_batch)  # fmt: skip
    state = fit(classifier, batches, plan_training(run, len(training)), run.training,
                tune=lambda: _look_at(classifier, tuning, run),
                checkpoints=CheckpointFolder(folder.checkpoint), watch=watch)  # fmt: skip

    known = trained_on(classifier, seen, run.data.task)
    outputs = outputs_of(classifier, testing)
    foreign = foreign_scores(known, outputs.features, outputs.logits)
    predictions = predictions_frame(testing.cases, outputs.logits, run.data.names, folder.run_id,
                                    foreign)  # fmt: skip
    folder.write_history([vars(check) for check in state.checks])
    folder.write_outcome(predictions, cost_of(state, built, len(training)))
    attributes = case_attributes(frame, run.data.attributes)
    results = score(predictions, attributes, run.data.task, run.evaluation)
    folder.write_results(results, scoring_digest(run))
    folder.finish()


def plan_training(run: Transfer, num_cases: int) -> Plan:
    """Schedule and MixUp, by the rule where the study names none."""
    config = run.training
    alpha = mixup_alpha(num_cases) if config.mixup is None else config.mixup
    return Plan(
        make_schedule(num_cases, config.learning_rate, config.steps),
        alpha,
        run.data.task,
        run.seed,
        config.selection == "best",
    )


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


def cost_of(state: TrainingState, built: Built, num_cases: int) -> dict[str, Any]:
    """What a run took, and what it ran."""
    return {
        "seconds": round(state.seconds, 1),
        "steps": state.step,
        "selected_step": state.selected,
        "images": state.images,
        "images_per_second": round(state.images / state.seconds, 1) if state.seconds else None,
        "training_cases": num_cases,
        "parameters": sum(weight.numel() for weight in built.classifier.parameters()),
        "precision": built.classifier.precision,
        "weights": built.weights,
        "weights_loaded": built.fit.loaded if built.fit else 0,
        "weights_left_out": list(built.fit.left_out) if built.fit else [],
        "weights_adapted": list(built.fit.adapted) if built.fit else [],
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
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def _look_at(classifier: Classifier, tuning: CaseImages, run: Transfer) -> TuneScore:
    logits = predict(classifier, tuning).astype("float64")
    loss, area = quick_score(tuning.cases.targets, logits, run.data.task)
    return TuneScore(loss, area)
