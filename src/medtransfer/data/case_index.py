"""Cases and patients by number, in the order of their ids.

A number takes a quarter of a text's memory, and what is known of each case is an array. Everything
that is drawn, counted or labelled by case goes by these numbers; ids are looked up where a run
needs them.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.tables.chunks import sorted_shares

CodeArray = NDArray[np.uint32]


def numbered(ids: pl.Series) -> CodeArray:
    """The number of each id: 0 for the first of them in text order, 1 for the next. [N]"""
    numbers: CodeArray = np.empty(len(ids), dtype=np.uint32)
    before = 0
    for rows in sorted_shares(ids):
        codes = ids.gather(rows).rank("dense").to_numpy()
        numbers[rows] = codes + np.uint32(before) - np.uint32(1)
        before += int(codes.max()) if len(codes) else 0
    return numbers


@dataclass(frozen=True, eq=False)
class CaseNumbers:
    """The cases of some rows.

    Attributes:
        rows: Case of each row. [R]
        first: First row of each case. [N]
        patients: Patient of each case. [N]
    """

    rows: CodeArray
    first: CodeArray
    patients: CodeArray

    @staticmethod
    def of(frame: pl.DataFrame) -> "CaseNumbers":
        """Number the cases of a manifest's rows; all rows of a case are of one patient."""
        rows = numbered(frame["case_id"])
        first: CodeArray = np.empty(int(rows.max()) + 1 if len(rows) else 0, dtype=np.uint32)
        first[rows[::-1]] = np.arange(len(rows), dtype=np.uint32)[::-1]  # the last one stands
        return CaseNumbers(rows, first, numbered(frame["patient_id"].gather(first)))

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.first)

    @property
    def num_patients(self) -> int:
        """Number of patients."""
        return int(self.patients.max()) + 1 if len(self) else 0

    def of_first(self, cells: pl.Series) -> pl.Series:
        """Values in the first row of each case. [N]"""
        return cells.gather(self.first)

    def at_first(self, flags: pl.Series) -> NDArray[np.bool_]:
        """Flags of the first row of each case. [N]"""
        return np.asarray(self.of_first(flags).to_numpy(), dtype=bool)
