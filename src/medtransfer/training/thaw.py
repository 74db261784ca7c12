"""Stages that are frozen in the first steps of a training and trained in the others."""

from medtransfer.models.classifier import Classifier
from medtransfer.models.partial_tuning import LowestStages
from medtransfer.training.config import TuningConfig


class Thaw:
    """Freezes the lowest stages of a backbone up to a step. Without them nothing happens."""

    def __init__(self, classifier: Classifier, tuning: TuningConfig, steps: int) -> None:
        """Find the stages.

        Args:
            classifier: Its weights are all in the optimiser; those without a gradient stay.
            tuning: Number of stages, and share of the steps.
            steps: Of the whole training.
        """
        self._step = thaw_step(tuning, steps)
        self._is_frozen = False
        self._stages = LowestStages(classifier, tuning.frozen_stages) if self._step else None

    def before(self, step: int) -> None:
        """Bring the stages into the state of a step, counted from 0."""
        is_frozen = step < self._step
        if self._stages is None or is_frozen == self._is_frozen:
            return
        (self._stages.freeze if is_frozen else self._stages.train)()
        self._is_frozen = is_frozen


def thaw_step(tuning: TuningConfig, steps: int) -> int:
    """Number of steps with frozen stages; 0 where no stage is thawed.

    Args:
        tuning: Weights to train.
        steps: Of the whole training.
    """
    return round(tuning.frozen_until * steps) if tuning.frozen_until < 1 else 0
