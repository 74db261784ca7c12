"""Shared parts of retina sources: grades of diabetic retinopathy, eyes."""

import polars as pl

from medtransfer.data.sources.source import Target
from medtransfer.data.sources.vocabulary import GRADES

CLASS = "dr_grade"
"""The class column of all of them."""
GRADE = {
    CLASS: "Diabetic retinopathy: 0 none, 1 mild, 2 moderate, 3 severe, 4 proliferative; in order."
}
CLASSES = {name: name for name in GRADES}
REFERABLE = Target("referable", "diabetic retinopathy of grade 2 or more", "referable")


def graded(column: str) -> list[pl.Expr]:
    """`dr_grade` from ``0`` to ``4`` and `referable`; null where there is no grade."""
    grade = pl.col(column)
    flag = pl.when(grade.is_in(list(GRADES[2:]))).then(pl.lit("1")).otherwise(pl.lit("0"))
    return [
        grade.alias(CLASS),
        pl.when(grade.is_in(list(GRADES))).then(flag).alias(REFERABLE.name),
    ]
