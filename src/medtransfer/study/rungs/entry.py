"""One rung of a study with its own settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from medtransfer.data.config import ImageConfig
from medtransfer.data.sources.catalog import SOURCES
from medtransfer.errors import suggestion
from medtransfer.models.config import Head, Pool, RungName
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.start import METADATA_ONLY, mitigation_of
from medtransfer.settings import Settings, identity, identity_if_set, runtime, scoring
from medtransfer.training.config import TrainingConfig


class RungEntry(Settings):
    """One rung of the study, with its own settings."""

    rung: RungName = identity()
    """Its name in the ladder. `bit-m/r50x1@variant-448px` is `bit-m/r50x1` under a further name, to
    compare several settings of one network: up to 31 letters, digits, `.`, `_` and `-`."""
    weights: Path | None = runtime(None)
    """Its weights file, for `file/…` rungs or another place; relative to study.yaml."""
    features: Path | None = runtime(None)
    """Features of an `embeddings/…` rung: `.parquet` with `image_id` or `case_id` and a column of
    lists, or `.npy`; relative to study.yaml."""
    feature_ids: Path | None = runtime(None)
    """For `.npy`: table with `image_id` or `case_id` in the order of the rows. By default the table
    of the same name beside it."""
    head: Head = identity_if_set("linear")
    """Classifier on the features of an `embeddings/…` rung: `linear` (logistic regression),
    `neighbours` (cosine), `centroid` (nearest), or `mlp` (one hidden layer)."""
    pool: Pool = identity("mean")
    """Pooling over the images of a case."""
    images: float | None = scoring(None, gt=0, lt=1e12)
    """Images that it was pre-trained on, where the ladder does not know: from its model card."""
    pretraining: Annotated[str, Field(min_length=1, max_length=80)] | None = scoring(None)
    """Name of what it was pre-trained on, likewise; rungs of one name share their pre-training."""
    seen: tuple[str, ...] = scoring(())
    """Public sets that it was pre-trained on, by their names in `medtransfer sources`, from its
    model card: a study that tests on them is stopped (A023)."""
    training: TrainingConfig = identity(TrainingConfig())
    """Fields given here stand in for the study's own, e.g. more steps for a rung from scratch."""
    image: ImageConfig = identity_if_set(ImageConfig())
    """Likewise for `data.image`, e.g. the size of the images."""

    @model_validator(mode="after")
    def _features_of_their_rung(self) -> "RungEntry":
        if not find_rung(self.rung).reads_images:
            faults = self._feature_faults() if self.rung != METADATA_ONLY else []
        else:
            fields = {"features": None, "feature_ids": None, "head": "linear"}
            faults = [
                f"{name} is for embeddings/ rungs; `medtransfer features` writes the features of "
                "a network"
                for name, default in fields.items()
                if getattr(self, name) != default
            ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @field_validator("seen")
    @classmethod
    def _known_sets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in SOURCES:
                hint = suggestion(name, SOURCES)
                raise ValueError(f"seen names '{name}', which is no public set. {hint}".rstrip())
        return value

    def _feature_faults(self) -> list[str]:
        """Settings that features in a file need or exclude."""
        faults: list[str] = []
        if self.image.model_fields_set:
            faults.append(f"rung '{self.rung}' reads no images: leave out image")
        if self.features is None:
            faults.append(f"rung '{self.rung}' needs features: the file of its features")
        if self.weights is not None:
            faults.append(f"rung '{self.rung}' has no weights: its features are in a file")
        tuning = self.training.tuning if "tuning" in self.training.model_fields_set else None
        if tuning is not None and tuning.mode != "linear":
            faults.append(f"rung '{self.rung}' has fixed features: tuning.mode must be linear")
        if mitigation_of(self.rung) and self.head != "linear":
            faults.append(f"head {self.head} has no mitigation")
        weighs = self.training.loss.weights != "none"
        if weighs and self.head in ("neighbours", "centroid"):
            faults.append(f"head {self.head} has no loss.weights")
        return faults
