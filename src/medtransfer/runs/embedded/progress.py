"""Progress of heads that are fitted to fixed features."""

import math
import time

from medtransfer.models.runtime import world
from medtransfer.runs.config import Transfer
from medtransfer.training.checkpoint import TrainingState
from medtransfer.training.linear_probe import ProbeCheck
from medtransfer.training.loop import ProgressCallback, StepReport, Stopped


class ProbeProgress:
    """Progress of a head: the extraction of features, then a step for each setting."""

    def __init__(self, steps: int, initial_loss: float, on_step: ProgressCallback) -> None:
        """Start the clock.

        Args:
            steps: Number of settings that are tried.
            initial_loss: Of a head at zero.
            on_step: Called with every report; it may ask to stop.
        """
        self.state = TrainingState()
        self._steps, self._on_step = steps, on_step
        self._started = time.monotonic()
        self._step, self._loss = 0, initial_loss
        self._auroc: float | None = None

    def add_images(self, count: int) -> None:
        """Count images whose features were extracted."""
        self.state.images += count
        self.report()

    def add_check(self, check: ProbeCheck) -> None:
        """Take the validation of a setting."""
        self._step, self._loss, self._auroc = check.step, check.train_loss, check.tune_auroc
        self.report()

    def report(self) -> None:
        """Report the latest step.

        Raises:
            Stopped: The callback of any process asked to stop before the last step.
        """
        self.state.seconds = time.monotonic() - self._started
        report = StepReport(
            step=self._step,
            steps=self._steps,
            loss=self._loss,
            images_per_second=self.state.images / max(1e-9, self.state.seconds),
            tune_auroc=self._auroc,
        )
        if world().any(self._on_step(report)) and self._step < self._steps:
            raise Stopped


def loss_at_zero(run: Transfer) -> float:
    """Loss of a head at zero, which gives every class the same probability."""
    return math.log(len(run.data.names) if run.data.task == "single-label" else 2)
