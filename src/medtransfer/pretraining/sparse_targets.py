"""Targets of many classes, kept as lists of the few that hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

POSITIONS = pl.List(pl.Int64)


@dataclass(frozen=True, eq=False)
class SparseTargets:
    """Targets of N images and T classes, made dense for the rows that are asked for.

    ImageNet-21k would take a terabyte as a table.

    Attributes:
        holds: Classes that hold for each image, as a list column. N
        masked: Classes that are not known, likewise; null where nothing is known. N
        width: Number of classes T.
        one_of_many: Whether exactly one class holds.
    """

    holds: pl.Series
    masked: pl.Series
    width: int
    one_of_many: bool

    @property
    def shape(self) -> tuple[int, int]:
        """N and T."""
        return len(self.holds), self.width

    def __getitem__(self, rows: Any) -> NDArray[np.float64]:
        """The targets of some images, NaN where masked. [B, T]"""
        chosen = np.atleast_1d(np.arange(len(self.holds))[rows])
        dense = np.zeros((len(chosen), self.width))
        dense[_places(self.holds.gather(chosen))] = 1
        dense[_places(self.masked.gather(chosen))] = np.nan
        return dense

    def take(self, rows: NDArray[np.int64]) -> "SparseTargets":
        """The targets of some images."""
        holds, masked = self.holds.gather(rows), self.masked.gather(rows)
        return SparseTargets(holds, masked, self.width, self.one_of_many)

    def lists(self, rows: NDArray[np.int64]) -> tuple[list[list[int]], list[list[int]]]:
        """Classes that hold and classes that are masked, per image."""
        return self.holds.gather(rows).to_list(), self.masked.gather(rows).to_list()

    def sums(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Number of images for which each class holds, and for which it is known. [T], [T]"""
        _, holds = _places(self.holds)
        _, masked = _places(self.masked)
        positive = np.bincount(holds, minlength=self.width)
        counts = len(self.holds) - np.bincount(masked, minlength=self.width)
        return positive.astype(np.float64), counts.astype(np.float64)

    def known_rows(self) -> NDArray[np.bool_]:
        """Mask of the images with a known class or at least one known answer. [N]"""
        if self.one_of_many:
            return (self.holds.list.len() == 1).to_numpy()
        return (self.masked.list.len() < self.width).fill_null(value=False).to_numpy()


def targets_of_names(
    labels: pl.Series, *, one_of_many: bool
) -> tuple[tuple[str, ...], SparseTargets]:
    """Targets from the names of the classes that hold for each image.

    Args:
        labels: List of names per image; none or null where nothing is known. N
        one_of_many: Whether exactly one class holds.

    Returns:
        The names of the classes, sorted, and the targets.
    """
    names: Sequence[str] = labels.explode().drop_nulls().unique().sort().to_list()
    frame = pl.DataFrame({"names": labels.cast(pl.List(pl.Enum(names)))})
    holds = pl.col("names").list.eval(pl.element().to_physical().cast(pl.Int64))
    frame = frame.select(holds=holds.fill_null(pl.lit([], dtype=POSITIONS)))
    frame = frame.with_columns(
        masked=pl.when(pl.col("holds").list.len() > 0).then(pl.lit([], dtype=POSITIONS))
    )
    return tuple(names), SparseTargets(frame["holds"], frame["masked"], len(names), one_of_many)


def targets_of_columns(cells: pl.DataFrame) -> SparseTargets:
    """Targets from a column for each class.

    Args:
        cells: Text: ``1`` holds, ``0`` does not, anything else is not known. One column a class.
    """
    is_known = [pl.col(name).is_in(["0", "1"]).fill_null(value=False) for name in cells.columns]
    holds = [(pl.col(name) == "1").fill_null(value=False) for name in cells.columns]
    frame = cells.select(holds=_positions(holds), masked=_positions([~expr for expr in is_known]))
    return SparseTargets(frame["holds"], frame["masked"], cells.width, one_of_many=False)


def _positions(wanted: Sequence[pl.Expr]) -> pl.Expr:
    """The numbers of the columns that are true, as a list."""
    marks = [
        pl.when(mark).then(pl.lit(number, dtype=pl.Int64)) for number, mark in enumerate(wanted)
    ]
    return pl.concat_list(marks).list.drop_nulls()


def _places(lists: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and class of every entry of some lists."""
    counts = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    entries = lists.explode().drop_nulls().to_numpy().astype(np.int64)
    return np.repeat(np.arange(len(lists)), counts), entries
