"""Law of a prediction set's coverage on cases like those of the tuning split.

Coverage is promised as a mean over tuning splits. A single threshold from n tuning cases covers a
share of new cases that is Beta(k, n + 1 - k) distributed, k its rank (Vovk 2012), so the number
covered of m new cases is beta-binomial. A verdict that takes the promised share for the truth
ignores this draw and calls exchangeable cases different in a quarter of all studies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator

LEVEL = 0.95
"""Share of exchangeable data sets whose coverage lies within the range."""
DRAWS = 10_000
"""Draws from the law: the share of exchangeable data outside the range is within 0.3 % of 5 %."""
CoverageVerdict = Literal["as promised", "less than promised", "more than promised"]


@dataclass(frozen=True)
class ThresholdDraw:
    """Draw of tuning cases behind one threshold.

    Attributes:
        rank: Rank of the threshold among the scores of the tuning cases, k; over `cases` if the
            threshold is infinite.
        held: Tuning cases whose score is not above the threshold: more than k if scores are tied.
        cases: Number of tuning cases, n.
        effective: Number of independent cases that tell as much, by `effective_size`.
    """

    rank: int
    held: int
    cases: int
    effective: float


@dataclass(frozen=True)
class TestedCases:
    """New cases that share a threshold.

    Attributes:
        cases: Their number, m.
        effective: Number of independent cases that tell as much.
    """

    cases: int
    effective: float


@dataclass(frozen=True)
class CoverageRange:
    """Coverage to expect of cases that are exchangeable with the tuning cases.

    Attributes:
        mean: Its mean over tuning splits and test sets.
        low: Lower end of the range that holds it in 95 %.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    def verdict(self, coverage: float) -> CoverageVerdict:
        """Verdict on the coverage that was observed."""
        return coverage_verdict(coverage, self.low, self.high)


def coverage_verdict(coverage: float, low: float, high: float) -> CoverageVerdict:
    """Verdict on an observed coverage, by the ends of a `CoverageRange`."""
    if coverage < low:
        return "less than promised"
    return "more than promised" if coverage > high else "as promised"


def coverage_range(
    thresholds: Sequence[ThresholdDraw], tested: Sequence[TestedCases]
) -> CoverageRange:
    """Coverage to expect of exchangeable cases, by draws from its law.

    The share that a threshold covers is drawn from its beta distribution, whose n is the effective
    number of tuning cases, then the number covered of the effective number of new cases. If
    tuning scores are tied at the threshold, it covers at most what the next higher score would,
    which moves the upper end up.

    Args:
        thresholds: One for all cases, or one for each class or group. K
        tested: The new cases behind each threshold, in the same order. K

    Raises:
        ValueError: There is no new case.
    """
    if not sum(part.cases for part in tested):
        raise ValueError("the coverage of no case has no law")
    return _range(tuple(thresholds), tuple(tested))


@lru_cache(maxsize=1024)
def _range(thresholds: tuple[ThresholdDraw, ...], tested: tuple[TestedCases, ...]) -> CoverageRange:
    rng = generator(0, "coverage law")
    total = sum(part.cases for part in tested)
    lower, upper = np.zeros(DRAWS), np.zeros(DRAWS)
    mean = 0.0
    for threshold, part in zip(thresholds, tested, strict=True):
        share = part.cases / total
        if not part.cases:
            continue
        trials = max(1, round(part.effective))
        is_tied = threshold.held > threshold.rank
        covered = _covered(threshold, threshold.rank, trials, rng)
        lower += share * covered
        upper += share * (
            _covered(threshold, threshold.held + 1, trials, rng) if is_tied else covered
        )
        mean += share * min(1.0, threshold.rank / (threshold.cases + 1))
    tail = (1 - LEVEL) / 2
    low = float(np.quantile(lower, tail, method="inverted_cdf"))
    high = float(np.quantile(upper, 1 - tail, method="inverted_cdf"))
    return CoverageRange(min(max(mean, low), high), low, high)


def _covered(threshold: ThresholdDraw, rank: int, trials: int, rng: np.random.Generator) -> Floats:
    """Share covered of new cases, if the threshold has a rank among the tuning scores. [DRAWS]"""
    if rank > threshold.cases:
        return np.ones(DRAWS)
    size = threshold.effective + 1
    expected = rank / (threshold.cases + 1)
    covered = rng.beta(size * expected, size * (1 - expected), DRAWS)
    return rng.binomial(trials, covered) / trials


def effective_size(scores: Floats, patients: NDArray[np.str_] | None) -> float:
    """Number of independent cases that tell as much about coverage as cases of shared patients.

    The number of cases over the design effect: the variance of the mean rank of the scores with
    patients as clusters over that with independent cases, at least 1 (Rao and Scott 1992). Ranks
    agree within a patient at least as much as "covered" does, and their design effect can be
    estimated where only a few cases are missed. Where all scores are equal, or a single patient
    has all cases, patients are counted.

    Args:
        scores: Nonconformity of the true class. [n]
        patients: Patient of each case; None if each has a patient of its own. [n]
    """
    cases = len(scores)
    if patients is None or not cases:
        return float(cases)
    patient = np.unique(patients, return_inverse=True)[1].ravel()
    clusters = int(patient.max()) + 1
    if clusters == cases:
        return float(cases)
    ranks = _mean_ranks(scores)
    ranks -= ranks.mean()
    variance = float((ranks**2).sum())
    if clusters < 2 or not variance:
        return float(clusters)
    totals = np.bincount(patient, weights=ranks)
    effect = clusters / (clusters - 1) * float((totals**2).sum()) / variance
    return cases / max(1.0, effect)


def _mean_ranks(scores: Floats) -> Floats:
    """Rank of each score, equal scores sharing their mean rank. [n]"""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place.ravel()]
