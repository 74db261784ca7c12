"""Settings of heads on fixed features that a study does not change. No torch."""

from medtransfer.models.config import Head
from medtransfer.training.config import TuningConfig

NEIGHBOUR_COUNTS = (1, 3, 5, 10, 20, 50, 100, 200)
"""Numbers of neighbours that are tried; those beyond the training cases are left out."""
TEMPERATURE = 0.07
"""Of the votes exp(cosine / T), as in Caron et al. 2021 (DINO)."""
HIDDEN_UNITS = 256
"""Of the MLP."""
MAX_EPOCHS = 50
PATIENCE = 8
"""Epochs without a better score on tune after which the MLP stops."""
BATCH_SIZE = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2


def head_steps(head: Head, tuning: TuningConfig, num_cases: int) -> int:
    """Number of settings that are tried, of an MLP the most epochs.

    Args:
        head: Kind of head.
        tuning: Holds the penalties of a linear one.
        num_cases: Training cases.
    """
    match head:
        case "linear":
            return len(tuning.penalties)
        case "neighbours":
            return max(1, sum(count <= num_cases for count in NEIGHBOUR_COUNTS))
        case "centroid":
            return 1
        case "mlp":
            return MAX_EPOCHS


def describe_head(head: Head, tuning: TuningConfig) -> str:
    """A head and the way it is fitted, in words."""
    match head:
        case "linear":
            low, high = min(tuning.penalties), max(tuning.penalties)
            return (
                "logistic regression; the best of "
                f"{len(tuning.penalties)} L2 penalties, {low:g} to {high:g}, by tuning AUROC"
            )
        case "neighbours":
            low, high = NEIGHBOUR_COUNTS[0], NEIGHBOUR_COUNTS[-1]
            return (
                f"votes of the nearest training cases by cosine, the best of {low} to {high} "
                "neighbours by tuning AUROC"
            )
        case "centroid":
            return "nearest centroid, one variance for all directions"
        case "mlp":
            return (
                f"a hidden layer of {HIDDEN_UNITS} units, AdamW, at most {MAX_EPOCHS} epochs, the "
                "best by tuning AUROC"
            )
