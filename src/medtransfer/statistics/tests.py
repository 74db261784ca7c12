"""Comparisons of rungs: many p-values, differences against a margin, paired decisions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL, MIN_DEFINED
from medtransfer.statistics.contrasts import Contrast

Verdict = Literal["shown", "not shown"]
EQUIVALENCE_P = 0.05
"""Level of each of the two one-sided tests of equivalence."""
MAX_EXACT = 200
"""Patients with a difference up to which paired decisions are tested exactly."""


@dataclass(frozen=True)
class MarginTest:
    """Verdict on a difference that should keep within a margin.

    Attributes:
        verdict: "not shown" is not "shown to be otherwise".
        p: One-sided, of "the difference is at the margin or beyond".
    """

    verdict: Verdict
    p: float


@dataclass(frozen=True)
class Simultaneous:
    """A comparison of several, whichever of them is looked at.

    Attributes:
        low: Lower end of the interval; with 95 % chance all intervals hold their truth.
        high: Upper end.
        p: Two-sided, corrected for the number of comparisons.
    """

    low: float
    high: float
    p: float


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Holm 1979) of the p-values that are there.

    Args:
        p_values: None stays None and does not count.

    Returns:
        Corrected p-values in the same order, at most 1.
    """
    ordered = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        corrected[index] = largest
    return corrected


def false_discovery(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for the false discovery rate (Benjamini and Hochberg 1995).

    Of what is called different at 5 % after it, 5 % at most are expected to be no difference.
    Holm's correction keeps the stricter promise that not one is.

    Args:
        p_values: None stays None and does not count.

    Returns:
        Corrected p-values in the same order, at most 1.
    """
    return false_discoveries([p_values])[0]


def false_discoveries(families: Sequence[Sequence[float | None]]) -> list[list[float | None]]:
    """`false_discovery` of several families, each corrected by itself."""
    from scipy.stats import false_discovery_control

    defined = [[p for p in p_values if p is not None] for p_values in families]
    by_size: dict[int, list[int]] = {}
    for number, of_family in enumerate(defined):
        by_size.setdefault(len(of_family), []).append(number)
    for size, numbers in by_size.items():
        if size:
            together = np.array([defined[number] for number in numbers])
            for number, corrected in zip(
                numbers, false_discovery_control(together, axis=1).tolist(), strict=True
            ):
                defined[number] = corrected
    results: list[list[float | None]] = []
    for p_values, corrected in zip(families, defined, strict=True):
        remaining = iter(corrected)
        results.append([None if p is None else next(remaining) for p in p_values])
    return results


def simultaneous(contrasts: Sequence[Contrast], errors: Sequence[Floats]) -> list[Simultaneous]:
    """Simultaneous intervals and p-values of several comparisons with one reference (max-t).

    The best of K looks good because it was picked. The largest of K standardised errors has the
    95 % quantile c in the draws (Westfall and Young 1993; Hothorn, Bretz and Westfall 2008), and
    every interval is widened from 1.96 to c; where a contrast has Student's t, to the quantile of
    t at the level of c. Comparisons that share the reference and the patients err together, so c
    is smaller than by Bonferroni's inequality, which is its upper limit here.

    Args:
        contrasts: Each comparison. K
        errors: Draws of the error of each, the same patients and seeds in each draw. K times [R]
    """
    number = len(contrasts)
    if number < 2:
        return [Simultaneous(c.low, c.high, c.p) for c in contrasts]
    largest = _largest_errors(errors)
    each = (1 - LEVEL) / number
    # the p-value (1 + hits) / (1 + draws) is below 0.05 up to this number of hits
    hits = math.ceil((1 - LEVEL) * (1 + len(largest)) - 1e-9) - 2
    largest.sort()
    share = 2 * float(ndtr(-float(largest[-1 - hits]))) if hits >= 0 else each
    share = min(1 - LEVEL, max(each, share))
    adjusted: list[Simultaneous] = []
    for difference in contrasts:
        wider = _quantile(difference.degrees, share) / _quantile(difference.degrees, 1 - LEVEL)
        low = difference.value - wider * (difference.value - difference.low)
        high = difference.value + wider * (difference.high - difference.value)
        p = min(1.0, number * difference.p)
        if len(largest):
            above = len(largest) - int(largest.searchsorted(-float(ndtri(difference.p / 2))))
            p = min(p, (1 + above) / (1 + len(largest)))
        adjusted.append(Simultaneous(low, high, max(p, difference.p)))
    return adjusted


def _quantile(degrees: float, share: float) -> float:
    """Student's t quantile that a share of both tails lies beyond."""
    return float(stdtrit(degrees, 1 - share / 2))


def _largest_errors(errors: Sequence[Floats]) -> Floats:
    """Largest standardised error in each draw; none where too few draws are defined. [R]"""
    drawn = np.stack(errors)
    defined = drawn[:, np.isfinite(drawn).all(axis=0)]
    if not defined.shape[1] or defined.shape[1] < MIN_DEFINED * drawn.shape[1]:
        return np.zeros(0)
    spread = defined.std(axis=1, keepdims=True)
    largest: Floats = (np.abs(defined) / np.where(spread > 0, spread, 1.0)).max(axis=0)
    return largest


def non_inferiority(both: Contrast, margin: float) -> MarginTest:
    """Test that a rung is worse than the reference by less than a margin, where higher is better.

    Shown where the lower end of the 95 % interval is above minus the margin: a one-sided test at
    2.5 % (ICH E9, 3.3.2).

    Args:
        both: Rung minus reference.
        margin: Largest loss that does not matter, in the metric's unit; over 0.

    Raises:
        ValueError: The margin is not over 0.
    """
    _check(margin)
    return MarginTest("shown" if both.low > -margin else "not shown", both.p_at_most(-margin))


def equivalence(both: Contrast, margin: float) -> MarginTest:
    """Test that two rungs differ by less than a margin, either way.

    Two one-sided tests at 5 % (Schuirmann 1987); the p-value is the larger of the two.

    Args:
        both: Rung minus reference.
        margin: Largest difference that does not matter, in the metric's unit; over 0.

    Raises:
        ValueError: The margin is not over 0.
    """
    _check(margin)
    p = max(both.p_at_most(-margin), both.p_at_least(margin))
    return MarginTest("shown" if p < EQUIVALENCE_P else "not shown", p)


def _check(margin: float) -> None:
    if not margin > 0:
        raise ValueError(f"a margin is over 0, not {margin:g}")


def mcnemar(differences: NDArray[np.int64]) -> float:
    """P-value of "two networks decide equally well" from paired decisions, by patient.

    McNemar's test (1947) for clusters: under the null hypothesis the difference of a patient is as
    often positive as negative, so its sign is turned at random. Up to `MAX_EXACT` patients with a
    difference the distribution is exact and the p-value a mid-p (Fagerland et al. 2013); beyond
    that ``(Σ d)² / Σ d²`` is held against chi-squared with one degree of freedom (Obuchowski 1998).
    With one case a patient these are McNemar's tests.

    Args:
        differences: Right decisions of one network minus those of the other, by patient. [P]

    Returns:
        Two-sided; 1 where no patient differs.
    """
    steps = np.abs(differences[differences != 0])
    if not len(steps):
        return 1.0
    seen = abs(int(differences.sum()))
    if len(steps) > MAX_EXACT:
        return 2 * float(ndtr(-seen / math.sqrt(float(steps @ steps))))
    total = int(steps.sum())
    # chances of the sum of the signed differences from -total to total
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for step in steps.tolist():
        moved = np.zeros_like(chances)
        moved[step:] = chances[:-step]
        moved[:-step] += chances[step:]
        chances = moved / 2
    beyond = float(chances[total + seen + 1 :].sum())
    return min(1.0, 2 * (beyond + float(chances[total + seen]) / 2))
