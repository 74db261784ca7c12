"""Images to pre-train on: what they are, which of them train, and what is asked of each.

Three layouts are read: a folder of class folders (as ImageNet-1k and 21k are unpacked), a table
(CSV with ``path``, Parquet with ``path`` or ``image``; a manifest is one), and a folder of tar
shards in WebDataset's layout. Images are decoded from all of them by the same cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.shards import Codec
from medtransfer.errors import TableError, fault_list, listed, plural
from medtransfer.models.rungs.architectures import Architecture
from medtransfer.pretraining.config import Pretrain, UpstreamConfig
from medtransfer.pretraining.listing import Listing, read_class_folders, read_table
from medtransfer.pretraining.sparse_targets import SparseTargets
from medtransfer.pretraining.webdataset import read_shards
from medtransfer.runs.inputs import CacheRequest
from medtransfer.seeds import text_keys, uniforms
from medtransfer.settings import digest, rows_digest
from medtransfer.tables.manifest import Manifest

HELD_OUT = ("tune", "val", "valid", "validation", "dev")
"""Words for the split that is looked at; ``test`` is never read."""


@dataclass(frozen=True, eq=False)
class UpstreamImages:
    """Images with their targets, each a case of its own.

    Attributes:
        case_ids: Names of the images, unique. [N]
        image_ids: The same.
        targets: 0 to 1, NaN where masked. [N, T]
    """

    case_ids: NDArray[np.str_]
    image_ids: list[str]
    targets: SparseTargets

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images of each case: one. [N]"""
        return np.ones(len(self), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Upstream:
    """A set of images to pre-train on.

    Attributes:
        manifest: The images.
        classes: Names of the targets. T
        train: Positions in the manifest's frame of those that train. [N]
        held_out: Positions of those that are looked at. [M]
        targets: Of all images of the manifest, in its order.
        notes: What a reader should know: what was left out, and why.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    targets: SparseTargets
    notes: tuple[str, ...]

    def images(self, rows: NDArray[np.int64]) -> UpstreamImages:
        """Some of the images, by their positions in the manifest's frame. [N]"""
        names: list[str] = self.manifest.frame["image_id"].gather(rows).to_list()
        targets = self.targets.take(rows)
        return UpstreamImages(np.array(names, dtype=np.str_), names, targets)

    def digest(self, facts: pl.DataFrame) -> str:
        """Of everything that training reads: contents and targets of both parts.

        Args:
            facts: From `scan_images`.
        """
        parts: list[str] = []
        for rows in (self.train, self.held_out):
            contents: list[str] = facts["sha256"].gather(rows).to_list()
            columns = ("sha256", "holds", "masked")
            parts.append(
                rows_digest(columns, [list(zip(contents, *self.targets.lists(rows), strict=True))])
            )
        return digest([list(self.classes), *parts])


def read_upstream(config: UpstreamConfig) -> Upstream:
    """Find the images to pre-train on.

    Raises:
        TableError: They are not there, or not in a layout that is read; all faults at once.
        ConfigError: The table lacks a column that is asked for.
    """
    place = config.images
    if place.is_dir():
        shards = sorted(place.rglob("*.tar"))
        listing = read_shards(place, shards, config) if shards else read_class_folders(place)
    else:
        listing = read_table(place, config)
    return _divided(listing, config)


def _divided(listing: Listing, config: UpstreamConfig) -> Upstream:
    """The images that train, those that are looked at, and what was left out."""
    frame = listing.manifest.frame
    labelled = np.flatnonzero(listing.targets.known_rows())
    notes = list(listing.notes)
    if len(labelled) < len(frame):
        notes.append(f"{plural(len(frame) - len(labelled), 'image')} without a label: left out.")
    train, held_out = _parts(frame, labelled, config)
    unread = len(labelled) - len(train) - len(held_out)
    if unread:
        notes.append(f"{plural(unread, 'image')} of another split: never read.")
    train = _share(frame, train, config.fraction, config.seed, "fraction")
    faults: list[str] = []
    if not len(train) or not len(held_out):
        faults.append(f"{plural(len(train), 'image')} train and {len(held_out):,} are held out")
    if len(listing.classes) < 2 and config.task == "single-label":
        faults.append(f"there is one class or none ({listed(listing.classes)})")
    if faults:
        title = f'Images to pre-train on, "{config.images.name}", cannot be used'
        raise TableError(
            fault_list(title, faults, "Look at data.label, data.held_out and the column `split`.")
        )
    return Upstream(
        manifest=listing.manifest,
        classes=listing.classes,
        train=train,
        held_out=held_out,
        targets=listing.targets,
        notes=tuple(notes),
    )


def _parts(
    frame: pl.DataFrame, known: NDArray[np.int64], config: UpstreamConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions that train and that are held out, by the `split` column or by lot."""
    if "split" not in frame.columns:
        return _by_lot(frame, known, config)
    split_words = frame["split"].gather(known).str.to_lowercase()
    train = known[(split_words == "train").fill_null(value=False).to_numpy()]
    held = known[split_words.is_in(HELD_OUT).fill_null(value=False).to_numpy()]
    return (train, held) if len(held) else _by_lot(frame, train, config)


def _by_lot(
    frame: pl.DataFrame, rows: NDArray[np.int64], config: UpstreamConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    held = _share(frame, rows, config.held_out, config.seed, "held out")
    return np.setdiff1d(rows, held), held


def _share(
    frame: pl.DataFrame, rows: NDArray[np.int64], share: float, seed: int, what: str
) -> NDArray[np.int64]:
    """A share of the patients (images, where no patient is known) of some rows, nested."""
    if share == 1 or not len(rows):
        return rows
    owner = "patient_id" if "patient_id" in frame.columns else "image_id"
    owners = frame[owner].gather(rows)
    names: Sequence[str] = owners.unique().sort().to_list()
    drawn = uniforms(
        seed, f"upstream {what}", np.zeros(len(names), dtype=np.int64), text_keys(list(names))
    )
    count = max(1, round(share * len(names)))
    chosen = pl.Series([names[i] for i in np.argsort(drawn, kind="stable")[:count]])
    return rows[owners.is_in(chosen.implode()).to_numpy()]


def upstream_spec(run: Pretrain, architecture: Architecture) -> InputSpec:
    """Sizes from the recipe, the rest from the network."""
    mean, std = architecture.mean, architecture.std
    return InputSpec(run.data.resize, run.data.crop, mean, std, architecture.interpolation)


def upstream_requests(
    run: Pretrain, spec: InputSpec, upstream: Upstream
) -> tuple[CacheRequest, CacheRequest]:
    """Images that pre-training reads: those that train, and those that are held out."""
    quality, limit = run.data.jpeg_quality, run.data.pixel_limit
    codec = Codec() if quality is None else Codec("jpeg", quality)
    return (
        CacheRequest(upstream.train, PixelRecipe(spec.resize, spec.interpolation, limit, codec)),
        CacheRequest(upstream.held_out, PixelRecipe(spec.crop, spec.interpolation, limit, codec)),
    )
