"""Sweep settings: learning rates, lengths and weight decays that are tried."""

from typing import Annotated

from pydantic import Field

from medtransfer.settings import Settings, identity
from medtransfer.training.config import TrainingConfig

Rate = Annotated[float, Field(gt=0, lt=10)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class SweepConfig(Settings):
    """Settings of training that are tried at every place of the grid; the best on tune is taken."""

    learning_rates: tuple[Rate, ...] = identity(())
    """In place of `training.learning_rate`."""
    steps: tuple[Steps, ...] = identity(())
    """In place of `training.steps`."""
    weight_decays: tuple[Decay, ...] = identity(())
    """In place of `training.weight_decay`."""

    def settings(self, training: TrainingConfig) -> list[TrainingConfig]:
        """Every combination on top of other settings, those alone where there is none.

        A linear probe has its own penalties to try and takes no part.
        """
        if training.tuning.mode == "linear":
            return [training]
        rates = self.learning_rates or (training.learning_rate,)
        lengths = self.steps or (training.steps,)
        decays = self.weight_decays or (training.weight_decay,)
        return [
            training.model_copy(
                update={"learning_rate": rate, "steps": length, "weight_decay": decay}
            )
            for rate in rates
            for length in lengths
            for decay in decays
        ]

    @property
    def is_set(self) -> bool:
        """True if there is anything to try."""
        return bool(self.learning_rates or self.steps or self.weight_decays)
