"""Normal intervals and the paired test of DeLong's paper, which other software prints."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL
from medtransfer.statistics.delong import Aurocs

Z = float(ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True)
class AurocDifference:
    """An AUROC minus another, its 95 % interval, and p of "no difference"."""

    value: float
    low: float
    high: float
    p: float


def normal_intervals(found: Aurocs) -> Floats:
    """``A ± 1.96 √var``, cut to 0 and 1. [K, 2]"""
    width = Z * np.sqrt(np.diag(found.covariance))
    return np.clip(np.stack([found.values - width, found.values + width], axis=1), 0, 1)


def auroc_difference(found: Aurocs, first: int, second: int) -> AurocDifference:
    """``z = (A₁ - A₂) / √(var₁ + var₂ - 2 cov)`` of two rungs on the same cases."""
    value = float(found.values[first] - found.values[second])
    part = found.covariance[np.ix_([first, second], [first, second])]
    error = float(np.sqrt(part[0, 0] + part[1, 1] - 2 * part[0, 1]))
    p = float(2 * ndtr(-abs(value) / error))
    return AurocDifference(value, value - Z * error, value + Z * error, p)
