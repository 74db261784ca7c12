"""Cells as files of safetensors: numbers as arrays, tables in Arrow's format, the rest as JSON."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import polars as pl
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from safetensors import SafetensorError

from medtransfer.evaluation.comparison.cells.cell import SummedCell
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.evaluation.comparison.target_means import SharedMean, TargetMean
from medtransfer.evaluation.kept.files import content_of
from medtransfer.evaluation.kept.records import EstimateRecord
from medtransfer.evaluation.scoring.estimate import ResultKey
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import MeanSupport
from medtransfer.tables.results import Curve, Result

AnyArray = NDArray[Any]
RECORD = "record"
"""Name of the array that holds the JSON text."""


@dataclass(frozen=True)
class _TargetMean:
    """A mean over targets; `values` is the number of an array."""

    values: int
    targets: tuple[str, ...]
    support: MeanSupport | None


@dataclass(frozen=True)
class _Record:
    """Contents of a file beside its arrays; an array is named by its number."""

    internal_name: str
    seeds: tuple[int, ...]
    estimates: list[tuple[ResultKey, EstimateRecord]]
    by_seed: list[tuple[ResultKey, int]]
    decisions: list[tuple[ResultKey, int]]
    shared: list[tuple[ResultKey, _TargetMean, _TargetMean]]
    comparable: list[tuple[ResultKey, _TargetMean]]
    headlines: list[Result]
    results: list[int]
    summary: int
    curves: list[tuple[Curve, int]]


_RECORDS = TypeAdapter(list[_Record], config=ConfigDict(ser_json_inf_nan="constants"))


@dataclass(frozen=True)
class _Arrays:
    """Arrays, each named by its number."""

    arrays: list[AnyArray] = field(default_factory=list[AnyArray])

    def add(self, values: AnyArray) -> int:
        self.arrays.append(np.ascontiguousarray(values))
        return len(self.arrays) - 1

    def add_frame(self, frame: pl.DataFrame) -> int:
        return self.add(np.frombuffer(content_of(frame.write_ipc), dtype=np.uint8))

    def add_mean(self, mean: TargetMean) -> _TargetMean:
        return _TargetMean(self.add(mean.values), mean.targets, mean.support)


def encoded_cell(cell: SummedCell) -> bytes:
    """A cell as the content of a file."""
    arrays, mean = _Arrays(), cell.mean
    record = _Record(
        internal_name=mean.internal_name,
        seeds=mean.seeds,
        estimates=[(key, EstimateRecord.of(e, arrays.add)) for key, e in mean.estimates.items()],
        by_seed=[(key, arrays.add(values)) for key, values in mean.by_seed.items()],
        decisions=[(key, arrays.add(right)) for key, right in mean.decisions.items()],
        shared=[
            (key, arrays.add_mean(both.internal), arrays.add_mean(both.shifted))
            for key, both in mean.shared.items()
        ],
        comparable=[(key, arrays.add_mean(of_mean)) for key, of_mean in mean.comparable.items()],
        headlines=list(cell.headlines),
        results=[arrays.add_frame(frame) for frame in cell.results],
        summary=arrays.add_frame(cell.summary),
        curves=[(kind, arrays.add_frame(frame)) for kind, frame in cell.curves],
    )
    named = {str(number): values for number, values in enumerate(arrays.arrays)}
    named[RECORD] = np.frombuffer(_RECORDS.dump_json([record]), dtype=np.uint8)
    return cast("bytes", cast("Any", safetensors.numpy).save(named))


def decoded_cell(content: bytes, place: GridKey) -> SummedCell | None:
    """The cell of a file; None if something else made it.

    Args:
        content: Of the file.
        place: Rung and training set of the cell.
    """
    try:
        arrays = cast("dict[str, AnyArray]", cast("Any", safetensors.numpy).load(content))
        (record,) = _RECORDS.validate_json(arrays[RECORD].tobytes())
        return _cell(record, arrays, place)
    except (ValueError, KeyError, SafetensorError, pl.exceptions.PolarsError):
        return None


def _cell(record: _Record, arrays: Mapping[str, AnyArray], place: GridKey) -> SummedCell:
    def array(number: int) -> Floats:
        return arrays[str(number)]

    mean = Mean(
        key=place,
        estimates={key: kept.estimate(array) for key, kept in record.estimates},
        by_seed={key: arrays[str(number)] for key, number in record.by_seed},
        internal_name=record.internal_name,
        seeds=record.seeds,
        decisions={key: arrays[str(number)] for key, number in record.decisions},
        shared={
            key: SharedMean(_target_mean(internal, arrays), _target_mean(shifted, arrays))
            for key, internal, shifted in record.shared
        },
        comparable={key: _target_mean(row, arrays) for key, row in record.comparable},
    )
    return SummedCell(
        results=tuple(_frame(arrays, number) for number in record.results),
        summary=_frame(arrays, record.summary),
        headlines=tuple(record.headlines),
        curves=tuple((kind, _frame(arrays, number)) for kind, number in record.curves),
        mean=mean,
    )


def _target_mean(row: _TargetMean, arrays: Mapping[str, AnyArray]) -> TargetMean:
    return TargetMean(arrays[str(row.values)], row.targets, row.support)


def _frame(arrays: Mapping[str, AnyArray], number: int) -> pl.DataFrame:
    return pl.read_ipc(io.BytesIO(arrays[str(number)].tobytes()))
