"""Table of readings: what each of several readers said of each case."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.errors import listed, plural
from medtransfer.tables.predictions import target_names
from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    duplicates,
    raise_faults,
    read_noted_frame,
    rows_of,
    typed,
)
from medtransfer.tables.values.personal_columns import personal_faults
from medtransfer.tables.values.reading import Roles, read_cells

CASE_ID, READER = "case_id", "reader"
READINGS_CONTRACT = Contract(
    "Readings",
    (
        Column(CASE_ID, "text", "The case, as in the predictions.", is_id=True),
        Column(
            READER, "text", "Who read it: a code such as `r1`, not a person's name.", shown=True
        ),
        Column(
            "target_<name>",
            "number",
            "1 if the reader says that the target is present, 0 if not; empty if not judged.",
            filled=False,
        ),
    ),
)
"""One row per case and reader."""


@dataclass(frozen=True)
class Readings:
    """Readings of some cases by several readers.

    Attributes:
        frame: `case_id`, `reader` and the targets' columns, 0, 1 or null.
        notes: What was read otherwise than it was written, in sentences.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def readers(self) -> list[str]:
        """Readers, by name."""
        return self.frame[READER].unique().sort().to_list()

    @property
    def targets(self) -> list[str]:
        """Targets, in the order of the columns."""
        return target_names(self.frame)


def read_readings(path: Path) -> Readings:
    """Read a table of readings.

    Args:
        path: ``.csv``, ``.tsv``, ``.xlsx`` or ``.parquet``: one row per case and reader.

    Raises:
        TableError: A column is missing, a cell is neither 0 nor 1, a reader has read a case twice,
            there are fewer than two readers, or readers seem to have persons' names; all at once.
    """
    table = read_noted_frame(path, READINGS_CONTRACT)
    names = [f"target_{name}" for name in target_names(table.frame)]
    cells = read_cells(table.frame, names, Roles(targets=names))
    faults = [*cells.faults, *check_columns(cells.frame, READINGS_CONTRACT)]
    raise_faults(READINGS_CONTRACT, path, faults)
    frame = typed(cells.frame, READINGS_CONTRACT)
    faults = duplicates(frame, (CASE_ID, READER))
    for name in names:
        odd = frame.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in([0.0, 1.0]))
        if not odd.is_empty():
            faults.append(f"'{name}' is neither 0 nor 1 in {rows_of(odd)}")
    readers = frame[READER].n_unique()
    if readers < 2:
        faults.append(f"there is {plural(readers, 'reader')}; agreement needs at least two")
    faults += [f"{fault} (codes such as r1 will do)" for fault in personal_faults(frame, [READER])]
    raise_faults(READINGS_CONTRACT, path, faults)
    return Readings(
        frame.select(CASE_ID, READER, *names).drop(ROW, strict=False), (*table.notes, *cells.notes)
    )


def missing_targets(readings: Readings, targets: list[str]) -> str | None:
    """Sentence on targets that the readers have not read; None if they have read all."""
    lacking = [name for name in targets if name not in readings.targets]
    if not lacking:
        return None
    return f"The readings have no column for {listed(f'target_{name}' for name in lacking)}."
