"""The one reading of the cells of a manifest or of a table of attributes.

Import, join, init, check, run and evaluate all read their cells here, from CSV and Parquet alike:
what `--values` maps, words for missing values, sex, classes and groups that differ by case. Every
change is counted and said.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import printable
from medtransfer.tables.values.missing_words import (
    code_note,
    counted,
    missing_note,
    missing_words,
    value_counts,
    without_words,
)
from medtransfer.tables.values.sex import names_sex, read_sex
from medtransfer.tables.values.spellings import LATERALITY, one_spelling, read_sides
from medtransfer.tables.values.value_map import ValueMap

FLAGS = {"true": "1", "false": "0"}
"""Labels of a type that only they have."""


@dataclass(frozen=True)
class Roles:
    """The use of the columns, as far as it is known.

    Attributes:
        targets: Columns of labels: every missing word leaves the cell empty.
        class_column: Column of a class name: a missing word that may be a class is a fault.
        classes: The class names that are asked for, if they are known; they are never missing.
        attributes: Columns to report by: every missing word is the group `Unknown`.
    """

    targets: Collection[str] = ()
    class_column: str | None = None
    classes: Collection[str] = ()
    attributes: Collection[str] = ()


@dataclass(frozen=True)
class ReadCells:
    """A table whose cells were read.

    Attributes:
        frame: The table.
        notes: Sentences on what was read as missing, and kept.
        faults: Cells that cannot be read without a decision of the user, a sentence each.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def read_cells(
    frame: pl.DataFrame, columns: Sequence[str], roles: Roles, values: ValueMap | None = None
) -> ReadCells:
    """Read the cells of some columns of a table.

    Args:
        frame: The table, from `schema.read_frame`.
        columns: Columns to read: those that are not ids, paths and the like.
        roles: Their use. Of a column without a role only the words are taken out that cannot be a
            value; it is read again once its use is known.
        values: What `map_values` wrote before: these cells are read no further.
    """
    values = values or {}
    notes: list[str] = []
    faults: list[str] = []
    for name in columns:
        if frame.schema[name].is_float():
            frame, of_column = _without_nan(frame, name, roles)
            notes += of_column
        if name == LATERALITY and frame.schema[name].is_integer():
            frame = frame.with_columns(pl.col(name).cast(pl.String))
        if name in roles.targets:
            frame, of_column = _with_flags(frame, name)
            notes += of_column
        written = [new for new in values.get(name, {}).values() if new]
        if names_sex(name) and name not in roles.targets and name != roles.class_column:
            frame, of_column = _with_sex(frame, name, written)
            notes += of_column
        elif frame.schema[name] == pl.String():
            kept = [*written, *(roles.classes if name == roles.class_column else ())]
            frame, of_column, fault = _without_missing(frame, name, roles, kept)
            notes += of_column
            faults += fault
            if name == LATERALITY:
                frame, of_column = _with_sides(frame, written)
                notes += of_column
            if name in roles.attributes:
                notes += code_note(frame[name])
            if name in roles.attributes or name == roles.class_column:
                cells, of_column = one_spelling(frame[name], kept)
                frame = frame.with_columns(cells)
                notes += of_column
        elif name in roles.attributes:
            notes += code_note(frame[name])
    return ReadCells(frame, tuple(notes), tuple(faults))


def _without_nan(frame: pl.DataFrame, name: str, roles: Roles) -> tuple[pl.DataFrame, list[str]]:
    """A column of numbers with NaN as empty; that is said of columns with a use."""
    count = int(frame[name].is_nan().sum())
    is_used = name in (*roles.targets, *roles.attributes) or names_sex(name)
    notes = [missing_note(name, {"NaN": count})] if count and is_used else []
    return (frame.with_columns(pl.col(name).fill_nan(None)) if count else frame), notes


def _with_flags(frame: pl.DataFrame, name: str) -> tuple[pl.DataFrame, list[str]]:
    """Labels of the type true and false as 1 and 0; in text these are words like others."""
    if frame.schema[name] != pl.Boolean():
        return frame, []
    counts = value_counts(frame[name].cast(pl.String).drop_nulls())
    notes = [
        f"'{printable(name, 80)}': read as {FLAGS[word]}: {counted({word: count}, [word])}."
        for word, count in counts.items()
    ]
    return frame.with_columns(pl.col(name).cast(pl.Int8).cast(pl.String)), notes


def _with_sex(
    frame: pl.DataFrame, name: str, written: Collection[str]
) -> tuple[pl.DataFrame, list[str]]:
    cells = frame[name]
    if cells.dtype.is_nested() or cells.dtype == pl.Binary():
        return frame, []
    text = cells.cast(pl.String)
    given = text.is_in(list(written))
    owners = frame["patient_id"] if "patient_id" in frame.columns else None
    reading = read_sex(text.set(given, None), owners)
    return frame.with_columns(text.zip_with(given, reading.cells).alias(name)), [*reading.notes]


def _with_sides(frame: pl.DataFrame, written: Collection[str]) -> tuple[pl.DataFrame, list[str]]:
    text = frame[LATERALITY]
    given = text.is_in(list(written))
    cells, notes = read_sides(text.set(given, None))
    return frame.with_columns(text.zip_with(given, cells)), notes


def _without_missing(
    frame: pl.DataFrame, name: str, roles: Roles, kept: Collection[str]
) -> tuple[pl.DataFrame, list[str], list[str]]:
    """The table without the missing words of a column, notes, and faults."""
    decided = name in (*roles.targets, *roles.attributes, LATERALITY)
    words = missing_words(frame[name], "any" if decided else "certain")
    words = {word: count for word, count in words.items() if word not in kept}
    faults: list[str] = []
    if name == roles.class_column:
        possible = missing_words(frame[name])
        open_words = {w: n for w, n in possible.items() if w not in words and w not in kept}
        if open_words:
            faults.append(class_fault(name, open_words))
    if not words:
        return frame, [], faults
    return without_words(frame, name, words), [missing_note(name, words)], faults


def class_fault(name: str, words: dict[str, int]) -> str:
    """Fault of a class column with words that may be a class or a missing value."""
    shown = printable(name, 80)
    word = printable(next(iter(words)))
    return (
        f"'{shown}' holds {counted(words, [*words])}, which may be a class or a missing value: say "
        f"--values {shown}={word}:empty if it is missing, {shown}={word}:{word} if it is a class"
    )
