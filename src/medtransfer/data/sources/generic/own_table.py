"""A user's own table, whatever its form: CSV in any spelling, workbook, or Parquet; its labels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.data.sources.cells import flags
from medtransfer.errors import TableError, listed, plural, printable, suggestion
from medtransfer.sizes.parquet import read_parquet
from medtransfer.tables.csv_reader import TextTable, expected_names, read_text_table
from medtransfer.tables.guessed_targets import spelled_target, values_option
from medtransfer.tables.manifest import LABEL_CELLS, label_text
from medtransfer.tables.schema import ROW, without_blanks, wrong_cells
from medtransfer.tables.values.missing_words import (
    counted,
    missing_note,
    missing_words,
    without_words,
)
from medtransfer.tables.values.personal_columns import listed_columns, personal_reason
from medtransfer.tables.values.spellings import one_spelling
from medtransfer.tables.values.value_map import ValueMap, cell_text, words_advice
from medtransfer.tables.workbook import read_workbook

MISSING_NEVER = ("patient_id", "case_id", "image_id")
"""Ids in which a word for a missing value would join what is apart."""
DECIMAL_IDS = "'{}' is stored as decimal numbers; read without the decimals."
EXACT_WHOLE = {"Float32": 2.0**24, "Float64": 2.0**53, "Float16": 2.0**11}
"""Largest whole number up to which a type has all of them."""
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


@dataclass(frozen=True)
class LabelledRows:
    """Rows whose label cells are in one spelling.

    Attributes:
        frame: The rows.
        faults: Targets that are no column, and cells that are no labels.
    """

    frame: pl.DataFrame
    faults: tuple[str, ...]


def read_own_table(
    path: Path,
    name: str,
    expected: Collection[str],
    *,
    delimiter: str = "",
    encoding: str = "",
    ids: Collection[str] = (),
) -> tuple[pl.DataFrame, list[str]]:
    """The table with its rows numbered, and notes on how its file is written.

    Args:
        path: The file.
        name: Name in messages.
        expected: Column names that the table should have; they tell the separator.
        delimiter: A name of `DELIMITERS`; found in the file if it is empty.
        encoding: Encoding of the file; found in the file if it is empty.
        ids: Columns of text, in which a comma is no decimal comma.

    Raises:
        TableError: The file is not readable, or its form cannot be told.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        frame = read_parquet(path, name)
        frame = frame.rename(expected_names(frame.columns, expected))
        table = _without_durations(TextTable(frame, first_row=1), name)
    elif suffix == ".xlsx":
        table = read_workbook(path, name, expected)
    else:
        table = read_text_table(
            path,
            name,
            expected,
            separator=DELIMITERS.get(delimiter),
            encoding=encoding or None,
            ids=ids,
        )
    if ROW in table.frame.columns:
        table = replace(table, frame=table.frame.rename({ROW: "their_row"}))
    table = table.numbered(ROW)
    frame = table.frame.with_columns(pl.col(ROW).cast(pl.Int64))
    return without_blanks(frame), list(table.notes)


def _without_durations(table: TextTable, name: str) -> TextTable:
    """The table without columns of durations, which no column of a manifest holds, and a note."""
    durations = [n for n, kind in table.frame.schema.items() if kind == pl.Duration]
    if not durations:
        return table
    count = plural(len(durations), "column")
    note = f"{name}: {count} of durations not read: {listed_columns(durations)}."
    return replace(table, frame=table.frame.drop(durations), notes=(*table.notes, note))


def with_labels(rows: pl.DataFrame, targets: Sequence[str]) -> LabelledRows:
    """Label cells of the named targets in one spelling; anything else is a fault."""
    faults: list[str] = []
    for name in targets:
        if name not in rows.columns:
            near = suggestion(name, rows.columns)
            faults.append(f"target '{name}' is not a column. {near}".rstrip("? ."))
            continue
        rows = rows.with_columns(cell_text(rows[name])).with_columns(label_text(name))
        wrong = rows.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(LABEL_CELLS[:3]))
        of_column = wrong_cells(wrong, name, LABEL_CELLS)
        is_spelled = bool(of_column) and bool(spelled_target(rows, name))
        advice = f"say {values_option(rows, name)}" if is_spelled else words_advice(name)
        faults += [*of_column[:-1], *(f"{last}; {advice}" for last in of_column[-1:])]
    return LabelledRows(rows, tuple(faults))


@dataclass(frozen=True)
class FindingRows:
    """Rows with a label column for each finding of a text such as ``Edema|Effusion``.

    Attributes:
        frame: The rows, without the column of the texts.
        targets: The label columns.
        notes: Sentences on spellings that are one, and on missing words.
    """

    frame: pl.DataFrame
    targets: tuple[str, ...]
    notes: tuple[str, ...]


def with_findings(
    rows: pl.DataFrame, column: str, separator: str, wanted: Sequence[str]
) -> FindingRows:
    """One label column for each finding that a column lists.

    Findings that differ in case and blanks alone are one. A cell without a finding, or with a word
    that can only be a missing value, says nothing of any.

    Args:
        rows: The table.
        column: The column of the texts.
        separator: Between two findings.
        wanted: The findings to take; all by default.

    Raises:
        TableError: The column is not there or looks personal, a finding is in no row, or a column
            of the table has the name of a finding.
    """
    shown = printable(column, 80)
    if column not in rows.columns:
        near = suggestion(column, rows.columns)
        raise TableError(f"Column '{shown}', named for findings, is not in the table. {near}")
    if reason := personal_reason(rows[column]):
        raise TableError(f"{reason}: it is no column of findings.")
    text = rows.select(pl.col(column).cast(pl.String))
    words = missing_words(text[column], "certain")
    text = without_words(text, column, words) if words else text
    entries = text[column].drop_nulls().str.split(separator).explode().str.strip_chars()
    entries = entries.filter(entries != "")
    spelled, notes = one_spelling(entries, wanted)
    names = dict(zip(entries, spelled, strict=True))
    there = sorted({*names.values()})
    absent = [name for name in wanted if name not in there]
    if absent:
        near = suggestion(absent[0], there)
        raise TableError(f"No row of '{shown}' names {listed(absent)}. {near}".rstrip())
    targets = list(wanted) or there
    if not targets:
        raise TableError(f"No row of '{shown}' names a finding.")
    if both := [name for name in targets if name in rows.columns and name != column]:
        raise TableError(
            f"{listed(both)} of '{shown}' {'is a column' if len(both) == 1 else 'are columns'} of "
            "the table too. Say which findings to take with --option targets=…"
        )
    says = text[column].str.replace_all(separator, "", literal=True).str.strip_chars() != ""
    cells = text[column].set(~says.fill_null(value=False), None)
    labels = flags(cells, separator, {old: new for old, new in names.items() if new in targets})
    missing = [missing_note(column, words)] if words else []
    frame = rows.drop(column).hstack(labels.select(targets))
    return FindingRows(frame, tuple(targets), (*notes, *missing))


def with_text_ids(
    frame: pl.DataFrame, names: Collection[str], values: ValueMap
) -> tuple[pl.DataFrame, list[str], list[str]]:
    """Ids as text, notes on those that were stored with decimals, and faults.

    Args:
        frame: The rows.
        names: Columns of ids, as far as they are there.
        values: Values that will be written in place of others, by column.
    """
    notes: list[str] = []
    faults: list[str] = []
    for name in (column for column in frame.columns if column in names):
        cells = frame[name]
        if cells.dtype.is_float():
            whole = cells.fill_nan(None)
            if not (whole.drop_nulls() == whole.drop_nulls().floor()).all():
                faults.append(f"'{name}' is stored as numbers with decimals; store ids as text")
                continue
            if (whole.abs() > EXACT_WHOLE[str(cells.dtype)]).any():
                faults.append(
                    f"'{name}' is stored as numbers with decimals, too large to be exact: several "
                    "ids may have become one; store ids as text"
                )
                continue
            frame = frame.with_columns(whole.cast(pl.Int64))
            notes.append(DECIMAL_IDS.format(name))
        frame = frame.with_columns(pl.col(name).cast(pl.String))
        text = frame[name].drop_nulls()
        if len(text) and text.str.contains(r"^\d+\.0$").all():  # ids beside gaps, through pandas
            frame = frame.with_columns(pl.col(name).str.strip_suffix(".0"))
            notes.append(DECIMAL_IDS.format(name))
        words = missing_words(frame[name]) if name in MISSING_NEVER else {}
        certain = missing_words(frame[name], "certain") if words else {}
        words = {
            word: count
            for word, count in words.items()
            if word not in values.get(name, {}) and (count > 1 or word in certain)
        }
        if words:
            faults.append(
                f"'{name}' holds {counted(words, [*words])}: rows of several patients would be of "
                f"one. Give each its own, or map the word with --values {name}=WORD:ID"
            )
    return frame, notes, faults
