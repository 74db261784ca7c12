"""Runs that are kept with their replicates, so that each is measured once.

A study scores a run when it is trained, and needs its replicates again whenever tables are made.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells.cell_part import (
    CellPart,
    cell_part,
    decoded_part,
    encoded_part,
)
from medtransfer.evaluation.kept.files import KeptFiles, column_parts
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run, results_of

MAX_BYTES = 16 * 2**20
"""Most bytes of replicates of a run; larger ones are measured again, so that no disk fills."""
LAYOUT = 5
"""Raised when the files are laid out otherwise, or hold other curves."""


@dataclass(frozen=True)
class KeptRuns:
    """Parts of runs in a folder, each file named by what it was made from and by its content.

    A file that is missing, damaged or of other settings is made again; nothing depends on it.

    Attributes:
        folder: May be deleted at any time.
        version: Of the scoring; parts of another are not read.
    """

    folder: Path
    version: int

    def scored(
        self,
        predictions: pl.DataFrame,
        attributes: pl.DataFrame,
        task: Task,
        config: EvaluationConfig,
    ) -> pl.DataFrame:
        """Results table of a run, which is kept; arguments as for `scoring.score.score`."""
        measured = measure_run(predictions, attributes, task, config)
        if _size(measured) <= MAX_BYTES:
            key = self.key(predictions, attributes, task, config)
            self.keep(key, cell_part(measured, config))
        return results_of(measured, config)

    def find(self, key: str, *, with_results: bool = False) -> CellPart | None:
        """The part that was kept under a key; None if there is none that is whole.

        Args:
            key: From `key`.
            with_results: Take none without its results table.
        """
        for content in self._files.contents(key):
            part = decoded_part(content)
            if part is not None and not (with_results and part.results is None):
                return part
        return None

    def keep(self, key: str, part: CellPart) -> None:
        """Write a part; without a word if it cannot be written."""
        self._files.write(key, encoded_part(part))

    def part(
        self,
        key: str,
        measure: Callable[[], MeasuredRun],
        config: EvaluationConfig,
        *,
        with_results: bool,
    ) -> CellPart:
        """The part that was kept under a key, or the one that is made now, which is then kept.

        Args:
            key: From `key`.
            measure: Measures the run.
            config: That it is measured with.
            with_results: With its results table.
        """
        part = self.find(key, with_results=with_results)
        if part is None:
            measured = measure()
            part = cell_part(measured, config, with_results=with_results)
            if _size(measured) <= MAX_BYTES:
                self.keep(key, part)
        return part

    @cached_property
    def _files(self) -> KeptFiles:
        return KeptFiles(self.folder)

    def hold(self, keys: Iterable[str]) -> None:
        """Keep the parts of a cell that was not summed up again: its next new run needs them."""
        self._files.hold(keys)

    def drop_others(self) -> None:
        """Delete the files that were neither read, written nor held."""
        self._files.drop_others()

    def key(
        self,
        predictions: pl.DataFrame,
        attributes: pl.DataFrame,
        task: Task,
        config: EvaluationConfig,
    ) -> str:
        """Digest of all that the part of a run is made from."""
        settings = {
            "layout": LAYOUT,
            "version": self.version,
            "task": task,
            "config": config.model_dump(mode="json"),
        }
        hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for column in predictions.get_columns():
            hashed.update(self._columns.of(column))
        hashed.update(self._attributes.of(predictions["case_id"], attributes))
        return hashed.hexdigest()[:32]

    @cached_property
    def _columns(self) -> "_Columns":
        return _Columns()

    @cached_property
    def _attributes(self) -> "_CaseAttributes":
        return _CaseAttributes()


def _size(measured: MeasuredRun) -> int:
    """Bytes of the replicates of a run."""
    subgroups = itertools.chain.from_iterable(measured.estimates)
    each = itertools.chain.from_iterable(by_key.values() for by_key in subgroups)
    numbers = (values for e in each for values in (e.values, e.left_out))
    return sum(values.nbytes for values in numbers if values is not None)


class _Columns:
    """Columns as bytes; texts of most runs of a study are those of the run before."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[pl.Series, bytes]] = {}

    def of(self, column: pl.Series) -> bytes:
        """Bytes that tell a column from every other."""
        if column.dtype.is_numeric():
            return b"".join(column_parts(column))
        latest = self._latest.get(column.name)
        if latest is None or latest[0].dtype != column.dtype or not latest[0].equals(column):
            latest = self._latest[column.name] = column, b"".join(column_parts(column))
        return latest[1]


class _CaseAttributes:
    """Attributes of the cases of a run as bytes; most runs of a study have the same cases."""

    def __init__(self) -> None:
        self._latest: tuple[pl.Series, pl.DataFrame, bytes] | None = None

    def of(self, case_ids: pl.Series, attributes: pl.DataFrame) -> bytes:
        """Bytes that tell the attributes of these cases from every other."""
        latest = self._latest
        if latest is not None and latest[1] is attributes and latest[0].equals(case_ids):
            return latest[2]
        cases = case_ids.to_frame().unique(maintain_order=True)
        joined = cases.join(attributes, on="case_id", how="left")
        content = b"".join(itertools.chain.from_iterable(map(column_parts, joined.get_columns())))
        self._latest = case_ids, attributes, content
        return content
