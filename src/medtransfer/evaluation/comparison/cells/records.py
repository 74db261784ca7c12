"""Records of means and tables in files; arrays are named by their numbers."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from medtransfer.evaluation.comparison.target_means import SharedMean, TargetMean
from medtransfer.evaluation.kept.arrays import AnyArray, ArrayFile
from medtransfer.evaluation.kept.files import content_of
from medtransfer.evaluation.scoring.estimate import ResultKey
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


@dataclass(frozen=True)
class MeanRecords:
    """Decisions and means over targets of a run or a cell; arrays are named by their numbers."""

    decided: list[tuple[ResultKey, int]]
    both: list[tuple[ResultKey, TargetMeanRecord, TargetMeanRecord]]
    alone: list[tuple[ResultKey, TargetMeanRecord]]

    @classmethod
    def of(cls, numbers: "HasMeans", file: ArrayFile) -> "MeanRecords":
        """The records of a run or a cell, their values added to a file."""
        of = TargetMeanRecord.of
        return cls(
            decided=[(key, file.add(right)) for key, right in numbers.decisions.items()],
            both=[
                (key, of(mean.internal, file), of(mean.shifted, file))
                for key, mean in numbers.shared.items()
            ],
            alone=[(key, of(mean, file)) for key, mean in numbers.comparable.items()],
        )

    def decisions(self, arrays: Sequence[AnyArray]) -> dict[ResultKey, AnyArray]:
        """Decisions, from the arrays of a file."""
        return {key: arrays[number] for key, number in self.decided}

    def shared(self, arrays: Sequence[AnyArray]) -> dict[ResultKey, SharedMean]:
        """Means over the targets that both hospitals have, from the arrays of a file."""
        return {
            key: SharedMean(internal.mean(arrays), shifted.mean(arrays))
            for key, internal, shifted in self.both
        }

    def comparable(self, arrays: Sequence[AnyArray]) -> dict[ResultKey, TargetMean]:
        """Means over targets with those targets, from the arrays of a file."""
        return {key: mean.mean(arrays) for key, mean in self.alone}


class HasMeans(Protocol):
    """A run or a cell with its decisions and means over targets."""

    @property
    def decisions(self) -> Mapping[ResultKey, AnyArray]:
        """Right decisions by key."""
        ...

    @property
    def shared(self) -> Mapping[ResultKey, SharedMean]:
        """Means over the targets that both hospitals have."""
        ...

    @property
    def comparable(self) -> Mapping[ResultKey, TargetMean]:
        """Means over targets with those targets."""
        ...


def add_frame(frame: pl.DataFrame, file: ArrayFile) -> int:
    """Add a table to a file, in Arrow's format; its number."""
    return file.add(np.frombuffer(content_of(frame.write_ipc), dtype=np.uint8))


def arrow_frame(number: int, arrays: Sequence[AnyArray]) -> pl.DataFrame:
    """A table of a file by its number.

    Raises:
        polars.exceptions.PolarsError: The bytes are no table.
    """
    return pl.read_ipc(io.BytesIO(arrays[number].tobytes()))
