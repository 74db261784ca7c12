"""Pairs of rungs: any direction, simultaneous intervals, and equal rungs seldom told apart."""

from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.stats import t
from tests.evaluation.comparison.made_rungs import key_of, made, mean_of, seeds_of

from medtransfer.evaluation.comparison.choice.rule import Candidate, Evidence, recommended
from medtransfer.evaluation.comparison.choice.rung_pairs import (
    OTHER_CASES,
    OTHER_TRAINING,
    RungPair,
    pairs_frame,
    pairs_of,
    rung_pairs,
)
from medtransfer.evaluation.comparison.seed_means import Mean
from medtransfer.metrics.kernels.sums import Floats

REPLICATES = 400


def simulated(
    rng: np.random.Generator, auroc: float, *, seeds: int, patients: float, of_seeds: float
) -> Floats:
    """AUROC of one rung's seeds: an error of the patients that all share, and one of each seed."""
    error = patients * rng.normal()
    values = auroc + error + of_seeds * rng.normal(size=(seeds, 1))
    return values + np.concatenate([[0.0], patients * rng.normal(size=REPLICATES)])


def ladder(rng: np.random.Generator, truths: list[float], ratio: float, seeds: int) -> list[Mean]:
    """Rungs of given AUROC; `ratio` is the patients' error over that of a mean over seeds."""
    of_seeds = 0.01
    patients = ratio * of_seeds / np.sqrt(seeds)
    return [
        made(
            f"r{i}",
            {"a": simulated(rng, truth, seeds=seeds, patients=patients, of_seeds=of_seeds)},
        )
        for i, truth in enumerate(truths)
    ]


def choice(means: list[Mean], margin: float | None = None) -> str | None:
    names = [mean.key.rung for mean in means]
    evidence = Evidence(1.0, len(means[0].seeds), tuple(names), margin=margin)
    return recommended([Candidate(name) for name in names], rung_pairs(means), evidence, {}).rung


def level(number: int, rungs: int, seeds: int, ratio: float) -> float:
    """Share of simulated studies of equal rungs in which one is recommended."""
    rng = np.random.default_rng([rungs, seeds, int(10 * ratio)])
    chosen = [choice(ladder(rng, [0.8] * rungs, ratio, seeds)) for _ in range(number)]
    return sum(rung is not None for rung in chosen) / number


def told_apart(number: int, rungs: int, seeds: int, ratio: float) -> float:
    """Share of simulated studies of equal rungs in which any is called worse than another."""
    rng = np.random.default_rng([rungs, seeds, int(10 * ratio), 1])
    shown = 0
    for _ in range(number):
        pairs = rung_pairs(ladder(rng, [0.8] * rungs, ratio, seeds))
        shown += any((p.low or 0) > 0 or (p.high or 0) < 0 for p in pairs)
    return shown / number


def test_equal_rungs_are_seldom_recommended_over_another() -> None:
    assert level(200, 3, 3, 1.0) <= 0.08
    assert told_apart(200, 3, 3, 1.0) <= 0.09


def test_two_rungs_that_never_differ_keep_no_third_from_being_recommended() -> None:
    rng = np.random.default_rng(4)
    weak, strong = (
        simulated(rng, auroc, seeds=3, patients=0.003, of_seeds=0.004) for auroc in (0.7, 0.9)
    )
    means = [made("weak", {"a": weak}), made("copy", {"a": weak}), made("strong", {"a": strong})]
    (pair,) = [p for p in rung_pairs(means) if {p.rung, p.reference} == {"weak", "copy"}]
    assert pair.difference == 0
    assert pair.low is not None
    assert pair.low < 0  # by the seeds
    assert choice(means) == "strong"


@pytest.mark.slow
@pytest.mark.parametrize(("rungs", "seeds"), [(2, 2), (2, 3), (2, 5), (4, 2), (8, 2), (8, 3)])
def test_equal_rungs_keep_the_level(rungs: int, seeds: int) -> None:
    """The table of docs/explanation/recommendation.md, printed with -s."""
    for ratio in (0.0, 0.5, 1.0, 2.0):
        any_shown = told_apart(1000, rungs, seeds, ratio)
        print(f"{rungs} rungs, {seeds} seeds, ratio {ratio:g}: {any_shown:.1%}")
        assert any_shown <= 0.07


def test_a_rung_that_is_better_by_far_is_recommended() -> None:
    rng = np.random.default_rng(3)
    truths = [0.80, 0.88, 0.79]
    found = [choice(ladder(rng, truths, 1.0, 3)) for _ in range(50)]
    assert found.count("r1") >= 45


def test_networks_trained_at_different_hospitals_are_not_chosen_from() -> None:
    rng = np.random.default_rng(5)
    cohorts = ("a", "b")
    near, far = (
        made(name, {c: simulated(rng, 0.8, seeds=3, patients=0.01, of_seeds=0.01) for c in cohorts})
        for name in ("near", "far")
    )
    far = replace(far, internal_name="b")  # each is at home where the other is away
    for means in ([near, far], [far, near]):
        pairs = rung_pairs(means)
        (decided,) = [pair for pair in pairs if pair.use == "choice"]
        assert decided.low is None
        assert decided.reason == OTHER_TRAINING
        assert {pair.cohort for pair in pairs if pair.use == "shift"} == {"a", "b"}
        assert choice(means) is None


def test_the_order_of_rungs_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    means = ladder(rng, [0.80, 0.86, 0.79], 1.0, 3)
    names = [mean.key.rung for mean in means]
    evidence = Evidence(1.0, 3, tuple(names), margin=0.02)
    candidates = [Candidate(name, 10 + i) for i, name in enumerate(names)]
    texts = {
        recommended(
            [candidates[i] for i in order], rung_pairs([means[i] for i in order]), evidence, {}
        ).sentence
        for order in permutations(range(3))
    }
    assert len(texts) == 1


def test_intervals_hold_for_all_pairs_together() -> None:
    rng = np.random.default_rng(7)
    means = [made(f"r{i}", {"a": 0.8 + 0.01 * rng.normal(size=(1, 401))}) for i in range(4)]
    pairs = rung_pairs(means)
    assert len(pairs) == 6
    alone = rung_pairs(means[:2])[0]
    together = next(p for p in pairs if (p.rung, p.reference) == ("r0", "r1"))
    assert together.difference == alone.difference
    assert alone.low is not None
    assert together.low is not None
    assert alone.difference is not None
    widths = [alone.difference - low for low in (alone.low, together.low)]
    factor = t.ppf(1 - 0.025 / 6, 39) / t.ppf(0.975, 39)  # 40 patients
    assert widths[1] / widths[0] == pytest.approx(factor)


def test_two_seeds_of_one_rung_are_most_of_the_uncertainty() -> None:
    """Two seeds leave one degree of freedom: a third helps more than many patients."""
    patients = 0.05 * np.random.default_rng(3).normal(size=400)
    fixed = np.concatenate([[0.77], 0.77 + patients])[None].repeat(2, axis=0)
    tuned = np.array([[0.64], [0.68]]) + np.concatenate([[0.0], -patients])
    (pair,) = rung_pairs([made("fixed", {"a": fixed}), made("tuned", {"a": tuned})])
    assert pair.seed_share is not None
    assert pair.seed_share > 0.5
    (alone,) = rung_pairs([made("fixed", {"a": fixed}), made("other", {"a": fixed - 0.1})])
    assert alone.seed_share in (None, 0.0)


def test_a_pair_reads_the_same_from_both_sides() -> None:
    pair = RungPair("a", "b", "choice", 1.0, "north", "x", 0.02, -0.01, 0.05)
    back = pair.reversed()
    assert (back.rung, back.difference, back.low, back.high) == ("b", -0.02, -0.05, 0.01)
    assert back.reversed() == pair
    assert pairs_of(pairs_frame([pair])) == [pair]
    assert pairs_of(pairs_frame([])) == []


def test_shifted_cohorts_have_pairs_of_their_own() -> None:
    means = [mean_of(rung, seeds_of(rung, noise)) for rung, noise in (("weak", 2.0), ("good", 0.1))]
    pairs = rung_pairs(means)
    assert [(p.use, p.cohort) for p in pairs] == [("choice", "a"), ("shift", "b")]
    assert pairs[0].contains == "patients and seeds"
    values = [mean.by_seed[key_of("a")][:, 0].mean() for mean in means]
    assert pairs[0].difference == pytest.approx(values[0] - values[1])


def test_held_out_cohorts_choose_by_their_mean() -> None:
    rng = np.random.default_rng(9)

    def of(rung: str, shift: float) -> list[Mean]:
        return [
            made(
                rung,
                {
                    "rest": rng.normal(0.8, 0.01, (3, 401)),
                    cohort: rng.normal(0.7, 0.01, (3, 401)) + shift,
                },
                held_out=cohort,
            )
            for cohort in ("a", "b")
        ]

    pairs = rung_pairs([*of("x", 0.1), *of("y", 0.0)])
    whole = next(p for p in pairs if p.use == "choice")
    parts = [p for p in pairs if p.use == "shift"]
    assert whole.cohort == "all"
    assert {p.cohort for p in parts} == {"a", "b"}
    assert whole.difference == pytest.approx(sum(p.difference or np.nan for p in parts) / 2)


def test_rungs_tested_on_different_cases_are_not_compared() -> None:
    rng = np.random.default_rng(1)
    values = {"a": 0.8 + 0.01 * rng.normal(size=(3, 101))}
    one, other = made("x", values), made("y", {"a": values["a"][:, :51]})
    (pair,) = rung_pairs([one, other])
    assert (pair.difference, pair.reason) == (None, OTHER_CASES)


def test_runs_trained_again_or_on_fewer_labels_are_no_candidates() -> None:
    rng = np.random.default_rng(2)
    values = {"a": 0.8 + 0.01 * rng.normal(size=(3, 101))}
    means = [
        made(rung, values, fraction, None, again)
        for rung in ("x", "y")
        for fraction, again in ((1.0, None), (0.1, None), (1.0, 0.0))
    ]
    assert [p.label_fraction for p in rung_pairs(means)] == [1.0]


def test_every_two_rungs_are_paired_once() -> None:
    rng = np.random.default_rng(4)
    means = ladder(rng, [0.8] * 5, 1.0, 2)
    names = {frozenset((p.rung, p.reference)) for p in rung_pairs(means)}
    assert names == {frozenset(two) for two in combinations(["r0", "r1", "r2", "r3", "r4"], 2)}
