"""The rule of recommendation: what is recommended, what is not, and what is said of both."""

from dataclasses import replace
from itertools import combinations

import pytest

from medtransfer.evaluation.comparison.choice.condition import ShiftedAuroc
from medtransfer.evaluation.comparison.choice.rule import (
    Candidate,
    Evidence,
    Recommendation,
    recommended,
)
from medtransfer.evaluation.comparison.choice.rung_pairs import RungPair

SMALL, MIDDLE, LARGE = (Candidate(n, p, 1e4) for n, p in (("s", 10), ("m", 20), ("l", 30)))
BASE = RungPair(
    rung="",
    reference="",
    use="choice",
    label_fraction=1.0,
    cohort="north",
    target="x",
    contains="patients and seeds",
    detectable=0.05,
    seed_share=0.8,
    num_patients=400,
)


def pair(one: str, other: str, difference: float, half: float = 0.01) -> RungPair:
    return replace(
        BASE,
        rung=one,
        reference=other,
        difference=difference,
        low=difference - half,
        high=difference + half,
    )


def of(
    *pairs: RungPair,
    margin: float | None = None,
    candidates: tuple[Candidate, ...] = (SMALL, MIDDLE, LARGE),
    shifted: dict[str, list[ShiftedAuroc]] | None = None,
    left_out: tuple[tuple[str, str], ...] = (),
) -> Recommendation:
    names = tuple(one.rung for one in candidates)
    evidence = Evidence(1.0, 3, names, left_out=left_out, margin=margin)
    return recommended(candidates, pairs, evidence, shifted or {})


CLEAR = (pair("l", "m", 0.03), pair("l", "s", 0.05), pair("m", "s", 0.02))
EQUAL = (pair("l", "m", 0.003), pair("l", "s", 0.002), pair("m", "s", -0.001))


def test_the_rung_that_is_better_than_every_other_is_recommended() -> None:
    found = of(*CLEAR)
    assert found.rung == "l"
    assert found.reason == (
        "l is recommended: on north, its AUROC is higher than that of each of the 2 others; the "
        "closest is m, by 0.030 [0.020, 0.040]. The intervals hold for all 3 pairs together."
    )
    assert "may be lower on new ones" in found.condition
    assert found.condition.endswith("Other hospitals were not tested.")
    assert found.rests_on.leaders == ("l",)


def test_equal_rungs_have_no_recommendation_and_a_remedy() -> None:
    found = of(*EQUAL)
    assert found.rung is None
    assert found.reason.startswith(
        "No rung can be recommended over another: on north, "
        "there is no significant difference between l, m, s (the largest: l "
        "over m by 0.003 [−0.007, 0.013])."
    )
    assert "80% power to show a difference of 0.050; most of its uncertainty (80%) is from the" in (
        found.reason
    )
    assert "`evaluation.margin`" in found.reason
    assert found.condition == ""


def test_no_amount_is_named_that_exceeds_any_difference_there_can_be() -> None:
    found = of(*(replace(one, detectable=None) for one in EQUAL))
    assert (
        "less than 80% power to show a difference of any size; most of its uncertainty (80%)"
        in (found.reason)
    )


def test_the_smallest_of_rungs_that_are_equal_within_the_margin_is_recommended() -> None:
    found = of(*EQUAL, margin=0.02)
    assert found.rung == "s"
    assert "at most 0.012 below theirs, less than the margin of 0.02" in found.reason


def test_a_margin_that_the_interval_exceeds_decides_nothing() -> None:
    found = of(*EQUAL, margin=0.01)
    assert found.rung is None
    assert "The smallest, s, is not shown to be less than the margin of 0.01 below" in found.reason


def test_the_margin_does_not_recommend_a_rung_that_is_shown_worse() -> None:
    found = of(*CLEAR, margin=0.2)
    assert found.rung == "l"


@pytest.mark.parametrize("size", [10, None])
def test_networks_of_one_size_or_of_unknown_size_are_not_chosen_by_size(size: int | None) -> None:
    twins = tuple(replace(one, parameters=size) for one in (SMALL, MIDDLE, LARGE))
    assert of(*EQUAL, margin=0.02, candidates=twins).rung is None


def test_one_seed_recommends_no_network() -> None:
    once = tuple(replace(p, contains="patients") for p in CLEAR)
    found = of(*once)
    assert found.rung is None
    assert "each rung was trained once" in found.reason


def test_a_pair_without_an_interval_names_its_reason() -> None:
    missing = replace(CLEAR[0], low=None, high=None, reason="no interval: 3 patients with x")
    found = of(missing, *CLEAR[1:])
    assert found.rung is None
    assert "l and m cannot be compared on the internal test set (no interval: 3 pat" in found.reason


def test_a_lead_of_longer_training_does_not_count() -> None:
    longer = replace(LARGE, budget=5e4)
    found = of(*CLEAR, candidates=(SMALL, MIDDLE, longer))
    assert found.rung is None
    assert "l is ahead of m, but saw 50,000 training cases to its 10,000: give m as many." in (
        found.reason
    )


def test_a_rung_that_wins_with_less_training_is_recommended() -> None:
    assert of(*CLEAR, candidates=(SMALL, replace(MIDDLE, budget=9e4), LARGE)).rung == "l"


def test_a_linear_probe_has_no_budget_that_counts() -> None:
    probe = replace(LARGE, budget=None)
    assert of(*CLEAR, candidates=(SMALL, MIDDLE, probe)).rung == "l"


def test_unfinished_rungs_are_named() -> None:
    found = of(
        CLEAR[0], candidates=(MIDDLE, LARGE), left_out=(("s", "lacks 1 of 3 runs (failed)"),)
    )
    assert found.rung == "l"
    assert "Not among the candidates: s lacks 1 of 3 runs (failed)." in found.reason
    alone = of(candidates=(LARGE,), left_out=(("s", "lacks 1 of 3 runs (failed)"),))
    assert alone.rung is None
    assert alone.reason == (
        "No rung can be recommended over another: 1 rung can be "
        "chosen from (s lacks 1 of 3 runs (failed)). It needs two with "
        "all of their runs done."
    )


def test_a_hospital_where_another_rung_is_better_is_a_condition() -> None:
    there = [
        replace(p, use="shift", cohort="south")
        for p in (pair("l", "m", -0.04), pair("l", "s", 0.01), pair("m", "s", 0.05))
    ]
    aurocs = {"l": [ShiftedAuroc("south", "its AUROC is 0.70 [0.65, 0.75]")]}
    found = of(*CLEAR, *there, shifted=aurocs)
    assert found.rung == "l"
    assert found.condition.endswith(
        "It does not hold at south: its AUROC is 0.70 [0.65, 0.75]; m is better there by 0.040 "
        "[0.030, 0.050]."
    )


def test_a_hospital_where_none_is_better_is_said_too() -> None:
    there = [replace(p, use="shift", cohort="south") for p in EQUAL]
    assert of(*CLEAR, *there).condition.endswith("At south: no rung is shown to be better there.")
    lost = [replace(p, low=None, high=None) for p in there]
    assert of(*CLEAR, *lost).condition.endswith(
        "At south: not every rung can be compared with it there."
    )


def test_the_recommendation_is_plain_json() -> None:
    plain = of(*CLEAR).plain()
    assert plain["rung"] == "l"
    assert [p["reference"] for p in plain["rests_on"]["pairs"]] == ["m", "s", "s"]


def test_every_candidate_needs_a_pair_with_every_other() -> None:
    for lacking in combinations(CLEAR, 2):
        assert of(*lacking).rung is None
