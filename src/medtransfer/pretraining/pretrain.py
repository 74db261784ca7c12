"""The spine of pre-training: one run from its images to a rung, every arrow a line."""

from collections.abc import Callable
from functools import partial

import torch

from medtransfer.data.augment import Augmentation
from medtransfer.data.images.cache import PixelCache
from medtransfer.data.images.scan import scan_images
from medtransfer.data.loader import CaseImages
from medtransfer.models.backbones import head_prefix
from medtransfer.models.classifier import (
    BuiltClassifier,
    Classifier,
    build_classifier,
    resolve_precision,
)
from medtransfer.models.config import ModelConfig
from medtransfer.models.precision.choice import Passes, PrecisionChooser, decide_precision
from medtransfer.models.precision.decision import PrecisionDecision
from medtransfer.models.runtime import full_tensor, world
from medtransfer.models.tensors import write_tensors
from medtransfer.pretraining.batches import UpstreamBatches
from medtransfer.pretraining.config import Pretrain, pretrain_id, upstream_schedule
from medtransfer.pretraining.dataset import read_upstream, upstream_requests, upstream_spec
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.pretraining.validation import held_out_score
from medtransfer.runs.inputs import InputsChangedError, known_architecture
from medtransfer.runs.records import RungCheck, RungCost
from medtransfer.runs.transfer import move_to_device, no_heartbeat, pick_device
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.loop import FitPlan, ProgressCallback, TuneScore, fit
from medtransfer.training.losses import TargetCounts, make_loss


def pretrain_rung(
    run: Pretrain,
    folder: RungFolder,
    on_step: ProgressCallback,
    heartbeat: Callable[..., None] = no_heartbeat,
    *,
    planned_id: str | None = None,
) -> None:
    """Carry one pre-training run from its images to a rung.

    Args:
        run: What to run.
        folder: The rung's; a stopped run resumes from its last checkpoint.
        on_step: Called after every step; it may ask to stop.
        heartbeat: Called after every pass through the network.
        planned_id: Id of the run, which names its images, labels and weights; None compares
            nothing.

    Raises:
        InputsChangedError: Images, labels or weights are not those of the plan.
        MedTransferError: Something a user can mend.
        Diverged: The loss is no longer a number.
        Stopped: `on_step` asked to stop.
    """
    upstream = read_upstream(run.data)
    facts = scan_images(upstream.manifest, run.data.pixel_limit, folder.images)

    device = pick_device(run.training)
    decision = rung_precision(run, folder, device, len(upstream.train))
    built = build_classifier(
        ModelConfig(rung=run.rung, weights=run.weights),
        len(upstream.classes),
        seed=run.seed,
        device=device,
        precision=decision.precision,
        input_size=run.data.crop,
    )
    classifier = move_to_device(built.classifier, device, run.training, heartbeat)

    if planned_id is not None:
        require_planned(planned_id, run, upstream.digest(facts), built.weights)

    spec = upstream_spec(run, built.rung.architecture)
    training, held_out = (
        CaseImages(
            upstream.images(need.indices),
            PixelCache(need.make(upstream.manifest, facts, folder.cache)),
            spec,
        )
        for need in upstream_requests(run, spec, upstream)
    )
    augmentation = Augmentation(run.seed, run.data.flip, run.data.augment)
    side_at = partial(run.training.side_at, num_images=len(training), crop=run.data.crop)
    batches = UpstreamBatches(
        training,
        run.training.batch_size,
        augmentation=augmentation,
        micro_batch=run.training.micro_batch,
        side_at=side_at,
    )
    schedule = upstream_schedule(run.training, len(training))
    counts = TargetCounts(*upstream.targets.take(upstream.train).sums())
    loss = make_loss(run.training.loss, run.data.task, upstream.classes, counts)
    plan = FitPlan(
        schedule=schedule,
        mixup=run.training.mixup or 0.0,
        loss=loss,
        seed=run.seed,
        select_best=run.training.selection == "best",
    )
    state = fit(
        classifier,
        batches,
        plan,
        run.training,
        tune=lambda: TuneScore(*held_out_score(classifier, held_out, run.data.task)),
        checkpoints=CheckpointFolder(folder.checkpoint),
        on_step=on_step,
    )

    weights = named_weights(classifier)
    if not world().is_main:
        return
    if planned_id is not None:
        now = read_upstream(run.data)
        facts = scan_images(now.manifest, run.data.pixel_limit, folder.images)
        require_planned(planned_id, run, now.digest(facts), built.weights)
    write_tensors(weights, folder.model)
    folder.write_history(vars(rung_check(check)) for check in state.checks)
    folder.write_trained_on(run.rung, facts["sha256"].gather(upstream.train))
    folder.write_cost(rung_cost(state, built))
    folder.write_rung(run, upstream, built.rung)
    folder.finish()


def require_planned(planned_id: str, run: Pretrain, data: str, weights: str | None) -> None:
    """Compare what a run read with the id that was made from it.

    Args:
        planned_id: Id of the run.
        run: Its recipe.
        data: Digest of images and labels.
        weights: SHA-256 of the weights it started from; None for random ones.

    Raises:
        InputsChangedError: They are others.
    """
    if pretrain_id(run, data, weights) != planned_id:
        raise InputsChangedError(
            "The images, their labels or the starting weights changed while pre-training ran. No "
            "rung was made of them. Put them back and run the same command again, or rename the "
            "run."
        )


def rung_precision(
    run: Pretrain, folder: RungFolder, device: torch.device, num_images: int
) -> PrecisionDecision:
    """The precision of a pre-training, decided at its first start and kept in its folder.

    Args:
        run: Its recipe.
        folder: The rung's.
        device: That it trains on.
        num_images: Training images.
    """
    config = run.training
    architecture = known_architecture(run.rung)
    steps = upstream_schedule(config, num_images).steps
    batch = min(config.micro_batch, config.batch_size)
    passes = Passes(architecture, run.data.crop, "training", steps * config.batch_size, batch)
    begun = None
    if any(folder.checkpoint.glob("*")):
        begun = resolve_precision("auto", architecture, device)
    return decide_precision(
        config.precision, folder.path, passes, PrecisionChooser(device), earlier=begun
    )


def named_weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    """Backbone and head under the names that the network gives them itself."""
    head = head_prefix(classifier.backbone)
    weights = dict(classifier.backbone.state_dict())
    weights |= {f"{head}.{name}": value for name, value in classifier.head.state_dict().items()}
    return {name: full_tensor(value.detach()).cpu().contiguous() for name, value in weights.items()}


def rung_check(check: Check) -> RungCheck:
    """A validation of the training loop, which was on the held-out images."""
    return RungCheck(
        step=check.step,
        learning_rate=check.learning_rate,
        train_loss=check.train_loss,
        held_out_loss=check.tune_loss,
        held_out_score=check.tune_auroc,
    )


def rung_cost(state: TrainingState, built: BuiltClassifier) -> RungCost:
    """Time and size of a finished run, with the weights that it started from."""
    return RungCost(
        seconds=round(state.seconds, 1),
        steps=state.step,
        images_seen=state.images,
        selected_step=state.selected,
        parameters=sum(weight.numel() for weight in built.classifier.parameters()),
        precision=built.classifier.precision,
        started_from=built.weights,
    )
