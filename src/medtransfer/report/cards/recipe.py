"""Training of a rung in the words of the report."""

from medtransfer.errors import plural
from medtransfer.models.config import Head
from medtransfer.training.config import TrainingConfig
from medtransfer.training.heads.settings import describe_head


def recipe_of(config: TrainingConfig, features: Head | None = None) -> str:
    """Training settings of a rung, or the head on its `features` if they come from a file."""
    if features is not None:
        return f"Features from a file; head: {describe_head(features, config.tuning)}"
    weights = config.loss.weights
    scheme = "by target" if isinstance(weights, dict) else weights
    class_weights = [] if weights == "none" else [f"class weights {scheme}"]
    tuning = config.tuning
    if tuning.mode == "linear":
        low, high = min(tuning.penalties), max(tuning.penalties)
        count = plural(len(tuning.penalties), "L2 penalty")
        selection = f"the best of {count}, {low:g} to {high:g}, by tuning AUROC"
        return ", ".join(
            [f"Linear probe: logistic regression on fixed features; {selection}", *class_weights]
        )
    steps = "by the rule" if config.steps is None else f"{config.steps} (set by the study)"
    parts = [
        f"batch {config.batch_size}, learning rate {config.learning_rate:g}",
        f"steps {steps}",
        *(["cosine schedule"] if config.schedule == "cosine" else []),
        *(["AdamW"] if config.optimiser == "adamw" else []),
        f"weight decay {config.weight_decay:g}",
        *([f"layer decay {config.layer_decay:g}"] if config.layer_decay < 1 else []),
        *([f"gradients clipped to {config.clip_norm:g}"] if config.clip_norm is not None else []),
        *([f"weights averaged with decay {config.ema:g}"] if config.ema else []),
        *([f"{config.loss.kind} loss"] if config.loss.kind != "cross-entropy" else []),
        *class_weights,
        *([f"label smoothing {config.loss.smoothing:g}"] if config.loss.smoothing else []),
        *(
            [f"lowest {plural(tuning.frozen_stages, 'stage')} frozen{_until(tuning.frozen_until)}"]
            if tuning.mode == "partial"
            else []
        ),
        *([f"low-rank updates of rank {tuning.rank}"] if tuning.mode == "low-rank" else []),
        *(["head from the linear probe"] if config.head_start == "probe" else []),
        *(
            [f"images of {config.growth.share:.0%} of the side{_until(config.growth.until)}"]
            if config.growth is not None
            else []
        ),
        f"selection: {config.selection} of {config.checks} validations by tuning AUROC",
    ]
    return f"BiT-HyperRule; {', '.join(parts)}"


def _until(share: float) -> str:
    """Words for a part of the steps; none where it is all of them."""
    return f" in the first {share:.0%} of the steps" if share < 1 else ""
