"""Images to pre-train on from a table or from class folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.sources.catalog import terms_of
from medtransfer.errors import ConfigError, TableError, listed, suggestion
from medtransfer.pretraining.config import UpstreamConfig
from medtransfer.pretraining.sparse_targets import (
    SparseTargets,
    targets_of_columns,
    targets_of_names,
)
from medtransfer.tables.manifest import Manifest, label_text
from medtransfer.tables.schema import ROW, Contract, read_frame

SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm")
SPLIT_FOLDERS = ("train", "val")
KEPT = ("patient_id", "split", "frame", "path", "offset", "length")
"""Columns that reading and dividing the images needs, where they are there."""
LABEL_BREAK = "|"
"""Between the labels of an image in one text cell."""
LISTING_CONTRACT = Contract("Table of images", ())


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of one place.

    Attributes:
        manifest: One row per image: `image_id`, `path` or embedded, maybe `split`, `patient_id`.
        classes: Names of the targets. T
        targets: Of all images, in the manifest's order.
        notes: What a reader should know.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    targets: SparseTargets
    notes: tuple[str, ...] = ()


def read_class_folders(root: Path) -> Listing:
    """Images of class folders; ``train`` and ``val`` may stand above the classes.

    Raises:
        TableError: No image lies in a class folder.
    """
    split = all((root / name).is_dir() for name in SPLIT_FOLDERS)
    tops = [root / name for name in SPLIT_FOLDERS] if split else [root]
    rows: list[tuple[str, str, str]] = []
    for top in tops:
        for folder in sorted(path for path in top.iterdir() if path.is_dir()):
            rows += [(image, folder.name, top.name) for image in _images_below(folder, root)]
    if not rows:
        raise TableError(
            f'Folder "{root.name}" has no image in a class folder (expected: CLASS/image.jpeg, or '
            f"train/CLASS/image.jpeg and val/CLASS/image.jpeg; endings {listed(SUFFIXES)})."
        )
    frame = pl.DataFrame(rows, schema=["path", "label", "split"], orient="row")
    frame = frame if split else frame.drop("split")
    frame = frame.with_columns(image_id=pl.col("path")).sort("image_id").with_row_index(ROW, 1)
    labels = frame.select(pl.concat_list("label")).to_series()
    manifest = manifest_of(frame, root, root.resolve(), embedded=False)
    return Listing(manifest, *targets_of_names(labels, one_of_many=True))


def _images_below(folder: Path, root: Path) -> list[str]:
    """Images below a class folder, as paths below the root; `os.walk` scales to millions."""
    paths: list[str] = []
    for place, _, names in os.walk(folder):
        inside = Path(place).relative_to(root).as_posix()
        paths += [f"{inside}/{name}" for name in names if name.lower().endswith(SUFFIXES)]
    return paths


def read_table(path: Path, config: UpstreamConfig) -> Listing:
    """Images of a CSV or Parquet table, a manifest among them.

    Raises:
        TableError: The table cannot be read, or holds cells that are not allowed.
        ConfigError: Columns that are asked for are not there.
    """
    frame = read_frame(path, LISTING_CONTRACT, skip=("image",))
    embedded = path.suffix.lower() == ".parquet" and "image" in pl.read_parquet_schema(path)
    asked = list(config.targets) or [config.label]
    needed = asked if embedded else [*asked, "path"]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        hints = " ".join(suggestion(name, frame.columns) for name in missing)
        raise ConfigError(
            f'Table "{path.name}" has no column {listed(missing)} (it has '
            f"{listed(c for c in frame.columns if c != ROW)}). {hints}".rstrip()
        )
    if "image_id" not in frame.columns:
        name = pl.col(ROW).cast(pl.String).str.zfill(9)
        frame = frame.with_columns(image_id=name if embedded else pl.col("path"))
    frame = frame.with_columns(pl.col("image_id").cast(pl.String)).sort("image_id")
    if frame["image_id"].is_duplicated().any():
        raise TableError(f'Table "{path.name}" names an image twice in image_id or path.')
    root = (config.image_root or path.parent).resolve()
    manifest = manifest_of(frame, path, root, embedded=embedded)
    cohorts = (
        frame["cohort"].cast(pl.String).drop_nulls().unique() if "cohort" in frame.columns else ()
    )
    notes = tuple(terms_of(cohorts))
    if config.targets:
        return Listing(manifest, config.targets, _answers(frame, config.targets, path), notes)
    labels = _label_lists(frame[config.label])
    named = targets_of_names(labels, one_of_many=config.one_of_many)
    return Listing(manifest, *named, notes=notes)


def manifest_of(frame: pl.DataFrame, path: Path, root: Path, *, embedded: bool) -> Manifest:
    """Images as a manifest, as far as decoding them needs.

    Args:
        frame: One row per image, sorted by `image_id`.
        path: Where the table or folder lies.
        root: Folder that `path` cells are relative to.
        embedded: Whether the pictures are in the table.
    """
    kept = [name for name in KEPT if name in frame.columns]
    return Manifest(frame.select(ROW, "image_id", *kept), path, root, embedded)


def _label_lists(column: pl.Series) -> pl.Series:
    """Labels per image: a list column as it is, text broken at ``|``."""
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String))
    text = column.cast(pl.String).str.strip_chars()
    return text.replace("", None).str.split(LABEL_BREAK)


def _answers(frame: pl.DataFrame, targets: Sequence[str], path: Path) -> SparseTargets:
    """Targets from a column of 1, 0, -1 or nothing for each; -1 and nothing are masked."""
    cells = frame.select(label_text(name) for name in targets)
    wrong = [name for name in targets if not cells[name].drop_nulls().is_in(["1", "0", "-1"]).all()]
    if wrong:
        raise TableError(
            f'Table "{path.name}" holds other cells than 1, 0, -1 and empty in {listed(wrong)}. '
            "Name a column of class names with data.label instead, or mend the cells."
        )
    return targets_of_columns(cells)
