"""Cells in one spelling: labels, sex, age, lists of findings in one text."""

from collections.abc import Mapping, Sequence
from math import floor

import polars as pl

from medtransfer.tables.manifest import label_text
from medtransfer.tables.values.ages import MAX_YEARS, OLDEST, AgeRange, age_range, band_of
from medtransfer.tables.values.missing_words import counted, is_missing_word, value_counts
from medtransfer.tables.values.sex import read_sex

AGE_COLUMNS = {
    "age": f"Age in years; at most {OLDEST}, empty where it is missing or impossible.",
    "age_band": "Age in bands of twenty years.",
}
RACES = {
    "white": "White",
    "caucasian": "White",
    "black": "Black",
    "african": "Black",
    "asian": "Asian",
    "hispanic": "Hispanic",
    "south american": "Hispanic",
    "portuguese": "White",
    "american indian": "Native",
    "native american": "Native",
    "native hawaiian": "Pacific",
    "pacific": "Pacific",
}
"""Start of a race in lower case → the group that is written."""
NO_ANSWER = (
    r"unknown|unable|declin|refus|unavailable|unreported|unspecified|undisclosed|no answer|"
    r"not (?:known|reported|recorded|specified|stated|given|available|asked|disclosed|provided)|"
    r"prefers? not|preferred not|^n/?s$"
)
"""Parts of an answer that was not given or not recorded, in small letters, beside the missing words
of every table: ``Unknown, Unavailable or Unreported``."""
SEX = {"sex": "F or M; empty where it is not known, as it stands where it is neither."}


def labels(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Label columns as ``1``, ``0``, ``-1`` or null."""
    return frame.with_columns(label_text(name) for name in columns)


def renamed(column: str, values: Mapping[str, str], name: str) -> pl.Expr:
    """A column's cells by a closed list; cells that are not on it become null."""
    cell = pl.col(column)
    return cell.replace_strict(dict(values), default=None, return_dtype=pl.String).alias(name)


def sex(column: str) -> pl.Expr:
    """`sex` by the closed vocabulary of `tables.values.sex`; what it cannot tell as it stands.

    `import_source.read_source` says what was kept.
    """
    return pl.col(column).map_batches(_read_sex, return_dtype=pl.String).alias("sex")


def _read_sex(cells: pl.Series) -> pl.Series:
    return read_sex(cells).cells


def race(column: str) -> pl.Expr:
    """`race` in a few groups, by how the text begins; empty where it is unknown or refused."""
    text = pl.col(column).str.to_lowercase()
    group = pl.when(_no_answer(column)).then(None)
    for start, name in RACES.items():
        group = group.when(text.str.starts_with(start)).then(pl.lit(name))
    return group.when(text.is_not_null()).then(pl.lit("Other")).alias("race")


def ethnicity(column: str) -> pl.Expr:
    """`ethnicity` as Hispanic or Non-Hispanic; empty where the text says neither."""
    text = pl.col(column).str.to_lowercase()
    named = text.str.contains("hispanic|latin") & ~_no_answer(column)
    outside = text.str.contains(r"^(?:non|not)\b")
    name = pl.when(outside).then(pl.lit("Non-Hispanic")).otherwise(pl.lit("Hispanic"))
    return pl.when(named).then(name).alias("ethnicity")


def _no_answer(column: str) -> pl.Expr:
    return is_missing_word(column) | pl.col(column).str.to_lowercase().str.contains(NO_ANSWER)


def with_age(
    frame: pl.DataFrame, years: pl.Expr, *, zero_is_missing: bool = False
) -> tuple[pl.DataFrame, list[str]]:
    """The columns `age` and `age_band`, and what was said of cells that are no age.

    Args:
        frame: The rows.
        years: Text as `tables.values.ages` reads it (``58``, ``058Y``, ``18 months``, ``60-69``,
            ``>89``), or a number.
        zero_is_missing: Whether 0 stands for a missing age here.

    Returns:
        The frame with both columns, and notes. Of a range of ages only the band is filled, if it
        lies in one.
    """
    text = frame.select(_age=years.cast(pl.String).str.strip_chars()).to_series()
    read = {word: age_range(word) for word in text.drop_nulls().unique()}
    least = 1 if zero_is_missing else 0
    good = {w: a for w, a in read.items() if a and a.low >= least and floor(a.low) <= MAX_YEARS}
    ages = {
        word: age for word, ages_read in good.items() if (age := _age_of(ages_read)) is not None
    }
    bands = {word: band for word, ages_read in good.items() if (band := band_of(ages_read))}
    frame = frame.with_columns(
        text.replace_strict(ages, default=None, return_dtype=pl.Int64).alias("age"),
        text.replace_strict(bands, default=None, return_dtype=pl.String).alias("age_band"),
    )
    counts = value_counts(text.drop_nulls())
    ranges = {w: n for w, n in counts.items() if w in good and w not in ages}
    wrong = {word: count for word, count in counts.items() if word not in good}
    notes: list[str] = []
    if wrong:
        notes.append(f"Age is left empty: {counted(wrong)}.")
    if ranges:
        notes.append(
            f"Age is a range: {counted(ranges)}: 'age' is empty there, 'age_band' is filled where "
            "the range lies in one band."
        )
    return frame, notes


def _age_of(ages: AgeRange) -> int | None:
    """The one age of a range, in whole years; None if there are several."""
    low = floor(ages.low)
    if low >= OLDEST:
        return OLDEST
    return low if ages.high == ages.low else None


def emptied(before: pl.Series, after: pl.Series, what: str) -> list[str]:
    """A note on cells that held something and are now empty; nothing if there are none."""
    lost = before.filter(before.is_not_null() & after.is_null())
    if lost.is_empty():
        return []
    return [f"{what} is left empty: {counted(value_counts(lost))}."]


def flags(cells: pl.Series, separator: str, names: Mapping[str, str]) -> pl.DataFrame:
    """One label column per finding of a text such as ``Edema|Effusion``.

    Args:
        cells: The texts; null stays null in every column. [N]
        separator: Between two findings.
        names: Finding in the text → column. Several findings may share a column.

    Returns:
        ``1`` where a finding of the column is in the text, ``0`` where none is. [N, columns]
    """
    entries = cells.str.split(separator).list.eval(pl.element().str.strip_chars())
    columns: dict[str, list[str]] = {}
    for finding, column in names.items():
        columns.setdefault(column, []).append(finding)
    frame = pl.DataFrame({"found": entries})
    return frame.select(
        pl.when(pl.col("found").is_not_null())
        .then(pl.col("found").list.set_intersection(wanted).list.len().clip(0, 1))
        .cast(pl.String)
        .alias(column)
        for column, wanted in columns.items()
    )
