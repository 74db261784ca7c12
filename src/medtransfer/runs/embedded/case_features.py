"""Features of the cases of a run, whoever made them. No torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.cases import Cases


@dataclass(frozen=True, eq=False)
class CaseFeatures:
    """Features of all cases of a run.

    Attributes:
        case_ids: Sorted. [N]
        values: Before the head. [M, D]
        rows: Row of `values` of each case; None where the rows are those of the cases. [N]
    """

    case_ids: NDArray[np.str_]
    values: NDArray[np.float32]
    rows: NDArray[np.int64] | None = None

    def of(self, cases: Cases) -> NDArray[np.float32]:
        """Features of some of the cases, with their clinical data if they have any. [M, D + C]"""
        values = self.alone(cases)
        return values if cases.covariates is None else np.hstack([values, cases.covariates])

    def alone(self, cases: Cases) -> NDArray[np.float32]:
        """Features of some of the cases without clinical data. [M, D]"""
        places = np.searchsorted(self.case_ids, cases.case_ids)
        return self.values[places if self.rows is None else self.rows[places]]
