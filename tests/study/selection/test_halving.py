"""Successive halving over given tuning numbers and seconds."""

from hypothesis import given
from hypothesis import strategies as st

from medtransfer.study.selection.halving import (
    SEED_COUNTS,
    SLACK,
    best_of,
    common_seeds,
    finalists,
    half,
    plan_race,
    race_seconds,
    within_time,
)

NAMES = st.sampled_from([f"imagenet/net{n}" for n in range(9)])
SCORES = st.dictionaries(NAMES, st.one_of(st.none(), st.floats(0, 1)), max_size=9)
SECONDS = st.dictionaries(NAMES, st.one_of(st.none(), st.floats(0, 1e5)), max_size=9)


def test_the_cheapest_rungs_fill_the_time_and_the_others_say_what_was_left() -> None:
    cut = within_time({"a": 50.0, "b": 10.0, "c": 30.0, "d": None}, 45.0)
    assert cut.kept == ("d", "b", "c")
    (dropped,) = cut.dropped
    assert (dropped.rung, dropped.reason) == ("a", "takes about 50 s, and 5 s are left")


def test_the_cheapest_rung_is_tried_however_short_the_time_is() -> None:
    assert within_time({"a": 50.0, "b": 90.0}, 1.0).kept == ("a",)


@given(SECONDS, st.floats(0, 1e5))
def test_every_rung_is_kept_or_dropped_once(seconds: dict[str, float | None], most: float) -> None:
    cut = within_time(seconds, most)
    names = [*cut.kept, *(item.rung for item in cut.dropped)]
    assert sorted(names) == sorted(seconds)
    used = sum(seconds[rung] or 0 for rung in cut.kept[1:])
    assert used <= most or len(cut.kept) <= 1


def test_the_best_go_on_and_the_others_say_their_number() -> None:
    scores = {"a": 0.81, "b": 0.92, "c": None, "d": 0.92, "e": 0.7}
    cut = best_of(scores, 3, {"c": "diverged: the loss is no number"})
    assert cut.kept == ("b", "d", "a")  # equals by name
    assert [(item.rung, item.reason) for item in cut.dropped] == [
        ("e", "tuning AUROC 0.700, below 0.810 of the last kept"),
        ("c", "diverged: the loss is no number"),
    ]


@given(SCORES, st.integers(1, 9))
def test_no_dropped_rung_is_better_than_a_kept_one(
    scores: dict[str, float | None], keep: int
) -> None:
    cut = best_of(scores, keep)
    assert len(cut.kept) <= keep
    kept = [scores[rung] for rung in cut.kept]
    dropped = [scores[item.rung] for item in cut.dropped]
    assert None not in kept
    assert all(b is None or b <= a for a in kept if a is not None for b in dropped)
    assert cut == best_of(dict(reversed(scores.items())), keep)  # whatever the order


def test_halves_keep_two() -> None:
    assert [half(n) for n in (1, 2, 3, 4, 5, 9)] == [2, 2, 2, 2, 3, 5]


def test_a_race_takes_as_many_entrants_and_seeds_as_fit() -> None:
    ranked, full = ["a", "b", "c", "d"], dict.fromkeys("abcd", 100.0)
    everything = SLACK * (0.25 * 400 + 2 * 100 + 2 * 2 * 100)
    race = plan_race(ranked, full, 0.25, everything)
    assert (race.entrants, race.seeds, race.dropped) == (("a", "b", "c", "d"), 3, ())
    assert race.seconds == everything
    assert race.has_short_stage
    fewer_seeds = plan_race(ranked, full, 0.25, everything - 1)
    assert (len(fewer_seeds.entrants), fewer_seeds.seeds) == (4, 2)
    two = plan_race(ranked, full, 0.25, SLACK * (200 + 200))
    assert (two.entrants, two.seeds) == (("a", "b"), 2)
    assert not two.has_short_stage
    assert [item.rung for item in two.dropped] == ["c", "d"]
    assert "fine-tuning 3 rungs takes more than the" in two.dropped[0].reason


def test_a_rung_that_is_too_slow_alone_makes_room_for_the_next() -> None:
    race = plan_race(["large", "small"], {"large": 1000.0, "small": 10.0}, 0.25, 100.0)
    assert race.entrants == ("small",)
    (dropped,) = race.dropped
    assert dropped.reason == "takes about 2,600 s at least, and 100 s are left"


def test_without_time_or_speed_nothing_is_fine_tuned() -> None:
    race = plan_race(["a", "b"], {"a": 100.0, "b": None}, 0.25, 50.0)
    assert race.entrants == ()
    assert race.seconds == race_seconds([SLACK * 100], 0.25, SEED_COUNTS[-1])
    assert {item.rung for item in race.dropped} == {"a", "b"}


@given(
    st.lists(NAMES, unique=True, max_size=9),
    st.lists(st.one_of(st.none(), st.floats(0, 1e4)), min_size=9, max_size=9),
    st.floats(0, 1e6),
)
def test_a_race_never_exceeds_its_time(
    ranked: list[str], costs: list[float | None], seconds: float
) -> None:
    full = dict(zip(ranked, costs, strict=False))
    race = plan_race(ranked, full, 0.25, seconds)
    names = [*race.entrants, *(item.rung for item in race.dropped)]
    assert sorted(names) == sorted(ranked)
    if race.entrants:
        assert race.seconds <= seconds
        assert list(race.entrants) == sorted(race.entrants, key=ranked.index)


def test_finalists_are_the_two_best_rungs_each_in_its_better_mode() -> None:
    scores = {
        ("a", "linear"): 0.90,
        ("a", "full"): 0.85,
        ("b", "linear"): 0.80,
        ("b", "full"): 0.95,
        ("c", "linear"): 0.89,
    }
    assert finalists(scores) == (("b", "full"), ("a", "linear"))
    assert finalists({("a", "linear"): 0.9, ("a", "full"): 0.9}) == (("a", "linear"),)
    assert finalists({}) == ()


def test_comparisons_are_at_the_seeds_that_all_finalists_have() -> None:
    assert common_seeds({"a": [2, 0, 1], "b": [0, 2]}) == (0, 2)
    assert common_seeds({"a": [0], "b": []}) == ()
