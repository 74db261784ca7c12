"""Records of means and tables in files; arrays are named by their numbers."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.evaluation.comparison.target_means import TargetMean
from medtransfer.evaluation.kept.arrays import AnyArray, ArrayFile
from medtransfer.evaluation.kept.files import content_of
from medtransfer.statistics.small_samples import MeanSupport


@dataclass(frozen=True)
class TargetMeanRecord:
    """A mean over targets; `values` is the number of an array."""

    values: int
    targets: tuple[str, ...]
    support: MeanSupport | None

    @classmethod
    def of(cls, mean: TargetMean, file: ArrayFile) -> "TargetMeanRecord":
        """The record of a mean, its values added to a file."""
        return cls(file.add(mean.values), mean.targets, mean.support)

    def mean(self, arrays: Sequence[AnyArray]) -> TargetMean:
        """The mean, its values from the arrays of a file."""
        return TargetMean(arrays[self.values], self.targets, self.support)


def add_frame(frame: pl.DataFrame, file: ArrayFile) -> int:
    """Add a table to a file, in Arrow's format; its number."""
    return file.add(np.frombuffer(content_of(frame.write_ipc), dtype=np.uint8))


def arrow_frame(number: int, arrays: Sequence[AnyArray]) -> pl.DataFrame:
    """A table of a file by its number.

    Raises:
        polars.exceptions.PolarsError: The bytes are no table.
    """
    return pl.read_ipc(io.BytesIO(arrays[number].tobytes()))
