"""Spellings of one class or group: values that differ by case, width and blanks alone."""

from collections.abc import Collection

import polars as pl

from medtransfer.errors import plural, printable
from medtransfer.tables.values.folding import INVISIBLE
from medtransfer.tables.values.missing_words import value_counts
from medtransfer.tables.values.personal import quotable

MAX_VALUES = 1000
"""A column with more values is not one of classes or groups, and is left as it stands."""


def one_spelling(cells: pl.Series, known: Collection[str] = ()) -> tuple[pl.Series, list[str]]:
    """A text column with one spelling for each value, and a note if cells were changed.

    Args:
        cells: Names of classes or groups; null where missing. [N]
        known: Names whose spelling is given, such as the classes of a study; of other values the
            most frequent spelling is taken. Names that themselves differ by case alone stay apart.
    """
    if cells.n_unique() > MAX_VALUES:
        return cells, []
    counts = value_counts(cells.drop_nulls())
    names: dict[str, list[str]] = {}
    for key, value in zip(_keys(known), known, strict=True):
        names.setdefault(key, []).append(value)
    for value in sorted(counts, key=lambda value: -counts[value]):
        names.setdefault(_keys([value])[0], [value])
    changed = {
        value: names[key][0]
        for key, value in zip(_keys(counts), counts, strict=True)
        if len(names[key]) == 1 and value != names[key][0]
    }
    if not changed:
        return cells, []
    return cells.replace(changed), [_note(cells.name, changed, counts)]


def _keys(values: Collection[str]) -> list[str]:
    """Each value without case, width and hidden characters, with single blanks."""
    text = pl.Series([*values], dtype=pl.String).str.normalize("NFKC").str.to_lowercase()
    text = text.str.replace_all(f"[{INVISIBLE}]", "").str.replace_all(r"\s+", " ")
    return text.str.strip_chars().to_list()


def _note(column: str, changed: dict[str, str], counts: dict[str, int]) -> str:
    totals = {value: counts[value] + counts.get(changed[value], 0) for value in changed}
    named = {*quotable({changed[value]: total for value, total in totals.items()})}
    quoted = [value for value in quotable(totals) if changed[value] in named]
    texts = [
        f"'{printable(value)}' as '{printable(changed[value])}' in {plural(counts[value], 'row')}"
        for value in quoted
    ]
    if rest := len(changed) - len(quoted):
        texts.append(plural(rest, "more spelling" if quoted else "spelling"))
    return f"'{printable(column, 80)}': only case or blanks differ: read {', '.join(texts)}."
