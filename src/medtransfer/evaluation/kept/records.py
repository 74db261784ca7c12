"""Records of estimates in files: their fields, and places of their numbers among arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from pydantic import TypeAdapter

from medtransfer.evaluation.kept.arrays import AnyArray, ArrayFile
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey, changed
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import MeanSupport, Support


@dataclass(frozen=True)
class EstimateRecord:
    """An estimate as JSON; `values` and `left_out` are places of its arrays in the file."""

    values: int | None
    left_out: int | None
    cases: int
    patients: int
    positives: int | None
    reason: str | None
    support: Support | None
    of_targets: MeanSupport | None
    targets: tuple[str, ...]

    @classmethod
    def of(cls, estimate: Estimate, add: Callable[[Floats], int]) -> "EstimateRecord":
        """The record of an estimate.

        Args:
            estimate: The estimate.
            add: Adds an array to the file and gives its place.
        """
        values, left_out = estimate.values, estimate.left_out
        return cls(
            values=None if values is None else add(values),
            left_out=None if left_out is None else add(left_out),
            cases=estimate.cases,
            patients=estimate.patients,
            positives=estimate.positives,
            reason=estimate.reason,
            support=estimate.support,
            of_targets=estimate.of_targets,
            targets=estimate.targets,
        )

    def estimate(self, array: Callable[[int], Floats]) -> Estimate:
        """The estimate.

        Args:
            array: Gives the array of a place.
        """
        return Estimate(
            values=None if self.values is None else array(self.values),
            cases=self.cases,
            patients=self.patients,
            positives=self.positives,
            reason=self.reason,
            left_out=None if self.left_out is None else array(self.left_out),
            support=self.support,
            of_targets=self.of_targets,
            targets=self.targets,
        )


_KEYS = TypeAdapter(tuple[ResultKey, ...])
NO_ARRAY = -1


@dataclass(frozen=True)
class EstimateRecords:
    """Estimates by their keys.

    A run has hundreds, with few different counts; and most runs of a study have the same keys,
    whose text is read once.

    Attributes:
        keys: Number of the array that holds the text of the keys.
        rows: Number of the array of places: of values, of `left_out`, and of counts. [N, 3]
        counts: Different estimates, without their arrays.
    """

    keys: int
    rows: int
    counts: list[EstimateRecord]

    @classmethod
    def of(cls, estimates: Mapping[ResultKey, Estimate], file: ArrayFile) -> "EstimateRecords":
        """The records of some estimates, whose arrays are added to a file."""
        counts: dict[EstimateRecord, int] = {}
        rows: list[tuple[int, int, int]] = []
        for estimate in estimates.values():
            places = [
                NO_ARRAY if array is None else file.add(array)
                for array in (estimate.values, estimate.left_out)
            ]
            without = EstimateRecord.of(changed(estimate, values=None, left_out=None), file.add)
            rows.append((places[0], places[1], counts.setdefault(without, len(counts))))
        text = np.frombuffer(_KEYS.dump_json(tuple(estimates)), dtype=np.uint8)
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return cls(file.add(text), file.add(table), list(counts))

    def estimates(self, arrays: Sequence[AnyArray]) -> dict[ResultKey, Estimate]:
        """The estimates, their arrays from those of a file."""
        counts = [record.estimate(arrays.__getitem__) for record in self.counts]
        keys = _keys(arrays[self.keys].tobytes())
        rows = cast("list[list[int]]", arrays[self.rows].tolist())
        return {
            key: changed(
                counts[number],
                values=None if values == NO_ARRAY else arrays[values],
                left_out=None if left_out == NO_ARRAY else arrays[left_out],
            )
            for key, (values, left_out, number) in zip(keys, rows, strict=True)
        }


@lru_cache(maxsize=64)
def _keys(text: bytes) -> tuple[ResultKey, ...]:
    return _KEYS.validate_json(text)
