"""One run: everything that can change its numbers, and its name made from that."""

from medtransfer.data.config import DataConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.models.config import ModelConfig
from medtransfer.settings import ScopeMemo, Settings, digest, identity
from medtransfer.training.config import TrainingConfig

IDENTITY_VERSION = 5
"""Raised when a change of code changes the numbers that a run makes."""
EARLIER_IDENTITY_VERSION = 4
"""Before it, ids held every row of the manifest, also those that are only tested."""
SCORING_VERSION = 11
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

    @property
    def training_columns(self) -> tuple[str, ...]:
        """Columns of the manifest besides labels that change what is learned."""
        mitigation = self.training.mitigation
        groups = () if mitigation is None else (mitigation.groups,)
        return tuple(dict.fromkeys((*self.model.covariates, *groups)))


def run_id(run: Transfer, data: str, weights: str | None, *, memo: ScopeMemo | None = None) -> str:
    """The name of a run: 12 hexadecimal digits from what can change its predictions.

    Args:
        run: Its identity side is taken; places of files and scoring are not.
        data: Digest of the rows and images that train and select, from
            `runs.inputs.training_digest`.
        weights: SHA-256 of the weights file; None for random weights.
        memo: Remembers parts that many runs share.
    """
    identity_facts = {
        "version": IDENTITY_VERSION,
        "run": run.scope("identity", by_rows=False, memo=memo),
        "data": data,
        "weights": weights,
    }
    return digest(identity_facts)[:ID_LENGTH]


def earlier_run_id(run: Transfer, data: str, weights: str | None) -> str:
    """The name that versions before 0.2 gave a run.

    Args:
        run: As for `run_id`.
        data: Digest of all rows and images, from `runs.inputs.data_digest`.
        weights: As for `run_id`.
    """
    identity_facts = {
        "version": EARLIER_IDENTITY_VERSION,
        "run": run.scope("identity"),
        "data": data,
        "weights": weights,
    }
    return digest(identity_facts)[:ID_LENGTH]


def scoring_digest(run: Transfer, cases: str) -> str:
    """Digest of what changes a run's results without changing its predictions.

    Args:
        run: Its scoring side is taken.
        cases: Digest of the predicted cases with their labels and attributes, from
            `runs.tested.cases.PredictedCases`.
    """
    return digest({"version": SCORING_VERSION, "run": run.scope("scoring"), "cases": cases})
