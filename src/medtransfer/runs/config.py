"""One run: everything that can change its numbers, and its name made from that."""

from medtransfer.data.config import DataConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.models.config import ModelConfig
from medtransfer.settings import Settings, digest, identity
from medtransfer.training.config import TrainingConfig

IDENTITY_VERSION = 4
"""Raised when a change of code changes the numbers that a run makes."""
SCORING_VERSION = 8
"""Raised when a change of code changes the results that predictions are scored to."""
ID_LENGTH = 12


class Transfer(Settings):
    """Fine-tune one rung on one training set with one seed; ends in predictions and results."""

    data: DataConfig = identity()
    """Manifest, prediction task and label columns."""
    model: ModelConfig = identity()
    """The rung."""
    training: TrainingConfig = identity(TrainingConfig())
    """Training settings."""
    evaluation: EvaluationConfig = identity(EvaluationConfig())
    """Scoring settings."""
    seed: int = identity(0, ge=0)
    """Of the draw of label fractions, random weights, order, augmentation."""


def run_id(run: Transfer, data: str, weights: str | None) -> str:
    """The name of a run: 12 hexadecimal digits from what can change its predictions.

    Args:
        run: Its identity side is taken; places of files and scoring are not.
        data: Digest of the rows and images, from `runs.inputs.data_digest`.
        weights: SHA-256 of the weights file; None for random weights.
    """
    identity_facts = {
        "version": IDENTITY_VERSION,
        "run": run.scope("identity"),
        "data": data,
        "weights": weights,
    }
    return digest(identity_facts)[:ID_LENGTH]


def scoring_digest(run: Transfer) -> str:
    """Digest of what changes a run's results without changing its predictions."""
    return digest({"version": SCORING_VERSION, "run": run.scope("scoring")})
