"""Inputs of a run: its manifest, and its images at the size its network takes.

A run's id names its inputs. They are compared with the plan when a run reads them, and once more
before it is done: labels, images or weights that somebody replaces while a study runs must not end
in results under the old id.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig
from medtransfer.data.covariates.cells import covariate_cells
from medtransfer.data.images.cache import CachedImages, prepare_cache
from medtransfer.data.images.controls import ControlRecipe
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.scan import no_progress, scan_images
from medtransfer.data.images.shards import Codec
from medtransfer.data.labels import raw_labels, require_class_shares, share_notes
from medtransfer.data.splits import internal_rows, set_outliers_apart
from medtransfer.errors import ImageError, StudyError, TableError, WeightsError, listed, plural
from medtransfer.evaluation.comparison.levels.units import require_whole_units
from medtransfer.files import file_stamp
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.architectures import Architecture
from medtransfer.models.rungs.start import control_of
from medtransfer.runs.config import Transfer
from medtransfer.settings import rows_digest
from medtransfer.sizes.image_size import ImageSize, height_width, pixel_count
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import rows_of
from medtransfer.tables.values.ages import with_age_groups
from medtransfer.tables.values.value_map import study_notes, values_of_study
from medtransfer.training.bit_hyperrule import resolution


@dataclass(frozen=True)
class PlannedInputs:
    """Digests of the inputs that a run's id was made from.

    Attributes:
        data: Of all rows and images, from `data_digest`; the id is made from those that train.
        weights: SHA-256 of the weights file; None for random weights.
    """

    data: str
    weights: str | None

    def require_weights(self, rung: str, digest: str | None, what: str = "weights") -> None:
        """Compare the weights, or the features, that were loaded with the plan.

        Raises:
            WeightsError: They are others.
        """
        if digest != self.weights:
            planned, loaded = (value and f"{value[:12]}…" for value in (self.weights, digest))
            raise WeightsError(
                f"The {what} of rung '{rung}' changed while the study ran: SHA-256 {loaded}, "
                f"planned {planned}. Nothing was trained on them. Run the same command again."
            )


class InputsChangedError(StudyError):
    """The data of a run are no longer those of the plan; no other run of the study can start."""


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


def read_run_manifest(data: DataConfig, *, images: bool = True) -> Manifest:
    """Read and check the manifest of a run.

    Args:
        data: Of the run.
        images: False if none are read: the table then needs no paths, and loses those that it has.

    Raises:
        TableError: It does not keep its contract.
    """
    with values_of_study():
        manifest = read_manifest(
            data.manifest,
            targets=(*data.names, *data.outlier_classes),
            class_column=data.class_column,
            attributes=(*data.attributes, *data.split.group_columns, *data.levels),
            image_root=data.image_root,
            values=data.values,
            fractions=data.fractional,
            images=images,
        )
    require_whole_units(manifest.frame, data.manifest, data.levels)
    require_class_shares(manifest.frame, data.manifest, list(data.class_shares.values()))
    _, ages = with_age_groups(manifest.frame, data.attributes)
    notes = study_notes((*manifest.notes, *ages, *share_notes(manifest.frame, data)))
    manifest = set_outliers_apart(replace(manifest, notes=notes), data)
    return manifest if images else manifest.without_images()


def data_digest(
    manifest: Manifest, facts: pl.DataFrame, data: DataConfig, columns: Sequence[str] = ()
) -> str:
    """Digest of ids, cohorts, splits, raw labels and image contents; not of places or attributes.

    The rows stand in the order of `image_id`, so a moved folder or another row order leaves run
    ids as they are.

    Args:
        manifest: The images.
        facts: Digest of each, in the same order.
        data: Of the run.
        columns: Others whose values change what it learns.
    """
    table = _identity_table(manifest, data, columns).with_columns(facts["sha256"])
    return rows_digest(table.columns, (part.rows() for part in table.iter_slices(100_000)))


def training_digest(
    frame: pl.DataFrame, facts: pl.DataFrame, data: DataConfig, columns: Sequence[str] = ()
) -> str:
    """Digest of the rows that a run trains on and selects with: what its id is made from.

    Their ids, cohorts, splits, raw labels and image contents are in it. Test cases are not: adding,
    changing or removing some leaves the run as it is.

    Args:
        frame: Manifest rows with splits, from `assign_splits`.
        facts: Digest of each image, in the same order.
        data: Of the run.
        columns: Others whose values change what it learns.
    """
    ids = frame.select(
        "image_id", "case_id", "patient_id", "cohort", pl.col("split").cast(pl.String)
    )
    table = ids.hstack(raw_labels(frame, data)).with_columns(facts["sha256"])
    if columns:
        cells = covariate_cells(frame, columns)
        renamed = cells.rename({name: f"column {name}" for name in columns})
        table = table.join(renamed, on="case_id", maintain_order="left")
    table = table.filter(pl.col("split") != "test")
    return rows_digest(table.columns, (part.rows() for part in table.iter_slices(100_000)))


def _identity_table(
    manifest: Manifest, data: DataConfig, columns: Sequence[str] = ()
) -> pl.DataFrame:
    """Ids, cohorts, splits, raw labels and some columns of every image."""
    ids = ["image_id", "case_id", "patient_id", "cohort"]
    ids += [name for name in ("split",) if name in manifest.frame.columns]
    ids += list(data.split.group_columns)
    table = manifest.frame.select(pl.col(name).cast(pl.String) for name in ids)
    cells = (pl.col(name).cast(pl.String).alias(f"column {name}") for name in columns)
    return table.hstack(raw_labels(manifest.frame, data)).hstack(manifest.frame.select(cells))


class RunData:
    """Manifest and image facts of a run, compared with its plan.

    Attributes:
        manifest: The images.
        facts: Header facts and digests of the images.
    """

    def __init__(
        self,
        run: Transfer,
        memory: Path,
        planned: PlannedInputs | None,
        *,
        images: bool = True,
    ) -> None:
        """Read them.

        Args:
            run: Its configuration.
            memory: Parquet file that remembers image facts between calls.
            planned: Digests of the plan; None compares nothing.
            images: False if none are read.

        Raises:
            InputsChangedError: They are not those of the plan.
            MedTransferError: They cannot be read, and there is no plan.
        """
        self._data, self._memory, self._planned = run.data, memory, planned
        self._columns, self._has_images = run.training_columns, images
        self._stamp = file_stamp(run.data.manifest)
        self.manifest, self.facts = self._read()
        self._compare(self.manifest, self.facts)

    def require_unchanged(self) -> None:
        """Compare the files with the plan once more; only those that changed are read again.

        Raises:
            InputsChangedError: They are no longer those of the plan.
        """
        if self._planned is None:
            return
        is_same_table = file_stamp(self._data.manifest) == self._stamp
        manifest, facts = self._read(self.manifest if is_same_table else None)
        if not (is_same_table and facts["sha256"].equals(self.facts["sha256"])):
            self._compare(manifest, facts)

    def _read(self, manifest: Manifest | None = None) -> tuple[Manifest, pl.DataFrame]:
        try:
            manifest = manifest or read_run_manifest(self._data, images=self._has_images)
            return manifest, scan_images(manifest, self._data.pixel_limit, self._memory)
        except (TableError, ImageError) as error:
            if self._planned is None:
                raise
            raise InputsChangedError(f"{_CHANGED} {error}") from error

    def _compare(self, manifest: Manifest, facts: pl.DataFrame) -> None:
        if self._planned is None:
            return
        gone = [name for name in self._columns if name not in manifest.frame.columns]
        if gone:
            raise InputsChangedError(f"{_CHANGED} The table no longer has {listed(gone)}.")
        if data_digest(manifest, facts, self._data, self._columns) != self._planned.data:
            raise InputsChangedError(_CHANGED)


_CHANGED = "The data changed while the study ran."


def changed_inputs(
    data: DataConfig,
    before: Manifest,
    facts: pl.DataFrame,
    memory: Path,
    columns: Sequence[str] = (),
) -> str:
    """Message that names what changed in the data since a study was planned.

    Args:
        data: Of the study.
        before: The manifest of the plan.
        facts: Its images.
        memory: Parquet file that remembers image facts between calls.
        columns: Others that a run of the study learns from.
    """
    try:
        after = read_run_manifest(data, images=before.has_images)
        now = scan_images(after, data.pixel_limit, memory)
    except (TableError, ImageError) as error:
        return f"{_CHANGED} {error} {_ADVICE}"
    gone = [name for name in columns if name not in after.frame.columns]
    kept = [name for name in columns if name not in gone]
    old, new = (_identity_table(table, data, kept) for table in (before, after))
    parts = [f"the table no longer has {listed(gone)}"] if gone else []
    added = after.frame.filter(~pl.col("image_id").is_in(old["image_id"].implode()))
    removed = before.frame.filter(~pl.col("image_id").is_in(new["image_id"].implode()))
    if len(added):
        parts.append(f"{plural(len(added), 'row')} added, {rows_of(added)}")
    if len(removed):
        parts.append(f"{plural(len(removed), 'row')} removed, {rows_of(removed)} of the old table")
    if old.columns != new.columns:
        parts.append("the column 'split' was added or removed")
    else:
        relabelled = new.join(old, on=old.columns, how="anti", nulls_equal=True)
        rows = after.frame.join(relabelled, on="image_id", how="semi", maintain_order="left")
        rows = rows.join(added, on="image_id", how="anti", maintain_order="left")
        if len(rows):
            what = f"ids, splits{', clinical data' if kept else ''} or labels"
            parts.append(f"{what} of {plural(len(rows), 'row')}, {rows_of(rows)}")
    images = now.join(facts, on=["image_id", "sha256"], how="anti")
    images = images.join(added, on="image_id", how="anti")
    rows = after.frame.join(images, on="image_id", how="semi", maintain_order="left")
    if len(rows):
        parts.append(f"the content of {plural(len(rows), 'image')}, {rows_of(rows)}")
    if not parts:
        parts.append("it is now as it was planned")
    return f"{_CHANGED[:-1]}: {'; '.join(parts)}. {_ADVICE}"


_ADVICE = (
    "No run was finished on the changed data, and finished runs are kept. To go on, put the old "
    "files back and run the same command again; on the changed data it starts new runs."
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

    control = control_of(run.model.rung)

    def need(indices: NDArray[np.int64], size: ImageSize) -> CacheRequest:
        if control in ("border-only", "patch-shuffled"):
            recipe = ControlRecipe(
                size, spec.interpolation, limit, codec, image.framing, control=control
            )
            return CacheRequest(indices, recipe)
        return CacheRequest(
            indices, PixelRecipe(size, spec.interpolation, limit, codec, image.framing)
        )

    trained = spec.crop if run.training.tuning.mode == "linear" else spec.resize
    return need(seen, trained), need(rest, spec.crop), need(seen, spec.crop)


def prediction_requests(
    run: Transfer, spec: InputSpec, frame: pl.DataFrame, cohorts: Sequence[str]
) -> tuple[CacheRequest, CacheRequest]:
    """The images that a finished run reads to predict cohorts.

    Returns:
        Training images as they are tested, which OOD detectors are fitted to, and the test images
        of the cohorts. A linear probe keeps the features of whole cohorts, so it reads all images.
    """
    _, rest, seen = cache_requests(run, spec, frame)
    if run.training.tuning.mode == "linear":
        return seen, rest
    is_asked = (frame["split"] == "test") & frame["cohort"].is_in(cohorts)
    return seen, CacheRequest(np.flatnonzero(is_asked.to_numpy()), rest.recipe)


def by_size(recipe: PixelRecipe) -> tuple[int, tuple[int, int], str]:
    """Order of recipes: fewest pixels first."""
    return pixel_count(recipe.size), height_width(recipe.size), recipe.interpolation


def merge_requests(needs: Iterable[CacheRequest]) -> list[CacheRequest]:
    """One need per recipe for all images that some needs name, fewest pixels first."""
    wanted: dict[PixelRecipe, list[NDArray[np.int64]]] = {}
    for need in {id(need): need for need in needs}.values():
        wanted.setdefault(need.recipe, []).append(need.indices)
    ordered = sorted(wanted, key=by_size)
    return [CacheRequest(np.unique(np.concatenate(wanted[recipe])), recipe) for recipe in ordered]
