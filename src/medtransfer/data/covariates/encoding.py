"""Covariates: clinical data of a case as numbers that are put beside the features of its images.

The encoding is fitted to the training cases alone. A number is standardised; any other value is one
of several, each a column of 0 and 1. Every covariate has a column that says that it is missing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import TableError, listed

MAX_CATEGORIES = 10
"""Numbers of so many distinct values or fewer are categories: stages, grades, 0 and 1."""
MIN_VALUE_CASES = 5
"""Training cases from which a value is a category of its own."""

MIN_RANGE_CASES = 50
"""Training cases from which the range of a number is kept."""

Values = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class CovariateColumn:
    """Encoding of one covariate.

    Attributes:
        name: Column of the manifest.
        categories: Values that training cases have, sorted; empty for a number.
        mean: Of the training cases, for a number.
        deviation: Likewise; 1 if all are equal.
        fewest: Training cases of the rarest category; 0 for a number, and where it is not known.
        low: The fifth lowest value of the training cases, for a number; None where it is not known.
            The lowest is that of one person.
        high: The fifth highest, likewise.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0
    fewest: int = field(default=0, compare=False)
    low: float | None = field(default=None, compare=False)
    high: float | None = field(default=None, compare=False)

    @property
    def is_number(self) -> bool:
        """True for a number, False for one of several values."""
        return not self.categories

    @property
    def width(self) -> int:
        """Number of columns, the flag of missing values included."""
        return 1 + (1 if self.is_number else len(self.categories))

    def encode(self, cells: pl.Series) -> Values:
        """Numbers of some cells. [N, width]

        A missing cell, one that is no number where numbers are meant, and a value that no training
        case has, or too few, are 0 with the flag at 1.
        """
        encoded = np.zeros((len(cells), self.width), dtype=np.float32)
        if self.is_number:
            values = _numbers(cells)
            filled = np.isfinite(values)
            encoded[filled, 0] = (values[filled] - self.mean) / self.deviation
        else:
            texts = np.array([cell or "" for cell in cells.to_list()], dtype=np.str_)
            member = texts[:, None] == np.array(self.categories)[None, :]
            encoded[:, :-1] = member
            filled = member.any(axis=1)
        encoded[~filled, -1] = 1
        return encoded

    def unseen(self, cells: pl.Series) -> int:
        """Number of filled cells that count as missing."""
        filled = cells.is_not_null().to_numpy()
        return int((filled & (self.encode(cells)[:, -1] == 1)).sum())

    def outside(self, cells: pl.Series) -> Flags:
        """Cells of a number that lie outside the range of the training cases. [N]

        None does where the range is not known.
        """
        values = _numbers(cells)
        if self.low is None or self.high is None:
            return np.zeros(len(values), dtype=np.bool_)
        # the numbers of a training case are not outside for their decimals
        slack = 1e-6 * max(abs(self.low), abs(self.high))
        return (values < self.low - slack) | (values > self.high + slack)


@dataclass(frozen=True)
class CovariateEncoding:
    """Encoding of all covariates of a run.

    Attributes:
        columns: One for each covariate, in the order of the study.
    """

    columns: tuple[CovariateColumn, ...]

    @property
    def width(self) -> int:
        """Number of columns of all covariates."""
        return sum(column.width for column in self.columns)

    def places(self) -> dict[str, slice]:
        """The columns of each covariate, by its name."""
        ends = np.cumsum([column.width for column in self.columns]).tolist()
        return {
            column.name: slice(end - column.width, end)
            for column, end in zip(self.columns, ends, strict=True)
        }

    @staticmethod
    def fit(cells: pl.DataFrame, names: Sequence[str]) -> "CovariateEncoding":
        """Fit to the training cases.

        Args:
            cells: Values of the training cases as text, from `covariate_cells`.
            names: The covariates.

        Raises:
            TableError: A covariate is empty in all of them.
        """
        empty = [name for name in names if cells[name].null_count() == len(cells)]
        if empty:
            raise TableError(f"Covariate {listed(empty)} is empty in all training cases.")
        return CovariateEncoding(tuple(_fitted(cells[name]) for name in names))

    def encode(self, cells: pl.DataFrame) -> Values:
        """Numbers of some cases, from `covariate_cells`. [N, width]"""
        return np.hstack([column.encode(cells[column.name]) for column in self.columns])


def _fitted(cells: pl.Series) -> CovariateColumn:
    filled = cells.drop_nulls()
    values = _numbers(filled)
    is_number = bool(np.isfinite(values).all()) and filled.n_unique() > MAX_CATEGORIES
    if is_number:
        deviation = float(values.std()) or 1.0
        low, high = None, None
        if len(values) >= MIN_RANGE_CASES:
            ordered = np.sort(values)
            low, high = float(ordered[MIN_VALUE_CASES - 1]), float(ordered[-MIN_VALUE_CASES])
        return CovariateColumn(
            cells.name, mean=float(values.mean()), deviation=deviation, low=low, high=high
        )
    counts = Counter(filled.to_list())
    common = sorted(value for value, count in counts.items() if count >= MIN_VALUE_CASES)
    # a handful of training cases has no common value: then every one counts
    categories = tuple(common or sorted(counts))
    fewest = min(counts[value] for value in categories)
    return CovariateColumn(cells.name, categories, fewest=fewest)


def _numbers(cells: pl.Series) -> NDArray[np.float64]:
    """Cells as numbers, NaN where they are none."""
    return cells.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
