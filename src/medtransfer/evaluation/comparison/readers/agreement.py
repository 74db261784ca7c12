"""Agreement between readers: Cohen's kappa of pairs, Krippendorff's alpha of all."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.agreement import kappa
from medtransfer.metrics.cases import ClassCases
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import Weighted, WeightedTerm, ratio
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.small_samples import MIN_BOOTSTRAP, widened_interval

Codes = NDArray[np.int64]
"""Class of each case as each reader has it, -1 where the reader did not say. [R, n]"""


def pair_kappa(one: Codes, other: Codes, classes: int) -> Weighted:
    """Cohen's kappa of two readers of the same cases (Cohen 1960).

    Undefined if both say the same one class of all cases.

    Args:
        one: Class of each case by one reader. [n]
        other: By the other. [n]
        classes: Their number, C.
    """
    chosen: Floats = np.eye(classes)[other]
    return kappa(ClassCases(one, chosen, chosen), 1 - np.eye(classes))


def krippendorff_alpha(codes: Codes, classes: int) -> Weighted:
    """Krippendorff's alpha for classes without an order (Krippendorff 2011).

    Cases that fewer than two readers have read count for nothing. Undefined if only one class
    occurs.

    Args:
        codes: Of all readers. [R, n]
        classes: Their number, C.
    """
    counts = np.stack([(codes == c).sum(axis=0) for c in range(classes)]).astype(np.float64)
    read = counts.sum(axis=0)
    counts *= read >= 2
    spare = np.maximum(read - 1, 1.0)
    pairs = list(combinations(range(classes), 2))
    # each disagreement of a case, over the readers that another reading could be paired with
    terms = [WeightedTerm(2 * counts[c] * counts[k] / spare) for c, k in pairs]
    totals = [WeightedTerm(counts[c]) for c in range(classes)]

    def of(*sums: Floats) -> Floats:
        seen = np.sum(sums[: len(pairs)], axis=0)
        of_class = sums[len(pairs) :]
        total = np.sum(of_class, axis=0)
        chance = 2 * np.sum([of_class[c] * of_class[k] for c, k in pairs], axis=0)
        return 1 - ratio((total - 1) * seen, chance)

    return Weighted((*terms, *totals), of)


def agreement_interval(
    values: Floats, codes: Codes, patient: NDArray[np.int64]
) -> tuple[float, float] | None:
    """The percentile interval of a coefficient of agreement, widened as few patients ask.

    What agreement is worth rests on the cases that are not of the commonest class: so many patients
    as have such a reading, or one of the commonest class, are taken for its sample size. Coverage:
    docs/explanation/intervals.md.

    Args:
        values: The coefficient, then its replicates. [1 + B]
        codes: Of the cases behind it. [R, n]
        patient: Number of each case's patient. [n]

    Returns:
        None below ten such patients, and where most replicates are undefined.
    """
    readings = codes[codes >= 0]
    if not len(readings) or not np.isfinite(values[0]):
        return None
    commonest = np.bincount(readings).argmax()
    sides = (codes == commonest, (codes >= 0) & (codes != commonest))
    fewest = min(len(np.unique(patient[side.any(axis=0)])) for side in sides)
    interval = percentile_interval(values) if fewest >= MIN_BOOTSTRAP else None
    return None if interval is None else widened_interval(float(values[0]), interval, fewest)
