"""Intervals and tests of means over seeds and of their contrasts: patients and seeds are random.

A network trained again with another seed is another network. A difference of two means over few
seeds varies with the patients, which both share, and with the seeds, which each rung draws for
itself. An interval of resampled patients alone leaves the second out and claims too much.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL
from medtransfer.statistics.small_samples import NORMAL_QUANTILE

Sources = Literal["patients", "patients and some seeds", "patients and seeds"]
"""The sources of variation that an interval contains; some seeds where a rung has one alone."""
PATIENTS_AND_SEEDS: Sources = "patients and seeds"
PATIENTS_AND_SOME: Sources = "patients and some seeds"
NEGLIGIBLE = 1e-30
"""Variance of the seeds that is rounding."""
ENDLESS = 1e9
"""Degrees of freedom from which Student's t is the normal distribution."""


@dataclass(frozen=True)
class SeedTerm:
    """The variance that the seeds of one rung add to an estimate.

    Attributes:
        variance: Of the mean over seeds, times the square of its weight in the contrast.
        degrees: Degrees of freedom: seeds - 1.
    """

    variance: float
    degrees: int


@dataclass(frozen=True)
class Contrast:
    """An estimate with its interval and the test of 0.

    Attributes:
        value: The estimate.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: Two-sided, of "the truth is 0"; below 0.05 just where the interval excludes 0.
        sources: What the interval contains.
        error: Standard error, the mean of both sides.
        degrees: Degrees of freedom of Student's t; `ENDLESS` for a normal distribution.
    """

    value: float
    low: float
    high: float
    p: float
    sources: Sources
    error: float
    degrees: float

    def p_at_most(self, bound: float) -> float:
        """One-sided p-value of "the truth is at most the bound", 2.5 % at the lower end."""
        return _one_sided_p(self.value - bound, self.value - self.low, self.degrees)

    def p_at_least(self, bound: float) -> float:
        """One-sided p-value of "the truth is at least the bound", 2.5 % at the upper end."""
        return _one_sided_p(bound - self.value, self.high - self.value, self.degrees)


def within_span(low: float, high: float, span: float) -> tuple[float, float]:
    """Ends of the interval of a difference, no further from 0 than its values can be.

    With two seeds Student's t has one degree of freedom, and reaches beyond any difference of two
    shares.

    Args:
        low: Lower end.
        high: Upper end.
        span: Highest value less the lowest; infinite where there is none.
    """
    return max(-span, low), min(span, high)


def seed_term(values: Floats, weight: float = 1.0) -> SeedTerm | None:
    """The seeds' term of a mean.

    Args:
        values: The estimate of each seed. [S]
        weight: Of the mean in the contrast.

    Returns:
        None for a single seed: what training adds is then unknown.
    """
    seeds = len(values)
    if seeds < 2:
        return None
    # the steps of `values.var(ddof=1)`, whose checks take longer than a few seeds
    apart = values - values.sum() / seeds
    return SeedTerm(weight**2 * float((apart * apart).sum() / (seeds - 1)) / seeds, seeds - 1)


def contrast(
    value: float, interval: tuple[float, float], terms: Sequence[SeedTerm | None]
) -> Contrast:
    """Add the seeds to an interval of patients.

    Squares of the distances from the value to each end add up with the seeds' variance (method of
    variance estimates recovery, Zou and Donner 2008), so an interval keeps its skewness. With two
    or more rungs' seeds the whole is widened from the normal to Student's t quantile at
    Satterthwaite's degrees of freedom (Welch 1947). With the seeds of one rung these degrees are
    estimated too high too often (89 % at two seeds), so there the quantile of S - 1 degrees widens
    the seeds' part alone. Level and coverage: docs/explanation/intervals.md.

    Args:
        value: The estimate.
        interval: Its 95 % interval over patients, which holds the value.
        terms: The seeds' term of every rung in it; None for a rung with one seed.

    Returns:
        Where a rung has one seed, its training is not in the interval, the seeds of others are.
    """
    known = [term for term in terms if term is not None and term.variance > NEGLIGIBLE]
    seeds = sum(term.variance for term in known)
    sources = _sources(terms)
    sides = (value - interval[0], interval[1] - value)
    p = _p(value, sides[0] if value > 0 else sides[1], seeds, known)
    low, high = (_width(side, seeds, known) for side in sides)
    degrees = _degrees((sum(sides) / 2 / NORMAL_QUANTILE) ** 2, seeds, known)
    return Contrast(
        value=value,
        low=value - low if seeds else interval[0],
        high=value + high if seeds else interval[1],
        p=p,
        sources=sources,
        error=(low + high) / 2 / _quantile(degrees),
        degrees=degrees,
    )


def _sources(terms: Sequence[SeedTerm | None]) -> Sources:
    missing = sum(term is None for term in terms)
    if missing == len(terms):
        return "patients"
    return PATIENTS_AND_SOME if missing else PATIENTS_AND_SEEDS


def _degrees(patients: float, seeds: float, terms: Sequence[SeedTerm]) -> float:
    """Satterthwaite's degrees of freedom; the patients' variance is taken as known."""
    if not seeds:
        return ENDLESS
    return (patients + seeds) ** 2 / sum(t.variance**2 / t.degrees for t in terms)


def _width(side: float, seeds: float, terms: Sequence[SeedTerm]) -> float:
    """Distance from the value to an end of the interval."""
    if not seeds:
        return side
    patients = (side / NORMAL_QUANTILE) ** 2
    if len(terms) == 1:
        return math.sqrt(side**2 + _quantile(terms[0].degrees) ** 2 * seeds)
    degrees = _degrees(patients, seeds, terms)
    return _quantile(degrees) * math.sqrt(patients + seeds)


@lru_cache(maxsize=1024)  # degrees of freedom are most often the number of seeds less 1
def _quantile(degrees: float) -> float:
    return float(stdtrit(degrees, (1 + LEVEL) / 2))


def _one_sided_p(distance: float, side: float, degrees: float) -> float:
    """P-value of a distance from a bound, by the width of the interval on that side."""
    if side <= 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(degrees, -distance / side * _quantile(degrees)))


def _p(value: float, side: float, seeds: float, terms: Sequence[SeedTerm]) -> float:
    """Two-sided p-value by the distribution that made the width on the side of 0."""
    width = _width(side, seeds, terms)
    if width <= 0:
        return 1.0 if value == 0 else 0.0
    degrees = _degrees((side / NORMAL_QUANTILE) ** 2, seeds, terms)
    return float(2 * stdtr(degrees, -abs(value) / width * _quantile(degrees)))


def seeded_replicates(values: Floats, rng: np.random.Generator) -> Floats:
    """A mean over seeds with its variation over patients and seeds, for functions of means.

    Every replicate of the mean over patients is moved by a draw of ``s / √S`` times Student's t
    with S - 1 degrees, s the standard deviation between seeds in the sample: the fiducial
    distribution of the mean over all seeds. Drawing the S seeds themselves again would vary too
    little, by (S - 1) / S, and have tails too light.

    Args:
        values: Of each seed, in the sample and in every replicate. [S, 1 + R]
        rng: Source of the draws.

    Returns:
        The plain mean first. For a single seed its replicates as they are. [1 + R]
    """
    means: Floats = values.mean(axis=0)
    term = seed_term(values[:, 0])
    if term is None:
        return means
    moved: Floats = rng.standard_t(term.degrees, size=len(means)) * np.sqrt(term.variance)
    moved[0] = 0.0
    return means + moved
