"""Inputs of a run: its manifest, and its images at the size its network takes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig
from medtransfer.data.images.cache import CachedImages, PixelRecipe, prepare_cache
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.scan import no_progress
from medtransfer.data.images.shards import Codec
from medtransfer.data.splits import internal_rows
from medtransfer.models.ladder import Architecture, find_rung
from medtransfer.runs.config import Transfer
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.training.bit_hyperrule import resolution


@dataclass(frozen=True, eq=False)
class CacheRequest:
    """Images that must be in a cache before a run can start.

    Attributes:
        indices: Positions in the manifest's frame. [N]
        recipe: Size and interpolation.
    """

    indices: NDArray[np.int64]
    recipe: PixelRecipe

    def make(
        self,
        manifest: Manifest,
        facts: pl.DataFrame,
        parent: Path,
        progress: Callable[[int, int], None] = no_progress,
        *,
        verify: bool = False,
    ) -> CachedImages:
        """Put the images into the cache, unless they are there; see `data.cache.prepare_cache`."""
        return prepare_cache(
            manifest,
            self.indices,
            facts,
            self.recipe,
            parent=parent,
            progress=progress,
            verify=verify,
        )


def read_run_manifest(data: DataConfig) -> Manifest:
    """Read and check the manifest of a run.

    Raises:
        TableError: It does not keep its contract.
    """
    return read_manifest(
        data.manifest,
        targets=data.names,
        class_column=data.class_column,
        attributes=(*data.attributes, *data.split.group_columns),
        image_root=data.image_root,
    )


def known_architecture(rung: str) -> Architecture:
    """A rung's architecture with its facts complete; only open forms ask timm for them."""
    entry = find_rung(rung)
    if entry.architecture.width is None:
        from medtransfer.models.backbones import with_timm_facts

        entry = with_timm_facts(entry)
    return entry.architecture


def input_spec(
    run: Transfer, architecture: Architecture, frame: pl.DataFrame, facts: pl.DataFrame
) -> InputSpec:
    """Sizes from the study, or by BiT-HyperRule from the training images' median area."""
    image = run.data.image
    if image.resize is not None and image.crop is not None:
        sides = (image.resize, image.crop)
    else:
        # cases of another cohort that are trained on again leave the sizes as they are
        internal = internal_rows(frame, run.data.split)
        rows = ((frame["split"] == "train") & internal).to_numpy()
        area = (facts["width"] * facts["height"]).to_numpy()[rows]
        sides = resolution(float(np.median(area)))
    return InputSpec(*sides, architecture.mean, architecture.std, architecture.interpolation)


def cache_requests(
    run: Transfer, spec: InputSpec, frame: pl.DataFrame
) -> tuple[CacheRequest, CacheRequest, CacheRequest]:
    """The three sets of images that a run reads, each at a size.

    Returns:
        Training images at the resize side, to be trained on; all others at the crop side, to be
        tested on; training images at the crop side, as they would be tested. A linear probe trains
        on images as they are tested, so its first is its third.
    """
    training = (frame["split"] == "train").to_numpy()
    seen, rest = np.flatnonzero(training), np.flatnonzero(~training)

    image, limit = run.data.image, run.data.pixel_limit
    codec = Codec(image.codec) if image.jpeg_quality is None else Codec("jpeg", image.jpeg_quality)

    def need(indices: NDArray[np.int64], size: int) -> CacheRequest:
        return CacheRequest(indices, PixelRecipe(size, spec.interpolation, limit, codec))

    trained = spec.crop if run.training.tuning.mode == "linear" else spec.resize
    return need(seen, trained), need(rest, spec.crop), need(seen, spec.crop)


def merge_requests(needs: Iterable[CacheRequest]) -> list[CacheRequest]:
    """One need per recipe for all images that some needs name, smallest size first."""
    wanted: dict[PixelRecipe, list[NDArray[np.int64]]] = {}
    for need in {id(need): need for need in needs}.values():
        wanted.setdefault(need.recipe, []).append(need.indices)
    ordered = sorted(wanted, key=lambda recipe: (recipe.size, recipe.interpolation))
    return [CacheRequest(np.unique(np.concatenate(wanted[recipe])), recipe) for recipe in ordered]
