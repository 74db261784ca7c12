"""Shared parts of mammography sources: exams of two breasts, breasts in several views."""

from collections.abc import Sequence

import polars as pl

from medtransfer.data.sources.source import Option, Target
from medtransfer.data.sources.vocabulary import DENSITIES

EXAM = "_exam"
"""A column of frames on their way: names the exam, and no exam of another patient."""
CASE = Option(
    "case",
    "What gets a prediction: each breast of an exam, each exam (1 where either breast is 1), or "
    "each image with its own labels.",
    "breast",
    ("breast", "exam", "image"),
)
LATERALITY_WORDS = {"LEFT": "L", "RIGHT": "R", "L": "L", "R": "R"}
HIGH = Target(
    "birads_high",
    "BI-RADS 4, 5 or 6: suspicious to the reader, not proven; BI-RADS 0 (incomplete) is empty",
    "birads_high",
)
DENSE = Target("dense", "breast density C or D, as read", "dense")
DENSITY = {"density": "Breast density A to D, as read."}
EXAMS = {"exam_id": "Exam of the image, for [levels](../how-to/mammograms.md)."}
BIRADS = {"birads": "BI-RADS assessment as given: it tells the label, never a group to report by."}
DENSITY_CLASSES = {name: name for name in DENSITIES}
NUMBERED = {str(number): name for number, name in enumerate(DENSITIES, start=1)}


def with_cases(rows: pl.DataFrame, targets: Sequence[str], case: str) -> pl.DataFrame:
    """The columns `case_id` and `exam_id`, and targets as they are of the case.

    A case is 1 if any of its images is, else -1 if any is, else 0 if any is. An image whose side
    is not known is of a breast of its own exam, `U`.

    Args:
        rows: With `_exam`, `image_id` and `laterality` (L, R or null); targets as text.
        targets: Label columns.
        case: One of the values of `CASE`.
    """
    side = pl.col("laterality").fill_null("U")
    names = {
        "breast": pl.concat_str(EXAM, pl.lit("_"), side),
        "exam": pl.col(EXAM),
        "image": pl.col("image_id"),
    }
    rows = rows.with_columns(names[case].alias("case_id"))
    if case != "image":
        rows = rows.with_columns(strongest(name).over("case_id") for name in targets)
    return rows.rename({EXAM: "exam_id"})


def strongest(column: str) -> pl.Expr:
    """The strongest statement of several label cells: 1, then -1, then 0, then nothing."""
    cell, result = pl.col(column), pl.lit(None, dtype=pl.String)
    for mark in ("0", "-1", "1"):
        result = pl.when((cell == mark).any()).then(pl.lit(mark)).otherwise(result)
    return result.alias(column)


def high(column: str) -> pl.Expr:
    """`birads_high` from text that begins with a BI-RADS digit, such as ``4a``."""
    digit = pl.col(column).str.extract(r"^([1-6])")
    flag = pl.when(digit.is_in(["4", "5", "6"])).then(pl.lit("1")).otherwise(pl.lit("0"))
    return pl.when(digit.is_not_null()).then(flag).alias(HIGH.name)


def dense(column: str = "density") -> pl.Expr:
    """`dense` from A to D; null where the density is not known."""
    flag = pl.when(pl.col(column).is_in(["C", "D"])).then(pl.lit("1")).otherwise(pl.lit("0"))
    return pl.when(pl.col(column).is_in(list(DENSITIES))).then(flag).alias(DENSE.name)


def whole(column: str) -> pl.Expr:
    """A number as text without its decimals: a column with gaps is often stored as ``1.0``."""
    return pl.col(column).str.replace(r"^(-?\d+)\.0+$", "$1")
