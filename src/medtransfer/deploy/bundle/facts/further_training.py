"""Facts of a further training in ``bundle.json``: patients of another hospital, and settings."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medtransfer.deploy.bundle.facts.targets import STRICT, Count, ShortName
from medtransfer.errors import listed, plural

BatchNorm = Literal["fixed", "trained"]


@dataclass(frozen=True, config=STRICT)
class FurtherTrainingFacts:
    """Further training of a bundle's networks at another hospital.

    Attributes:
        hospital: Its name.
        train_patients: Patients that trained them.
        tune_patients: Patients held back.
        learning_rate: Peak of the schedule.
        batch_size: Cases per step.
        steps: Length of the schedule.
        selected: Finished steps of each network at the checkpoint that was kept.
        frozen_stages: Groups of layers that stayed as they were, from below.
        batch_norm: `fixed`: statistics of the bundle it was adapted from.
        held_share: Share of the patients that was held back.
        seed: Of the patients held back, the order of the cases and the crops.
    """

    hospital: ShortName
    train_patients: Count
    tune_patients: Count
    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1)]
    selected: Annotated[tuple[Count, ...], Field(min_length=1, max_length=100)]
    frozen_stages: Count
    batch_norm: BatchNorm
    held_share: Annotated[float, Field(gt=0, lt=1)]
    seed: Count

    def sentence(self) -> str:
        """Patients and settings in words."""
        kept = dict.fromkeys(self.selected)
        frozen = "all stages"
        if self.frozen_stages:
            frozen = f"all but the lowest {plural(self.frozen_stages, 'stage')}"
        return (
            f"with {plural(self.train_patients + self.tune_patients, 'patient')} of "
            f"{self.hospital}: {self.train_patients} trained it, {self.tune_patients} were held "
            f"back and selected {'step' if len(kept) == 1 else 'steps'} "
            f"{listed([str(step) for step in kept])} of {self.steps} (peak learning rate "
            f"{self.learning_rate:g}, batches of {self.batch_size}, {frozen}, batch normalisation "
            f"{self.batch_norm}, seed {self.seed})"
        )
