"""How often sets hold the true class, on cases drawn anew: exactly as often as theory says.

With scores that are never tied, n tuning cases and the k-th smallest score as the threshold, the
share of new cases that are covered is Beta(k, n + 1 - k) over tuning sets (Vovk 2012), so the
number of m new cases is beta-binomial, and its mean k / (n + 1).
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import betabinom, binom
from tests.posthoc.conformal_cases import (
    SCORINGS,
    Drawn,
    fitted,
    is_covered,
    sets_of,
    simulated,
    tune,
)

from medtransfer.posthoc.conformal import Condition, SetScore, fit_conformal
from medtransfer.statistics.bootstrap import Floats

DRAWS, TUNED, TESTED = 200, 79, 100
ALPHA = 0.15
RANK = math.ceil((TUNED + 1) * (1 - ALPHA))
COVERED = betabinom(TESTED, RANK, TUNED + 1 - RANK)
ERROR = COVERED.std() / np.sqrt(DRAWS)
"""Standard error of the mean over the draws."""
UNTIED = ("lac", "aps with draws", "raps with draws")
"""Without draws all least probable classes have the mass 1: ties, which only raise coverage."""


def pairs(draws: int = DRAWS, tuned: int = TUNED) -> Iterator[tuple[Drawn, Drawn]]:
    for seed in range(draws):
        yield simulated(seed, tuned), simulated(10_000 + seed, TESTED)


def coverage(scoring: SetScore, condition: Condition = "all") -> Floats:
    """Covered cases of each draw. [draws]"""
    return np.array(
        [
            is_covered(sets_of(fitted(a, ALPHA, condition, scoring), b), b.classes).sum()
            for a, b in pairs()
        ]
    )


@pytest.mark.parametrize("name", UNTIED)
def test_marginal_coverage_is_what_theory_says(name: str) -> None:
    covered = coverage(SCORINGS[name])
    assert abs(covered.mean() - COVERED.mean()) < 3.5 * ERROR
    assert COVERED.mean() == pytest.approx(TESTED * RANK / (TUNED + 1))
    # single draws spread as they should: neither all alike nor out of bounds
    low, high = COVERED.ppf([0.05, 0.95])
    inside = int(((covered >= low) & (covered <= high)).sum())
    share = COVERED.cdf(high) - COVERED.cdf(low - 1)
    assert binom.ppf(0.0005, DRAWS, share) <= inside <= binom.ppf(0.9995, DRAWS, share)


@pytest.mark.parametrize("name", ["aps", "raps"])
def test_without_draws_coverage_is_at_least_what_was_promised(name: str) -> None:
    assert coverage(SCORINGS[name]).mean() >= TESTED * (1 - ALPHA) - 3.5 * ERROR


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aps", "raps"])
def test_draws_make_sets_smaller(name: str) -> None:
    sizes = {
        kind: np.mean(
            [sets_of(fitted(a, ALPHA, "all", SCORINGS[kind]), b).sum() for a, b in pairs()]
        )
        for kind in (name, f"{name} with draws")
    }
    assert sizes[f"{name} with draws"] < sizes[name]


def test_a_threshold_per_class_covers_each_class_where_one_for_all_does_not() -> None:
    hits: dict[Condition, Floats] = {k: np.zeros((DRAWS, 4)) for k in ("all", "class")}
    cases = np.zeros((DRAWS, 4))
    for draw, (tuned, tested) in enumerate(pairs(tuned=200)):
        cases[draw] = np.bincount(tested.classes, minlength=4)
        for condition, found in hits.items():
            sets = sets_of(fitted(tuned, ALPHA, condition), tested)
            covered = is_covered(sets, tested.classes)
            found[draw] = np.bincount(tested.classes, covered, minlength=4)
    shares = {condition: found.sum(axis=0) / cases.sum(axis=0) for condition, found in hits.items()}
    # the classes have 27 to 75 tuning cases: they are covered 85 to 88.6 % of the time
    assert (shares["class"] > 1 - ALPHA - 0.01).all()
    assert (shares["class"] < 1 - ALPHA + 0.036 + 0.01).all()
    assert shares["all"].min() < 1 - ALPHA - 0.02


def test_a_threshold_per_group_covers_a_group_that_the_network_knows_less_well() -> None:
    rng = np.random.default_rng(0)
    covered: dict[Condition, list[Floats]] = {"all": [], "group": []}
    for _ in range(DRAWS):
        truth = rng.integers(0, 2, 300)
        groups = np.where(np.arange(300) % 3 == 0, "F", "M")
        noise = np.where(groups == "F", 2.5, 0.8)
        p = 1 / (1 + np.exp(-2 * (2 * truth - 1 + noise * rng.normal(size=300))))
        half = slice(0, 150), slice(150, 300)
        for condition, found in covered.items():
            predictor = fit_conformal(
                truth[half[0]],
                p[half[0]],
                splits=tune(150),
                alpha=ALPHA,
                condition=condition,
                groups=groups[half[0]],
            )
            sets = predictor.sets(p[half[1]], groups=groups[half[1]])
            hit = is_covered(sets, truth[half[1]])
            found.append(hit[groups[half[1]] == "F"])
    own, shared = (np.mean(covered[condition]) for condition in ("group", "all"))
    # 50 tuning cases of the group: the 44th of 51 places, 86.3 %
    spread = betabinom(50, 44, 7).std() / 50 / np.sqrt(DRAWS)
    assert own == pytest.approx(44 / 51, abs=3.5 * spread)
    assert shared < 1 - ALPHA - 0.05
