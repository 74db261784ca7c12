"""One run: everything that can change its numbers, and its name made from that."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from medtransfer.data.config import DataConfig, UpstreamConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.models.config import ModelConfig, RungName
from medtransfer.pretraining.config import UpstreamTraining
from medtransfer.settings import Settings, digest, identity, runtime
from medtransfer.training.config import TrainingConfig

IDENTITY_VERSION = 4
"""Raised when a change of code changes the numbers that a run makes."""
SCORING_VERSION = 3
"""Raised when a change of code changes the results that predictions are scored to."""
ID_LENGTH = 12


class Transfer(Settings):
    """Fine-tune one rung on one training set with one seed; ends in predictions and results."""

    data: DataConfig = identity()
    """The manifest and what is asked of it."""
    model: ModelConfig = identity()
    """The rung."""
    training: TrainingConfig = identity(TrainingConfig())
    """How it is fine-tuned."""
    evaluation: EvaluationConfig = identity(EvaluationConfig())
    """How its predictions are scored."""
    seed: int = identity(0, ge=0)
    """Of the draw of label fractions, random weights, order, augmentation."""


class Pretrain(Settings):
    """Train one network on a set of labelled images; ends in a rung that any study can name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = runtime()
    """Name of the rung, `own/<name>` in a study, and of its folder."""
    rung: RungName = identity()
    """What it starts from: `scratch/r50x1`, or any rung to go on from."""
    weights: Path | None = runtime(None)
    """Weights file of that rung, for `file/…` rungs or another place; relative to the recipe."""
    data: UpstreamConfig = identity()
    """The images."""
    training: UpstreamTraining = identity(UpstreamTraining())
    """How it is trained."""
    seed: int = identity(0, ge=0)
    """Of random weights, order and augmentation."""
    about: str = runtime("")
    """What the images are, in a few words, for the model card."""
    licence: str = runtime("yours")
    """Of the weights; images often bind them."""

    @model_validator(mode="after")
    def _all_is_trained(self) -> "Pretrain":
        mode = self.training.tuning.mode
        if mode != "full":
            raise ValueError(f"training.tuning.mode is {mode}: pre-training trains all (full)")
        return self


def pretrain_id(run: Pretrain, data: str, weights: str | None) -> str:
    """The id of a pre-training run, from all that can change its weights.

    Args:
        run: Its identity side is taken.
        data: Digest of images and labels, from `data.upstream.Upstream.digest`.
        weights: SHA-256 of the weights it starts from; None for random ones.
    """
    about = {
        "version": IDENTITY_VERSION,
        "pretrain": run.side("identity"),
        "data": data,
        "weights": weights,
    }
    return digest(about)[:ID_LENGTH]


def run_id(run: Transfer, data: str, weights: str | None) -> str:
    """The name of a run: 12 hexadecimal digits from what can change its predictions.

    Args:
        run: Its identity side is taken; places of files and scoring are not.
        data: Digest of the rows and images, from `plan.data_digest`.
        weights: SHA-256 of the weights file; None for random weights.
    """
    about = {
        "version": IDENTITY_VERSION,
        "run": run.side("identity"),
        "data": data,
        "weights": weights,
    }
    return digest(about)[:ID_LENGTH]


def scoring_digest(run: Transfer) -> str:
    """Digest of what changes a run's results without changing its predictions."""
    return digest({"version": SCORING_VERSION, "run": run.side("scoring")})
