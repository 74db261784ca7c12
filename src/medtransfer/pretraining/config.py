"""Supervised pre-training as BiT does it: recipe and schedule. No torch.

Kolesnikov et al. 2020 (arXiv 1912.11370), section 3 and appendix: SGD with momentum 0.9, learning
rate 0.03 for every 256 images of a batch of 4,096, weight decay 0.0001, a warm-up of 5,000 steps,
90 epochs with drops to a tenth after 30, 60 and 80.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medtransfer.data.config import AugmentConfig, Flip, Name, SidePixels
from medtransfer.models.config import RungName
from medtransfer.runs.config import ID_LENGTH
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.settings import Settings, digest, identity, runtime
from medtransfer.training.bit_hyperrule import Schedule
from medtransfer.training.config import TrainingConfig

RATE_PER_256 = 0.03
PRETRAINING_VERSION = 4
"""Raised when a change of code changes the weights that pre-training makes."""
WARMUP_STEPS = 5_000
MAX_WARMUP_SHARE = 0.2
DROPS = (30 / 90, 60 / 90, 80 / 90)
Side = Annotated[int, Field(ge=8, le=4096)]


class UpstreamTraining(TrainingConfig):
    """BiT's upstream recipe by default; every departure is a named field."""

    batch_size: int = identity(4096, ge=1, le=65_536)
    """Images per step."""
    learning_rate: float = identity(RATE_PER_256 * 4096 / 256, gt=0, lt=100)
    """Peak of the schedule. Left out: 0.03 for every 256 images of a batch."""
    epochs: float = identity(90.0, gt=0, le=100_000)
    """Passes over the images; `steps` takes precedence."""
    warmup_steps: int | None = identity(None, ge=1)
    """Steps of the warm-up. Left out: 5,000, and not more than a fifth of all."""
    weight_decay: float = identity(0.0001, ge=0, lt=1)
    """L2 penalty on every weight."""
    mixup: float | None = identity(0.0, ge=0, le=10)
    """Alpha of MixUp, 0 for none."""
    selection: Literal["best", "last"] = identity("last")
    """Weights to keep: the best on the held-out images, or the last."""
    sides: tuple[Side, ...] = identity(())
    """Progressive resolution: sides of the input over stretches of equal length, e.g. 128, 160,
    224. Left out: `data.crop` throughout."""

    @model_validator(mode="before")
    @classmethod
    def _scaled_rate(cls, values: Any) -> Any:
        """The learning rate that goes with the batch, where none is given."""
        if isinstance(values, dict) and "batch_size" in values and "learning_rate" not in values:
            batch = values["batch_size"]  # type: ignore[index]
            if isinstance(batch, int):
                return {**values, "learning_rate": RATE_PER_256 * batch / 256}  # type: ignore[dict-item]
        return values  # type: ignore[return-value]

    @model_validator(mode="after")
    def _no_parts_of_studies(self) -> "UpstreamTraining":
        faults: list[str] = []
        if self.mitigation is not None:
            faults.append("mitigation is for the runs of a study; pre-training knows no groups")
        if self.head_start == "probe":
            faults.append("head_start is for the runs of a study: leave it out")
        if self.growth is not None:
            faults.append("growth is for the runs of a study; for pre-training set sides")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def length(self, num_images: int) -> int:
        """Steps of training on so many images."""
        return self.steps or max(1, math.ceil(self.epochs * num_images / self.batch_size))

    def side_at(self, step: int, num_images: int, crop: int) -> int:
        """Side of the input at a step, counted from 0."""
        if not self.sides:
            return crop
        stretch = step * len(self.sides) // self.length(num_images)
        return self.sides[min(stretch, len(self.sides) - 1)]


def upstream_schedule(training: UpstreamTraining, num_images: int) -> Schedule:
    """Learning rate of every step of training on so many images."""
    steps = training.length(num_images)
    warmup = training.warmup_steps or min(WARMUP_STEPS, max(1, round(MAX_WARMUP_SHARE * steps)))
    drops = (max(warmup, round(share * steps)) for share in DROPS)
    supports = (min(warmup, steps), *(min(drop, steps) for drop in drops), steps)
    return Schedule(supports, training.learning_rate, training.schedule)


class UpstreamConfig(Settings):
    """Images to pre-train on."""

    images: Path = runtime()
    """A folder of class folders (`CLASS/image.jpeg`, or `train/CLASS/…` and `val/CLASS/…`), a table
    (CSV with `path`, Parquet with `path` or `image`; a manifest is one), or a folder of `.tar`
    shards as of WebDataset. Relative to the recipe. Its content is in the id, its place is not."""
    image_root: Path | None = runtime(None)
    """Folder that `path` cells of a table are relative to; the table's own folder by default."""
    task: Literal["single-label", "multi-label"] = identity("single-label")
    """`single-label`: softmax over the classes; `multi-label`: a sigmoid for each."""
    label: Name = identity("label")
    """Column of a table, or field of a shard's `.json`, that names the class; for `multi-label` a
    list, or text with `|` between the names."""
    targets: tuple[Name, ...] = identity(())
    """Columns of 1, 0, -1 or nothing instead of `label`, as in a medical manifest; -1 and nothing
    are masked. Needs task `multi-label`."""
    fraction: float = identity(1.0, gt=0, le=1)
    """Share of the training images that is used; smaller shares are nested in larger. By patient
    where there is a `patient_id`."""
    held_out: float = identity(0.02, gt=0, lt=1)
    """Share that is looked at and never trained on, where no split `val` or `tune` is given. A
    split `test` is never read."""
    resize: SidePixels = identity(256)
    """Side of the square an image is kept at."""
    crop: SidePixels = identity(224)
    """Side of the network's input."""
    flip: Flip = identity("horizontal")
    """Random flips. `none` where the side of the body matters: chest, breast."""
    augment: AugmentConfig = identity(AugmentConfig(crop_area=0.08))
    """Random changes; the default is the Inception crop of Szegedy et al. 2015, as in BiT."""
    jpeg_quality: int | None = identity(None, ge=50, le=100)
    """Keep prepared images as JPEG of this quality, for millions of images. Left out: raw."""
    seed: int = identity(0, ge=0)
    """Of the draw of `fraction` and `held_out`, apart from the run's."""
    pixel_limit: int = runtime(100_000_000, ge=1_000_000, le=178_956_970)
    """Images of more pixels are refused by their header."""

    @model_validator(mode="after")
    def _fit_together(self) -> "UpstreamConfig":
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        if self.targets and self.task != "multi-label":
            raise ValueError("targets need task multi-label; one class of several is a label")
        return self

    @property
    def one_of_many(self) -> bool:
        """True if exactly one class holds for an image."""
        return self.task == "single-label"


class Pretrain(Settings):
    """Train one network on a set of labelled images; ends in a rung that any study can name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = runtime()
    """Name of the rung, `own/<name>` in a study, and of its folder."""
    rung: RungName = identity()
    """Starting point: `scratch/r50x1`, or any rung to continue from."""
    weights: Path | None = runtime(None)
    """Weights file of that rung, for `file/…` rungs or another place; relative to the recipe."""
    data: UpstreamConfig = identity()
    """The images."""
    training: UpstreamTraining = identity(UpstreamTraining())
    """Training settings."""
    seed: int = identity(0, ge=0)
    """Of random weights, order and augmentation."""
    about: str = runtime("")
    """Description of the images in a few words, for the model card."""
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
    identity_facts = {
        "version": PRETRAINING_VERSION,
        "pretrain": run.scope("identity"),
        "data": data,
        "weights": weights,
    }
    return digest(identity_facts)[:ID_LENGTH]


class PretrainRequest(BaseModel):
    """A pre-training run, for a worker to carry out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    pretrain: Pretrain

    @property
    def training(self) -> UpstreamTraining:
        """Its training settings."""
        return self.pretrain.training

    @property
    def threads(self) -> int | None:
        """Threads of each of its processes: what torch takes."""
        return None

    def folder(self, study: StudyFolder) -> RunFolder:
        """The rung's folder, which takes the place of the study's."""
        return RunFolder(study.path)

    def record(self) -> Mapping[str, object]:
        """Content of ``run.json``."""
        return self.model_dump(mode="json")
