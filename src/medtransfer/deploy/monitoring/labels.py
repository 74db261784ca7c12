"""Labels that came later than the predictions."""

from pathlib import Path

import polars as pl

from medtransfer.data.config import DataConfig
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.sources import UNNAMED
from medtransfer.deploy.validation.labelled_cases import data_config, label_table
from medtransfer.errors import TableError, fault_list, listed
from medtransfer.tables.manifest import (
    MANIFEST_CONTRACT,
    Manifest,
    named_column_faults,
    readable_columns,
)
from medtransfer.tables.schema import ROW, read_noted_frame
from medtransfer.tables.values.reading import Roles, read_cells


def read_later_labels(path: Path, facts: BundleFacts) -> pl.DataFrame:
    """Labels of cases, by the label policy of the bundle.

    Args:
        path: A manifest, or any table with `case_id` and the bundle's targets (or its class
            column).
        facts: Of the bundle.

    Returns:
        `case_id` and `target_<name>`, null where there is no label; a row per case.

    Raises:
        TableError: A column is missing, or a cell is no label.
    """
    data = data_config(facts, path)
    table = read_noted_frame(path, MANIFEST_CONTRACT, skip=("image",))
    frame = table.frame
    if "case_id" not in frame.columns:
        raise TableError(
            f'Table of labels "{path.name}" has no column "case_id", by which labels and '
            "predictions are joined."
        )
    frame, faults = _read(frame, data)
    if faults:
        advice = f"Give case_id and {listed(_columns(data))}: 1, 0, -1 (uncertain) or empty."
        raise TableError(fault_list(f'Labels "{path.name}" cannot be used', faults, advice))
    manifest = Manifest(_with_ids(frame), path, path.parent, embedded=True, notes=table.notes)
    return label_table(manifest, data)


def _columns(data: DataConfig) -> list[str]:
    return [data.class_column] if data.class_column else list(data.names)


def _read(frame: pl.DataFrame, data: DataConfig) -> tuple[pl.DataFrame, list[str]]:
    targets = () if data.class_column else data.names
    roles = Roles(targets, data.class_column, data.names, ())
    cells = read_cells(frame, readable_columns(frame), roles)
    named = named_column_faults(cells.frame, data.class_column, data.names, ())
    return cells.frame, [*cells.faults, *named]


def _with_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as those of a manifest: one image each, of the case's own patient."""
    return frame.with_columns(
        pl.format("row {}", ROW).alias("image_id"),
        pl.col("case_id").cast(pl.String),
        pl.col("case_id").cast(pl.String).alias("patient_id"),
        pl.lit(UNNAMED).alias("cohort"),
    )
