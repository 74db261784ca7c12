"""Model settings: the network and its weights."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from medtransfer.errors import ConfigError
from medtransfer.models.ladder import find_rung
from medtransfer.settings import Settings, identity, identity_if_set, runtime

Pool = Literal["mean", "max", "attention"]
Head = Literal["linear", "neighbours", "centroid", "mlp"]


def _known(name: str) -> str:
    try:
        find_rung(name)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return name


RungName = Annotated[str, AfterValidator(_known)]
"""A rung that is there, as it is named by hand."""


class ModelConfig(Settings):
    """A rung of the ladder and how the images of a case are brought together."""

    rung: str = identity(min_length=3)
    """Name of a rung, e.g. `bit-m/r50x1`; `medtransfer ladder` lists all."""
    weights: Path | None = runtime(None)
    """File of a `file/…` rung, or another place for a published one; relative to study.yaml. Its
    digest is in the run id, its place is not."""
    pool: Pool = identity("mean")
    """Pooling of the features of a case's images: mean, maximum, or learned attention."""
    features: Path | None = runtime(None)
    """File with the features of an `embeddings/…` rung; its digest is in the run id, its place is
    not."""
    feature_ids: Path | None = runtime(None)
    """Table with the ids of the rows of a `.npy` file."""
    head: Head = identity_if_set("linear")
    """Classifier on the features of an `embeddings/…` rung."""
    covariates: tuple[str, ...] = identity_if_set(())
    """Columns of clinical data that the head sees; a study's `covariates` sets them."""
