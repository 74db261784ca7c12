"""Shared parts of skin sources: lesions as cases, classes, skin types."""

from collections.abc import Mapping, Sequence

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.odd_rows import Rule, where
from medtransfer.errors import plural

CLASS = "diagnosis"
"""The class column of all of them."""
SKIN_TYPES = {"1": "I-II", "2": "I-II", "3": "III-IV", "4": "III-IV", "5": "V-VI", "6": "V-VI"}
"""Fitzpatrick's types in pairs, as most published gaps between groups are given."""
ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
_WORDS = r"^\s*(?:FITZPATRICK|FST|SKIN)?\s*(?:SKIN\s*)?(?:TYPE|TYP|TIPO|PHOTOTYPE|FOTOTIPO)?\s*"
_NUMBER = r"([1-6]|III|II|IV|I|VI|V)(?:\.0+)?"
TYPE_NUMBER = rf"{_WORDS}{_NUMBER}\s*$"
TYPE_PAIR = rf"{_WORDS}{_NUMBER}\s*(?:-|–|/|TO|BIS|AND|&)\s*{_NUMBER}\s*$"
"""Skin types as hospitals write them, in capitals."""
TYPE = {"skin_type": "Fitzpatrick's skin type in pairs: I-II, III-IV, V-VI."}
FITZPATRICK = {
    "fitzpatrick": "Fitzpatrick's skin type, 1 to 6; empty where it is not known.",
    **TYPE,
}
BODY_SITE = {"body_site": "Where on the body, in the set's own words; empty where not known."}
COMMON = {**cells.SEX, **cells.AGE_COLUMNS, **BODY_SITE}
PRECANCER = "actinic keratosis is uncertain (-1), since sets differ on it"
"""One rule for all sources, so that `malignant` means the same everywhere."""
NOT_KNOWN = ("unknown", "unk", "n/a", "nan", "")


def with_lesions(
    rows: pl.DataFrame, lesion: pl.Expr, patient: pl.Expr | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """`case_id` and `patient_id` of photographs: all of one lesion are one case.

    Args:
        rows: With `image_id`.
        lesion: Its lesion's id; a photograph without one is a case of its own.
        patient: Its patient's id; without one each lesion is taken for a patient.

    Returns:
        The rows, and what has to be said.
    """
    single = rows.select(lesion.is_null().sum()).item()
    rows = rows.with_columns(case_id=pl.coalesce(lesion, "image_id"))
    rows = rows.with_columns(patient_id=pl.col("case_id") if patient is None else patient)
    notes: list[str] = []
    if single:
        notes.append(f"{plural(single, 'image')} without a lesion's id: each is a case of its own.")
    if patient is None:
        notes.append("It has no patient ids: each lesion is taken for a patient.")
    return rows, notes


def one_hot(table: pl.DataFrame, classes: Sequence[str]) -> pl.Series:
    """The one class that a row's columns mark with ``1.0``; call it after `marks_one` held. [N]"""
    number = (pl.col(name).cast(pl.Float64, strict=False) == 1 for name in classes)
    named = pl.coalesce(
        pl.when(marked).then(pl.lit(name)) for name, marked in zip(classes, number, strict=True)
    )
    return table.select(named.alias(CLASS))[CLASS]


def marks_one(classes: Sequence[str]) -> Rule:
    """Exactly one of the columns is 1 and the others are 0."""
    marks = [pl.col(name).cast(pl.Float64, strict=False) for name in classes]
    other = pl.any_horizontal(~mark.is_in([0.0, 1.0]).fill_null(value=False) for mark in marks)
    fault = f"not exactly one of {', '.join(classes)} is 1"
    return where(other | (pl.sum_horizontal(marks) != 1), classes, fault)


def malignant(labels: Mapping[str, str], column: str = CLASS) -> pl.Expr:
    """`malignant` by class; null for a class that is not on the list."""
    return cells.renamed(column, labels, "malignant")


def body_site(column: str) -> pl.Expr:
    """`body_site` in small letters; null where it is not known."""
    text = pl.col(column).str.to_lowercase()
    return pl.when(~text.is_in(NOT_KNOWN)).then(text).alias("body_site")


def fitzpatrick(column: str) -> list[pl.Expr]:
    """`fitzpatrick` and `skin_type` from ``1`` to ``6``, also ``1.0``, ``IV`` and ``type II``.

    A pair of types, as ``V-VI``, is a skin type alone; anything else is null.
    """
    number = pl.col(column).str.to_uppercase().str.extract(TYPE_NUMBER)
    digit = number.replace(ROMAN)
    ends = pl.col(column).str.to_uppercase().str.extract_groups(TYPE_PAIR)
    pairs = [
        ends.struct.field(end)
        .replace(ROMAN)
        .replace_strict(SKIN_TYPES, default=None, return_dtype=pl.String)
        for end in ("1", "2")
    ]
    both = pl.when(pairs[0] == pairs[1]).then(pairs[0])
    pair = digit.replace_strict(SKIN_TYPES, default=None, return_dtype=pl.String)
    return [digit.alias("fitzpatrick"), pl.coalesce(pair, both).alias("skin_type")]
