"""Cells that are kept, so that a new run sums up its own cell again and no other."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells.cell import SummedCell
from medtransfer.evaluation.comparison.cells.encoding import decoded_cell, encoded_cell
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.kept.files import KeptFiles, column_parts, content_of
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.settings import digest

MAX_BYTES = 256 * 2**20
"""Largest file of a cell; what is larger is summed up again, so that a disk does not fill."""
LAYOUT = 5
"""Raised when the files are laid out otherwise."""


@dataclass(frozen=True)
class KeptCells:
    """Cells and comparisons in a folder, by what they were made from.

    A file that is missing, damaged or of other runs or settings is made again.

    Attributes:
        folder: May be deleted at any time.
        version: Of scoring and tables together; cells of another are not read.
    """

    folder: Path
    version: str

    @cached_property
    def _files(self) -> KeptFiles:
        return KeptFiles(self.folder)

    def settings(self, attributes: pl.DataFrame, task: Task, config: EvaluationConfig) -> str:
        """Digest of what all cells of a study share; arguments as for `compare_runs`."""
        shared = {
            "layout": LAYOUT,
            "version": self.version,
            "task": task,
            "config": config.model_dump(mode="json"),
        }
        hashed = hashlib.sha256(json.dumps(shared, sort_keys=True).encode())
        for column in attributes.get_columns():
            for part in column_parts(column):
                hashed.update(part)
        return hashed.hexdigest()

    def find(self, key: str, place: GridKey) -> SummedCell | None:
        """The cell that was kept under a key; None if there is none that is whole."""
        for content in self._files.contents(key):
            cell = decoded_cell(content, place)
            if cell is not None:
                return cell
        return None

    def keep(self, key: str, cell: SummedCell) -> None:
        """Write a cell; without a word if it is large or cannot be written."""
        content = encoded_cell(cell)
        if len(content) <= MAX_BYTES:
            self._files.write(key, content)

    def table(self, key: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The table that was kept under a key, or the one that is made now, which is then kept."""
        for content in self._files.contents(key):
            with contextlib.suppress(pl.exceptions.PolarsError):
                return pl.read_ipc(io.BytesIO(content))
        table = make()
        self._files.write(key, content_of(table.write_ipc))
        return table

    def drop_others(self) -> None:
        """Delete the files that were neither read nor written."""
        self._files.drop_others()


def cell_key(
    settings: str, place: GridKey, runs: Sequence[tuple[str, int | None, str]], *, is_largest: bool
) -> str:
    """Name of a cell: digest of all that it is made from.

    Args:
        settings: From `KeptCells.settings`.
        place: Rung and training set.
        runs: Id, seed, and digest of the content of each run.
        is_largest: True if no cell of the same setting has a larger label fraction.
    """
    return digest(["cell", settings, vars(place), runs, is_largest])[:32]


def comparison_key(settings: str, reference: str, cells: Sequence[str]) -> str:
    """Name of the comparisons of some cells of one training set, in their order."""
    return digest(["comparisons", settings, reference, cells])[:32]
