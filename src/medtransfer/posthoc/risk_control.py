"""Operating points with a guarantee: sensitivity or specificity of new patients.

The threshold of ``sens90`` has 90 % sensitivity on the tuning cases; on new ones it has less in
half of all tuning splits. A guaranteed point gives up some of the other rate to hold its own on
cases like the tuning cases. The loss of a patient is the share of its positives that are missed (of
its negatives that are called), so that patients are independent whatever their number of cases, and
the guarantee is of the mean over patients. With one case each that is the sensitivity itself.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, xlogy

from medtransfer.errors import plural
from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats

Guarantee = Literal["sure", "mean"]
"""``sure``: in 95 % of tuning splits. ``mean``: on average over tuning splits."""
CONFIDENCE = 0.95
TOLERANCE = 1e-9
"""Rounding of a sum of shares."""
Texts = NDArray[np.str_]


@dataclass(frozen=True)
class GuaranteedThreshold:
    """Threshold of a guaranteed operating point.

    Attributes:
        threshold: Probability from which a case is called positive; None if tune has too few
            patients for the guarantee.
        reason: Why there is none.
    """

    threshold: float | None
    reason: str | None = None


def guarantee_of(point: str) -> Guarantee | None:
    """Guarantee of an operating point: ``sens90-sure``, ``spec80-mean``; None for a plain one."""
    name = point.partition("-")[2]
    return "sure" if name == "sure" else "mean" if name == "mean" else None


def guaranteed_threshold(
    targets: Labels, probabilities: Floats, patients: Texts | None, point: str
) -> GuaranteedThreshold:
    """Threshold that guarantees a rate on new patients, at the least cost of the other rate.

    ``sure``: learn then test (Angelopoulos et al. 2021) from the safest threshold on, with the
    binomial p-value where each patient has one case and `hoeffding_bentkus_p` otherwise. ``mean``:
    conformal risk control (Angelopoulos et al. 2024), the sum of the losses plus 1 over the
    patients plus 1.

    Args:
        targets: 0 or 1. [n]
        probabilities: Of the positive class. [n]
        patients: Patient of each case; None if each has a patient of its own. [n]
        point: ``sens90-sure``: sensitivity of at least 90 % in 95 % of tuning splits;
            ``sens90-mean``: on average over them; ``spec80-sure``, ``spec80-mean`` likewise.
    """
    side, allowed = point[:4], 1 - int(point[4:].partition("-")[0]) / 100
    is_sensitivity = side == "sens"
    counted = targets == (1 if is_sensitivity else 0)
    scores = probabilities[counted] if is_sensitivity else -probabilities[counted]
    names = np.arange(len(targets)).astype(np.str_) if patients is None else patients
    unit = np.unique(names[counted], return_inverse=True)[1].ravel()
    number = int(unit.max()) + 1 if len(unit) else 0
    needed = _min_patients(guarantee_of(point), allowed)
    if number < needed:
        label = "positive" if is_sensitivity else "negative"
        have = f"{plural(number, 'tune patient')} with a {label} case"
        return GuaranteedThreshold(None, f"no threshold: {have}, {needed} needed")
    candidates, sums = patient_losses(scores, unit)
    if guarantee_of(point) == "mean":
        holds = (sums + 1) / (number + 1) <= allowed + TOLERANCE
    elif len(unit) == number:
        holds = np.asarray(bdtr(np.round(sums), number, allowed)) <= 1 - CONFIDENCE
    else:
        holds = hoeffding_bentkus_p(sums / number, number, allowed) <= 1 - CONFIDENCE
    safe = candidates[np.flatnonzero(np.logical_and.accumulate(holds))[-1]]
    # a negative at the threshold itself would be called, so the threshold lies just above it
    return GuaranteedThreshold(float(safe if is_sensitivity else np.nextafter(-safe, np.inf)))


def patient_losses(scores: Floats, unit: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Sum over patients of the share of their cases below a threshold, at every score.

    Args:
        scores: Of the cases that should reach the threshold. [n]
        unit: Patient of each case, as numbers from 0. [n]

    Returns:
        Thresholds, rising, and the sums. [D], [D]
    """
    weight = 1 / np.bincount(unit)[unit]
    order = np.argsort(scores, kind="stable")
    candidates, first = np.unique(scores[order], return_index=True)
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    return candidates, below[first]


def hoeffding_bentkus_p(risks: Floats, number: int, allowed: float) -> Floats:
    """P-values of "the mean loss is over the allowed one", for losses from 0 to 1 (Bates 2021).

    The smaller of Hoeffding's bound and Bentkus's, which is e times the binomial tail.

    Args:
        risks: Mean losses of independent patients. [D]
        number: Number of patients.
        allowed: Largest mean loss to allow.
    """
    inside = np.minimum(risks, allowed)
    divergence = xlogy(inside, inside / allowed) + xlogy(1 - inside, (1 - inside) / (1 - allowed))
    hoeffding = np.exp(-number * divergence)
    bentkus = np.e * np.asarray(bdtr(np.ceil(number * risks - TOLERANCE), number, allowed))
    return np.minimum(1.0, np.minimum(hoeffding, bentkus))


def _min_patients(guarantee: Guarantee | None, allowed: float) -> int:
    """Least patients for which a threshold without a loss keeps the guarantee."""
    if guarantee == "sure":
        return math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - allowed) - TOLERANCE)
    return max(1, math.ceil(1 / allowed - 1 - TOLERANCE))
