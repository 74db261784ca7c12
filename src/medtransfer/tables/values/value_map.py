"""Values of a user's table in other words: ``--values sex=w:F,m:M``."""

import csv
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import polars as pl

from medtransfer.errors import ConfigError, TableError, fault_list, printable, suggestion
from medtransfer.tables.values.missing_words import counted, value_counts

ValueMap = Mapping[str, Mapping[str, str]]
"""Column → its value → the value to write; an empty text for none, on either side."""
EMPTY = "empty"
OPTION = "--values"
FORM = f"{OPTION} COLUMN=FROM:TO,FROM:TO"
IN_STUDY = f"A study file has `values: {{COLUMN: {{FROM: TO}}}}` below `data:` for {OPTION}."


def read_value_map(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Values by column, from one ``column=from:to,from:to`` for each column.

    A `from` or `to` with a comma stands in double quotes. ``empty`` as `from` is a cell without
    anything; as `to`, like nothing, it leaves cells empty.

    Raises:
        ConfigError: A text is not of that form, or a column or value is given twice; all faults.
    """
    values: dict[str, dict[str, str]] = {}
    faults: list[str] = []
    for text in texts:
        column, sign, rest = text.partition("=")
        column = column.strip()
        pairs = next(csv.reader([rest], skipinitialspace=True), list[str]())
        if not (column and sign and pairs):
            faults.append(f"'{printable(text)}' is not of the form COLUMN=FROM:TO,FROM:TO")
        elif column in values:
            faults.append(f"column '{printable(column)}' is given twice")
        values.setdefault(column, {})
        for pair in pairs:
            word, colon, new = (part.strip() for part in pair.rpartition(":"))
            old = "" if word == EMPTY else word
            if not (colon and word):
                faults.append(f"'{printable(pair)}' of '{printable(column)}' is not FROM:TO")
            elif old in values[column]:
                faults.append(f"'{printable(old)}' of '{printable(column)}' is given twice")
            else:
                values[column][old] = "" if new == EMPTY else new
    if faults:
        raise ConfigError(fault_list("--values cannot be used", faults, f"Say {FORM}."))
    return values


@contextmanager
def values_of_study() -> Generator[None]:
    """While inside, errors that advise the option ``--values`` say how a study file writes it."""
    try:
        yield
    except TableError as error:
        if OPTION not in str(error):
            raise
        raise TableError(f"{error} {IN_STUDY}") from None


def study_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """Notes on a study's manifest, with how its file writes ``--values`` if they advise it."""
    return (*notes, *([IN_STUDY] if any(OPTION in note for note in notes) else []))


def map_values(frame: pl.DataFrame, values: ValueMap) -> tuple[pl.DataFrame, list[str]]:
    """Write the wanted values into a table.

    Args:
        frame: Cells as they were read; whole numbers are matched without decimals.
        values: Values by column; columns that the table lacks are left to `absent_columns`.

    Returns:
        The table, mapped columns as text, and notes for each column.
    """
    notes: list[str] = []
    for name, pairs in values.items():
        if name not in frame.columns:
            continue
        text = cell_text(frame[name])
        text = text.fill_null("") if "" in pairs else text
        mapped = text.replace_strict(dict(pairs), default=text, return_dtype=pl.String)
        counts = value_counts(text.filter(text.is_in(list(pairs))))
        frame = frame.with_columns(mapped.set(mapped == "", None).alias(name))
        notes += _notes(name, pairs, counts)
    return frame, notes


def words_advice(column: str) -> str:
    """End of a fault of label cells that are words."""
    return f"say what words mean with {OPTION} {printable(column, 80)}=WORD:1,WORD:0"


def class_advice(column: str) -> str:
    """The option that leaves the cells of a class empty."""
    return f"{OPTION} {printable(column, 80)}=CLASS:{EMPTY}"


def absent_columns(frame: pl.DataFrame, values: ValueMap) -> list[str]:
    """Columns of ``--values`` that a table lacks, a fault each."""
    return [
        f"column '{printable(name)}' of --values is not in the table. "
        f"{suggestion(name, frame.columns)}".rstrip(" .")
        for name in values
        if name not in frame.columns
    ]


def cell_text(cells: pl.Series) -> pl.Series:
    """Cells as text without blanks around it; whole numbers without decimals; null where empty."""
    kind = cells.dtype
    text = (cells.cast(pl.Int8) if kind == pl.Boolean() else cells).cast(pl.String)
    text = text.str.strip_chars()
    text = text.str.replace(r"^(-?\d+)\.0+$", "$1") if kind.is_float() else text
    return text.set(text == "", None)


def _notes(name: str, pairs: Mapping[str, str], counts: Mapping[str, int]) -> list[str]:
    shown = printable(name, 80)
    by_new: dict[str, dict[str, int]] = {}
    for old, new in pairs.items():
        if old in counts:
            by_new.setdefault(new, {})[old or EMPTY] = counts[old]
    notes = [
        f"'{shown}': {counted(olds, [*olds])} "
        + (f"written as '{printable(new)}'." if new else "left empty.")
        for new, olds in by_new.items()
    ]
    absent = [old for old in pairs if old not in counts]
    if absent:
        text = ", ".join(f"'{printable(old or EMPTY)}'" for old in absent)
        notes.append(f"'{shown}': no row holds {text}, which --values names.")
    return notes
