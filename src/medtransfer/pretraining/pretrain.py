"""The spine of pre-training: one run from its images to a rung, every arrow a line."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from medtransfer.data.augment import Augmentation
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.scan import scan_images
from medtransfer.data.loader import CaseImages
from medtransfer.models.backbones import head_prefix
from medtransfer.models.classifier import BuiltClassifier, Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.runtime import full_tensor, world
from medtransfer.models.tensors import write_tensors
from medtransfer.pretraining.batches import UpstreamBatches
from medtransfer.pretraining.config import Pretrain, upstream_schedule
from medtransfer.pretraining.dataset import read_upstream, upstream_requests, upstream_spec
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.pretraining.validation import held_out_score
from medtransfer.runs.transfer import move_to_device, no_heartbeat, pick_device
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.loop import FitPlan, ProgressCallback, TuneScore, fit
from medtransfer.training.losses import TargetCounts, make_loss


def pretrain_rung(
    run: Pretrain,
    folder: RungFolder,
    watch: ProgressCallback,
    beat: Callable[..., None] = no_heartbeat,
) -> None:
    """Carry one pre-training run from its images to a rung.

    Args:
        run: What to run.
        folder: The rung's own; where it was stopped, it goes on.
        watch: Hears of every step, and may ask to stop.
        beat: Called after every pass through the network, as a sign of life.

    Raises:
        MedTransferError: Something a user can mend.
        Diverged: The loss is no longer a number.
        Stopped: `watch` asked to stop.
    """
    upstream = read_upstream(run.data)
    facts = scan_images(upstream.manifest, run.data.pixel_limit, folder.images)

    device = pick_device(run.training)
    built = build_classifier(
        ModelConfig(rung=run.rung, weights=run.weights),
        len(upstream.classes),
        seed=run.seed,
        device=device,
        precision=run.training.precision,
        input_size=run.data.crop,
    )
    classifier = move_to_device(built.classifier, device, run.training, beat)

    spec = upstream_spec(run, built.rung.architecture)
    training, held_out = (
        CaseImages(
            upstream.images(need.indices),
            PixelCache(need.make(upstream.manifest, facts, folder.cache)),
            spec,
        )
        for need in upstream_requests(run, spec, upstream)
    )
    chance = Augmentation(run.seed, run.data.flip, run.data.augment)
    side_at = partial(run.training.side_at, num_images=len(training), crop=run.data.crop)
    batches = UpstreamBatches(
        training,
        run.training.batch_size,
        augmentation=chance,
        micro_batch=run.training.micro_batch,
        side_at=side_at,
    )
    schedule = upstream_schedule(run.training, len(training))
    sides = TargetCounts(*upstream.targets.take(upstream.train).sums())
    loss = make_loss(run.training.loss, run.data.task, upstream.classes, sides)
    plan = FitPlan(
        schedule, run.training.mixup or 0.0, loss, run.seed, run.training.selection == "best"
    )
    state = fit(
        classifier,
        batches,
        plan,
        run.training,
        tune=lambda: TuneScore(*held_out_score(classifier, held_out, run.data.task)),
        checkpoints=CheckpointFolder(folder.checkpoint),
        on_step=watch,
    )

    weights = named_weights(classifier)
    if not world().is_main:
        return
    write_tensors(weights, folder.model)
    folder.write_history([look(check) for check in state.checks])
    folder.write_trained_on(run.rung, facts["sha256"].gather(upstream.train))
    folder.write_rung(run, upstream, built.rung, cost_of(state, classifier, built))
    folder.finish()


def named_weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    """Backbone and head under the names that the network gives them itself."""
    head = head_prefix(classifier.backbone)
    weights = dict(classifier.backbone.state_dict())
    weights |= {f"{head}.{name}": value for name, value in classifier.head.state_dict().items()}
    return {name: full_tensor(value.detach()).cpu().contiguous() for name, value in weights.items()}


def look(check: Check) -> dict[str, Any]:
    """A look at the images held out, for the history."""
    names = {"tune_loss": "held_out_loss", "tune_auroc": "held_out_score"}
    return {names.get(name, name): value for name, value in asdict(check).items()}


def cost_of(state: TrainingState, classifier: Classifier, built: BuiltClassifier) -> dict[str, Any]:
    """What the run took, and what it started from."""
    return {
        "seconds": round(state.seconds, 1),
        "steps": state.step,
        "selected_step": state.selected,
        "images_seen": state.images,
        "parameters": sum(weight.numel() for weight in classifier.parameters()),
        "precision": classifier.precision,
        "started_from": built.weights,
    }
