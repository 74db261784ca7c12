"""Cells as files of safetensors: numbers as arrays, tables in Arrow's format, the rest as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import ConfigDict, TypeAdapter
from safetensors import SafetensorError

from medtransfer.evaluation.comparison.cells.cell import SummedCell
from medtransfer.evaluation.comparison.cells.records import (
    MeanRecords,
    add_frame,
    arrow_frame,
)
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.evaluation.kept.arrays import AnyArray, ArrayFile, read_arrays
from medtransfer.evaluation.kept.records import EstimateRecords
from medtransfer.evaluation.scoring.estimate import ResultKey
from medtransfer.tables.results import Curve, Result


@dataclass(frozen=True)
class _Record:
    """Contents of a file beside its arrays; an array is named by its number."""

    internal_name: str
    seeds: tuple[int, ...]
    estimates: EstimateRecords
    by_seed: list[tuple[ResultKey, int]]
    means: MeanRecords
    headlines: list[Result]
    results: list[int]
    summary: int
    curves: list[tuple[Curve, int]]


_RECORDS = TypeAdapter(list[_Record], config=ConfigDict(ser_json_inf_nan="constants"))


def encoded_cell(cell: SummedCell) -> bytes:
    """A cell as the content of a file."""
    file, mean = ArrayFile(), cell.mean
    record = _Record(
        internal_name=mean.internal_name,
        seeds=mean.seeds,
        estimates=EstimateRecords.of(mean.estimates, file),
        by_seed=[(key, file.add(values)) for key, values in mean.by_seed.items()],
        means=MeanRecords.of(mean, file),
        headlines=list(cell.headlines),
        results=[add_frame(frame, file) for frame in cell.results],
        summary=add_frame(cell.summary, file),
        curves=[(kind, add_frame(frame, file)) for kind, frame in cell.curves],
    )
    return file.content(_RECORDS.dump_json([record]))


def decoded_cell(content: bytes, place: GridKey) -> SummedCell | None:
    """The cell of a file; None if something else made it.

    Args:
        content: Of the file.
        place: Rung and training set of the cell.
    """
    try:
        text, arrays = read_arrays(content)
        (record,) = _RECORDS.validate_json(text)
        return _cell(record, arrays, place)
    except (ValueError, KeyError, IndexError, SafetensorError, pl.exceptions.PolarsError):
        return None


def _cell(record: _Record, arrays: Sequence[AnyArray], place: GridKey) -> SummedCell:
    mean = Mean(
        key=place,
        estimates=record.estimates.estimates(arrays),
        by_seed={key: arrays[number] for key, number in record.by_seed},
        internal_name=record.internal_name,
        seeds=record.seeds,
        decisions=record.means.decisions(arrays),
        shared=record.means.shared(arrays),
        comparable=record.means.comparable(arrays),
    )
    return SummedCell(
        results=tuple(arrow_frame(number, arrays) for number in record.results),
        summary=arrow_frame(record.summary, arrays),
        headlines=tuple(record.headlines),
        curves=tuple((kind, arrow_frame(number, arrays)) for kind, number in record.curves),
        mean=mean,
    )
