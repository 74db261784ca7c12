"""Labels that came later than the predictions."""

from dataclasses import dataclass
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
from medtransfer.tables.values.value_map import ValueMap, absent_columns, map_values


@dataclass(frozen=True)
class LaterLabels:
    """Labels of cases, from a table beside their predictions.

    Attributes:
        frame: `case_id` and `target_<name>`, null where there is no label; a row per case.
        notes: Sentences on how the table was read.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]


def read_later_labels(
    path: Path, facts: BundleFacts, values: ValueMap | None = None
) -> LaterLabels:
    """Labels of cases, by the label policy of the bundle.

    Args:
        path: A manifest, or any table with `case_id` and the bundle's targets (or its class
            column).
        facts: Of the bundle.
        values: Values to read in place of others, by column: ``{"x": {"yes": "1", "no": "0"}}``.

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
    faults = absent_columns(frame, values or {})
    frame, mapped = map_values(frame, values or {})
    targets = () if data.class_column else data.names
    roles = Roles(targets, data.class_column, data.names, ())
    columns = [name for name in readable_columns(frame) if name in _columns(data)]
    cells = read_cells(frame, columns, roles, values)
    faults += [
        *cells.faults,
        *named_column_faults(cells.frame, data.class_column, data.names, ()),
    ]
    if faults:
        advice = f"Give case_id and {listed(_columns(data))}: 1, 0, -1 (uncertain) or empty."
        raise TableError(fault_list(f'Labels "{path.name}" cannot be used', faults, advice))
    manifest = Manifest(_with_ids(cells.frame), path, path.parent, embedded=True)
    return LaterLabels(label_table(manifest, data), (*table.notes, *mapped, *cells.notes))


def _columns(data: DataConfig) -> list[str]:
    return [data.class_column] if data.class_column else list(data.names)


def _with_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as those of a manifest: one image each, of the case's own patient."""
    return frame.with_columns(
        pl.format("row {}", ROW).alias("image_id"),
        pl.col("case_id").cast(pl.String),
        pl.col("case_id").cast(pl.String).alias("patient_id"),
        pl.lit(UNNAMED).alias("cohort"),
    )
