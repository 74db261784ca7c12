"""Intervals by resampling patients.

One set of replicates per cohort, drawn from the seed and the cohort's patients alone: every rung,
metric and group is measured on the same resampled patients, so their differences are paired.
Replicates are counts (how often each patient was drawn), made in blocks: a block is a function of
the seed, the cohort and its number, and is made again rather than kept where it is large.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates
from medtransfer.seeds import generator

Kind = Literal["patients", "stratified", "bayesian", "poisson"]
"""Resampling scheme of patients."""
LEVEL = 0.95
MIN_DEFINED = 0.5
"""Least share of replicates in which a metric must be defined to get an interval."""
WIDTH = 128
"""Replicates of a block."""
KEPT = 2**28
"""Bytes of counts up to which blocks are kept for the next metric."""
TOGETHER = 1_000_000
"""Patients that are drawn in one call, over several replicates of a small cohort."""
REMEMBERED = 2**21
"""Product of patients and replicates up to which the first counts of a cohort are remembered."""
GROUPS = 200
"""Groups of patients left out in turn for the acceleration of a BCa interval."""


@dataclass(frozen=True)
class Replicates:
    """The resampled patients of a cohort.

    Attributes:
        patient: Number of each case's patient. [n]
        number: Replicates, R.
        seed: Of the evaluation.
        cohort: Its name; cohorts are resampled independently.
        kind: ``patients`` (drawn with replacement), ``stratified`` (within strata), ``bayesian``
            (Dirichlet weights, Rubin 1981) or ``poisson`` (each patient Poisson(1) times).
        stratum: Number of each patient's stratum, for ``stratified``. [P]
    """

    patient: Int32Array
    number: int
    seed: int
    cohort: str
    kind: Kind = "patients"
    stratum: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """The sample itself and its replicates."""
        return 1 + self.number

    @property
    def num_patients(self) -> int:
        """Patients of the cohort, P."""
        return int(self.patient.max()) + 1 if len(self.patient) else 0

    def blocks(self) -> Iterator[Counts]:
        """The sample, all ones, then the replicates. Each [P, W]"""
        yield np.ones((self.num_patients, 1), dtype=np.uint16)
        size = 8 if self.kind == "bayesian" else 2
        kept = self.num_patients * self.number * size <= KEPT
        yield from self._drawn if kept else self._draw()

    def first(self, number: int) -> Counts:
        """The sample, all ones, then up to so many replicates. [P, 1 + number]

        Runs of a study are tested on the same patients: small cohorts are drawn once for all.
        """
        few = replace(self, number=min(number, self.number))
        if self.stratum is None and self.num_patients * few.number <= REMEMBERED:
            return _first_counts(self.num_patients, few.number, self.seed, self.cohort, self.kind)
        return _all_counts(few)

    def left_out(self) -> Iterator[Counts]:
        """The sample without one of up to `GROUPS` groups of patients, in turn. [P, J]"""
        groups = min(GROUPS, self.num_patients)
        order = generator(self.seed, "jackknife", self.cohort).permutation(self.num_patients)
        yield (order[:, None] % groups != np.arange(groups)).astype(np.uint16)

    def values(self, metric: Weighted, cases: NDArray[np.bool_]) -> Floats:
        """A metric of some cases, in the sample and in every replicate.

        Args:
            metric: Bound to just those cases.
            cases: Which of the cohort's cases they are. [n]

        Returns:
            The value, then its replicates. [1 + R]
        """
        return evaluate_replicates(
            [SubgroupMetrics(self.patient[cases], (metric,))], self.blocks()
        )[0][0]

    @cached_property
    def _drawn(self) -> list[Counts]:
        return list(self._draw())

    def _draw(self) -> Iterator[Counts]:
        for start in range(0, self.number, WIDTH):
            rng = generator(self.seed, "bootstrap", self.cohort, start // WIDTH)
            width = min(WIDTH, self.number - start)
            # a whole block is drawn whatever part of it is used: more replicates add, never change
            counts: Counts = self._block(rng)
            yield cast("Counts", np.ascontiguousarray(counts[:, :width]))

    def _block(self, rng: np.random.Generator) -> Counts:
        patients = self.num_patients
        match self.kind:
            case "bayesian":
                weights = rng.standard_exponential((WIDTH, patients)).T
                return weights * (patients / weights.sum(axis=0))
            case "poisson":
                return rng.poisson(1.0, (WIDTH, patients)).T.astype(np.uint16)
            case "patients":
                return _drawn_counts(rng, [np.arange(patients)])
            case "stratified":
                stratum = np.zeros(patients) if self.stratum is None else self.stratum
                return _drawn_counts(
                    rng, [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
                )


def _all_counts(replicates: Replicates) -> Counts:
    """All blocks as one. [P, 1 + R]"""
    counts = np.concatenate(list(replicates.blocks()), axis=1)
    return cast("Counts", np.ascontiguousarray(counts))


@lru_cache(maxsize=16)
def _first_counts(patients: int, number: int, seed: int, cohort: str, kind: Kind) -> Counts:
    """Counts of a cohort without strata, which depend on the number of its patients alone."""
    patient = np.arange(patients, dtype=np.int32)
    return _all_counts(Replicates(patient, number, seed, cohort, kind))


def draw_replicates(
    patient_ids: Sequence[str] | NDArray[np.str_],
    replicates: int,
    seed: int,
    cohort: str,
    kind: Kind = "patients",
    strata: NDArray[np.int64] | None = None,
) -> Replicates:
    """Resample the patients of a cohort.

    Args:
        patient_ids: Patient of each case. [n]
        replicates: How many, R.
        seed: Of the evaluation.
        cohort: Its name; cohorts are resampled independently.
        kind: How; see `Replicates`.
        strata: Stratum of each case, for ``stratified``; a patient's is that of its largest. [n]
    """
    ids = np.asarray(patient_ids, dtype=np.str_)
    patient = np.unique(ids, return_inverse=True)[1].astype(np.int32).ravel()
    stratum = None
    if strata is not None:
        stratum = np.full(int(patient.max()) + 1, np.iinfo(np.int64).min)
        np.maximum.at(stratum, patient, strata)
    return Replicates(patient, replicates, seed, cohort, kind=kind, stratum=stratum)


def _drawn_counts(rng: np.random.Generator, strata: Sequence[NDArray[np.int64]]) -> Counts:
    """Number of draws of each patient when every stratum keeps its size. [P, WIDTH]"""
    counts = np.zeros((sum(len(members) for members in strata), WIDTH), dtype=np.uint16)
    for members in strata:
        size = len(members)
        step = max(1, TOGETHER // size)
        for start in range(0, WIDTH, step):
            rows = min(step, WIDTH - start)
            drawn = rng.integers(0, size, (rows, size)) + np.arange(rows)[:, None] * size
            draws = np.bincount(drawn.ravel(), minlength=rows * size)
            counts[members, start : start + rows] = draws.reshape(rows, size).T
    return counts


def percentile_interval(values: Floats) -> tuple[float, float] | None:
    """The percentile interval of replicates (Efron and Tibshirani 1993, section 13.3).

    Args:
        values: The value, then its replicates, NaN where undefined. [1 + R]

    Returns:
        Lower and upper end, or None where the metric is undefined in more than half of the
        replicates.
    """
    quantiles = interval_quantiles(values[1:])
    return quantiles if np.isfinite(values[0]) else None


def percentile_intervals(values: Floats) -> list[tuple[float, float] | None]:
    """`percentile_interval` of several numbers, in one pass. [N, 1 + R] to N"""
    ends = pointwise_intervals(values[:, 1:].T)
    return [
        interval if is_defined else None
        for interval, is_defined in zip(ends, np.isfinite(values[:, 0]), strict=True)
    ]


def bca_interval(values: Floats, left_out: Floats) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval (Efron 1987; Efron and Tibshirani 1993, 14.3).

    Args:
        values: The value, then its replicates, NaN where undefined. [1 + R]
        left_out: The value without each group of patients in turn. [J]

    Returns:
        Lower and upper end; None as for `percentile_interval`, or where all replicates lie on one
        side of the value.
    """
    plain = percentile_interval(values)
    kept = left_out[np.isfinite(left_out)]
    defined = values[1:][np.isfinite(values[1:])]
    if plain is None or len(kept) < 2:
        return plain
    below = float(((defined < values[0]) + 0.5 * (defined == values[0])).mean())
    if not 0 < below < 1:
        return None
    pull = kept.mean() - kept
    spread = float((pull**2).sum())
    speed = float((pull**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    bias, tail = float(ndtri(below)), float(ndtri((1 + LEVEL) / 2))
    # beyond 1 / speed the correction has no meaning: the end is the last replicate
    shares = [
        float(ndtr(bias + end / max(1 - speed * end, 1e-9))) for end in (bias - tail, bias + tail)
    ]
    low, high = np.quantile(defined, shares).tolist()
    return low, high


def squared_interval(values: Floats, high: float) -> tuple[float, float] | None:
    """The percentile interval of a calibration error with the push of chance taken out.

    Chance alone pushes a calibration error up, and its replicates up again, so that a percentile
    interval hardly ever holds a small truth. Squares add up: the square of the sample's error lies
    about as far above the truth's as the mean square of the replicates lies above the sample's. So
    the squares of the replicates are moved down by twice that. The lower end is 0 where chance
    alone may be all: where the replicates reach ``√2`` times the value, so that the mirrored
    interval ``2 v² - q²`` (Davison and Hinkley 1997, 5.2) holds 0. Coverage, beside that of the
    percentile and of the mirrored interval: docs/explanation/intervals.md.

    Args:
        values: The value, then its replicates; not below 0. [1 + R]
        high: Largest possible value.

    Returns:
        Lower and upper end, holding the value itself; None as for `percentile_interval`.
    """
    squares = values**2
    quantiles = interval_quantiles(squares[1:])
    value, square = float(values[0]), float(squares[0])
    if quantiles is None or not np.isfinite(value):
        return None
    push = max(0.0, float(np.nanmean(squares[1:])) - square)
    low, up = (float(np.sqrt(max(0.0, q - 2 * push))) for q in quantiles)
    low = 0.0 if quantiles[1] >= 2 * square else low
    return min(low, value), min(high, max(up, value))


def additive_interval(values: Floats, high: float) -> tuple[float, float] | None:
    """As `squared_interval`, for what is a sum of squares already.

    Args:
        values: The value, then its replicates; not below 0. [1 + R]
        high: Largest possible value.
    """
    roots = squared_interval(np.sqrt(values), float(np.sqrt(high)))
    return None if roots is None else (roots[0] ** 2, roots[1] ** 2)


def two_sided_p(differences: Floats) -> float | None:
    """Bootstrap p-value of "no difference": twice the smaller tail beyond zero.

    Args:
        differences: The difference, then its replicates. [1 + R]
    """
    return two_sided_ps(differences[None])[0]


def two_sided_ps(differences: Floats) -> list[float | None]:
    """`two_sided_p` of several differences. [N, 1 + R] to N"""
    replicates, is_defined = differences[:, 1:], np.isfinite(differences)
    drawn = is_defined[:, 1:].sum(axis=1)
    below = (1 + ((replicates <= 0) & is_defined[:, 1:]).sum(axis=1)) / (1 + drawn)
    above = (1 + ((replicates >= 0) & is_defined[:, 1:]).sum(axis=1)) / (1 + drawn)
    return [
        p if has_value and number else None
        for p, has_value, number in zip(
            np.minimum(1.0, 2 * np.minimum(below, above)).tolist(),
            is_defined[:, 0],
            drawn,
            strict=True,
        )
    ]


def interval_quantiles(replicates: Floats) -> tuple[float, float] | None:
    """The 2.5 % and 97.5 % quantiles, None where too few replicates are defined. [R]"""
    is_defined = np.isfinite(replicates)
    defined = replicates if is_defined.all() else replicates[is_defined]
    if len(defined) < MIN_DEFINED * len(replicates) or not len(defined):
        return None
    tail = (1 - LEVEL) / 2
    low, high = two_quantiles(defined, tail, 1 - tail)
    return float(low), float(high)


def replicates_suffice(values: Floats) -> bool:
    """True where `percentile_interval` gives one, which takes longer. [1 + R]"""
    defined = int(np.count_nonzero(np.isfinite(values[1:])))
    return bool(np.isfinite(values[0])) and defined >= max(1, MIN_DEFINED * (len(values) - 1))


def pointwise_intervals(replicates: Floats) -> list[tuple[float, float] | None]:
    """`interval_quantiles` at each of several places, whole ones in one pass. [R, G] to G"""
    whole = np.logical_and.reduce(np.isfinite(replicates), axis=0)
    if not len(replicates) or not whole.any():
        return [interval_quantiles(of_place) for of_place in replicates.T]
    tail = (1 - LEVEL) / 2
    low, high = two_quantiles(replicates[:, whole].T, tail, 1 - tail)
    number = np.cumsum(whole) - 1
    return [
        (float(low[number[place]]), float(high[number[place]]))
        if whole[place]
        else interval_quantiles(replicates[:, place])
        for place in range(len(whole))
    ]


def two_quantiles(values: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """``np.quantile(values, [low, high], axis=-1)`` to the last bit, in a tenth of its time.

    A study of 2,000 runs asks for millions of them, of a hundred or a thousand numbers each.

    Args:
        values: Finite. [..., n]
        low: Share below the first quantile.
        high: Share below the second.

    Returns:
        Each [...]
    """
    last = values.shape[-1] - 1
    places = last * low, last * high
    before = [min(int(place), last) for place in places]
    ordered = np.partition(values, sorted({*before, *(min(k + 1, last) for k in before)}))
    return _between(ordered, places[0], before[0]), _between(ordered, places[1], before[1])


def quantile(values: Floats, share: float) -> Floats:
    """``np.quantile(values, share, axis=-1)`` to the last bit, NaN where any is NaN. [..., n]"""
    is_undefined = np.isnan(values).any(axis=-1)
    return np.where(is_undefined, np.nan, two_quantiles(values, share, share)[0])


def _between(ordered: Floats, place: float, before: int) -> Floats:
    """Value at a place between two of the ordered values. [..., n] to [...]"""
    start, weight = ordered[..., before], place - before
    end = ordered[..., min(before + 1, ordered.shape[-1] - 1)]
    step = end - start
    return end - step * (1 - weight) if weight >= 0.5 else start + step * weight


def ends_or_never(replicates: Floats) -> tuple[float, float] | tuple[None, None]:
    """The percentile interval of shares that may be negative infinity, for "never". [R]"""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined) or len(defined) < MIN_DEFINED * len(replicates):
        return None, None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)
