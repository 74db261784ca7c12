"""Features of a network that was trained at the home hospital. No scipy: predictions load this."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HomeFeatures:
    """Features of cases by a network that was trained at the home hospital.

    Attributes:
        case_ids: Sorted. [N]
        values: Pooled over the images of a case, before the head. [N, D]
    """

    case_ids: NDArray[np.str_]
    values: Vectors

    @classmethod
    def joined(cls, parts: Sequence["HomeFeatures"]) -> "HomeFeatures":
        """Features of several parts, in the order of the ids of their cases."""
        case_ids = np.concatenate([part.case_ids for part in parts])
        order = np.argsort(case_ids)
        return cls(case_ids[order], np.concatenate([part.values for part in parts])[order])

    def of(self, case_ids: NDArray[np.str_]) -> Vectors:
        """Features of cases; rows of NaN for those without any. [M, D]"""
        places = np.searchsorted(self.case_ids, case_ids)
        places = np.minimum(places, len(self.case_ids) - 1)
        values = self.values[places].copy()
        values[self.case_ids[places] != case_ids] = np.nan
        return values
