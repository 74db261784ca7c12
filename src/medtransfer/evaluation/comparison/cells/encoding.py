"""Cells as files of safetensors: numbers as arrays, tables in Arrow's format, the rest as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import ConfigDict, TypeAdapter

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
    """Contents of a file beside its arrays; an array is named by its number.

    Attributes:
        tables: Results and summary as one table, which is read faster than two.
        results: Rows of the results in it.
        points: All curves as one table; None without any.
        curves: Kind and number of points of each.
    """

    internal_name: str
    seeds: tuple[int, ...]
    estimates: EstimateRecords
    by_seed: list[tuple[ResultKey, int]]
    means: MeanRecords
    headlines: list[Result]
    tables: int
    results: int
    points: int | None
    curves: list[tuple[Curve, int]]
    parts: tuple[str, ...]


_RECORDS = TypeAdapter(list[_Record], config=ConfigDict(ser_json_inf_nan="constants"))


def encoded_cell(cell: SummedCell) -> bytes:
    """A cell as the content of a file."""
    file, mean, points = ArrayFile(), cell.mean, [frame for _, frame in cell.curves]
    record = _Record(
        internal_name=mean.internal_name,
        seeds=mean.seeds,
        estimates=EstimateRecords.of(mean.estimates, file),
        by_seed=[(key, file.add(values)) for key, values in mean.by_seed.items()],
        means=MeanRecords.of(mean, file),
        headlines=list(cell.headlines),
        tables=add_frame(pl.concat([cell.results, cell.summary]), file),
        results=len(cell.results),
        points=add_frame(pl.concat(points), file) if points else None,
        curves=[(kind, len(frame)) for kind, frame in cell.curves],
        parts=cell.parts,
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
        # numbers are kept while the study is summed up, tables are read at once
        numbers = [values if values.dtype == np.uint8 else values.copy() for values in arrays]
        return _cell(record, numbers, place)
    except (ValueError, KeyError, TypeError, IndexError, pl.exceptions.PolarsError):
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
    tables = arrow_frame(record.tables, arrays)
    return SummedCell(
        results=tables[: record.results],
        summary=tables[record.results :],
        headlines=tuple(record.headlines),
        curves=tuple(_curves(record, arrays)),
        mean=mean,
        parts=record.parts,
    )


def _curves(record: _Record, arrays: Sequence[AnyArray]) -> Iterator[tuple[Curve, pl.DataFrame]]:
    """Curves with their kinds."""
    start, points = 0, None if record.points is None else arrow_frame(record.points, arrays)
    for kind, number in record.curves:
        if points is not None:
            yield kind, points[start : start + number]
        start += number
