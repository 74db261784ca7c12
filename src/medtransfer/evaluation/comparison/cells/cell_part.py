"""A run without its predictions, as its cell takes it, and its file."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import ConfigDict, TypeAdapter

from medtransfer.evaluation.comparison.cells.records import (
    MeanRecords,
    add_frame,
    arrow_frame,
)
from medtransfer.evaluation.comparison.cells.run_lines import Line, LineKey, run_lines
from medtransfer.evaluation.comparison.cells.seed_part import SeedPart, seed_part
from medtransfer.evaluation.comparison.group_gaps import SeedGroups
from medtransfer.evaluation.kept.arrays import AnyArray, ArrayFile, read_arrays
from medtransfer.evaluation.kept.records import EstimateRecord, EstimateRecords
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import ResultKey
from medtransfer.evaluation.scoring.score import MeasuredRun, results_of


@dataclass(frozen=True)
class CellPart:
    """A run without its predictions.

    Attributes:
        numbers: With their replicates.
        lines: Its curves.
        results: Its results table; None if it was not asked for.
        kept_as: Key that it is kept under; None if it is not kept.
    """

    numbers: SeedPart
    lines: dict[LineKey, Line]
    results: pl.DataFrame | None = None
    kept_as: str | None = None


def cell_part(
    measured: MeasuredRun, config: EvaluationConfig, *, with_results: bool = False
) -> CellPart:
    """The part of a measured run."""
    results = results_of(measured, config) if with_results else None
    return CellPart(seed_part(measured, config), run_lines(measured), results)


@dataclass(frozen=True)
class _Groups:
    """Groups of an attribute; arrays are named by their numbers."""

    names: tuple[str, ...]
    targets: tuple[str, ...]
    values: tuple[int, ...]
    noise: int | None
    counts: EstimateRecord

    @classmethod
    def of(cls, groups: SeedGroups, file: ArrayFile) -> "_Groups":
        noise = None if groups.noise is None else file.add(groups.noise)
        values = tuple(map(file.add, groups.values))
        counts = EstimateRecord.of(groups.counts, file.add)
        return cls(groups.names, groups.targets, values, noise, counts)

    def groups(self, arrays: Sequence[AnyArray]) -> SeedGroups:
        noise = None if self.noise is None else arrays[self.noise]
        values = tuple(arrays[number] for number in self.values)
        counts = self.counts.estimate(arrays.__getitem__)
        return SeedGroups(self.names, self.targets, values, noise, counts)


@dataclass(frozen=True)
class _Record:
    """Contents of a file beside its arrays, which are named by their numbers."""

    internal_name: str
    estimates: EstimateRecords
    means: MeanRecords
    groups: list[tuple[ResultKey, _Groups]]
    lines: list[tuple[LineKey, int, int, int | None]]
    results: int | None


_RECORDS = TypeAdapter(list[_Record], config=ConfigDict(ser_json_inf_nan="constants"))


def encoded_part(part: CellPart) -> bytes:
    """A part as the content of a file."""
    file, numbers = ArrayFile(), part.numbers
    record = _Record(
        internal_name=numbers.internal_name,
        estimates=EstimateRecords.of(numbers.estimates, file),
        means=MeanRecords.of(numbers, file),
        groups=[(key, _Groups.of(groups, file)) for key, groups in numbers.groups.items()],
        lines=[
            (key, file.add(line.x), file.add(line.y), None if c is None else file.add(c))
            for key, line in part.lines.items()
            for c in [line.count]
        ],
        results=None if part.results is None else add_frame(part.results, file),
    )
    return file.content(_RECORDS.dump_json([record]))


def decoded_part(content: bytes) -> CellPart | None:
    """The part of a file; None if something else made it."""
    try:
        text, arrays = read_arrays(content)
        (record,) = _RECORDS.validate_json(text)
        return _part(record, arrays)
    except (ValueError, KeyError, TypeError, IndexError, pl.exceptions.PolarsError):
        return None


def _part(record: _Record, arrays: Sequence[AnyArray]) -> CellPart:
    numbers = SeedPart(
        internal_name=record.internal_name,
        estimates=record.estimates.estimates(arrays),
        decisions=record.means.decisions(arrays),
        shared=record.means.shared(arrays),
        comparable=record.means.comparable(arrays),
        groups={key: groups.groups(arrays) for key, groups in record.groups},
    )
    lines = {
        key: Line(arrays[x], arrays[y], None if count is None else arrays[count])
        for key, x, y, count in record.lines
    }
    results = None if record.results is None else arrow_frame(record.results, arrays)
    return CellPart(numbers, lines, results)
