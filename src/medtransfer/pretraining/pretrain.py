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
from medtransfer.models.classifier import Built, Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.models.runtime import whole, world
from medtransfer.models.tensors import write_tensors
from medtransfer.pretraining.batches import UpstreamBatches
from medtransfer.pretraining.config import upstream_schedule
from medtransfer.pretraining.dataset import read_upstream
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.pretraining.validation import held_out_score
from medtransfer.runs.config import Pretrain
from medtransfer.runs.inputs import upstream_needs, upstream_spec
from medtransfer.runs.transfer import no_beat, pick_device, placed
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.loop import Plan, TuneScore, Watch, fit
from medtransfer.training.losses import Sides, make_loss


def pretrain(
    run: Pretrain, folder: RungFolder, watch: Watch, beat: Callable[..., None] = no_beat
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
    built = build_classifier(ModelConfig(rung=run.rung, weights=run.weights), len(upstream.classes),
                             seed=run.seed, device=device,
                             precision=run.training.precision,
                             input_size=run.data.crop)  # fmt: skip
    classifier = placed(built.classifier, device, run.training, beat)

    spec = upstream_spec(run, built.rung.architecture)
    training, held_out = (
        CaseImages(upstream.images(need.indices),
                   PixelCache(need.make(upstream.manifest, facts, folder.cache)), spec)
        for need in upstream_needs(run, spec, upstream)
    )  # fmt: skip
    chance = Augmentation(run.seed, run.data.flip, run.data.augment)
    side_at = partial(run.training.side_at, num_images=len(training), crop=run.data.crop)
    batches = UpstreamBatches(training, run.training.batch_size, augmentation=chance,
                              micro_batch=run.training.micro_batch, side_at=side_at)  # fmt: skip
    schedule = upstream_schedule(run.training, len(training))
    sides = Sides(*upstream.targets.take(upstream.train).sums())
    loss = make_loss(run.training.loss, run.data.task, upstream.classes, sides)
    plan = Plan(schedule, run.training.mixup or 0.0, loss, run.seed,
                run.training.selection == "best")  # fmt: skip
    state = fit(classifier, batches, plan, run.training,
                tune=lambda: TuneScore(*held_out_score(classifier, held_out, run.data.task)),
                checkpoints=CheckpointFolder(folder.checkpoint), watch=watch)  # fmt: skip

    weights = named_weights(classifier)
    if not world().leads:
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
    return {name: whole(value.detach()).cpu().contiguous() for name, value in weights.items()}


def look(check: Check) -> dict[str, Any]:
    """A look at the images held out, for the history."""
    names = {"tune_loss": "held_out_loss", "tune_auroc": "held_out_score"}
    return {names.get(name, name): value for name, value in asdict(check).items()}


def cost_of(state: TrainingState, classifier: Classifier, built: Built) -> dict[str, Any]:
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
