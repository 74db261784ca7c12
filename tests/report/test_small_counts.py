"""Small counts are hidden on the page, and no difference gives one away."""

from hypothesis import given
from hypothesis import strategies as st

from medtransfer.report.small_counts import count_text, count_texts, group_counts

LEAST = 10


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_what_is_hidden_cannot_be_computed(counts: list[int]) -> None:
    texts = count_texts(dict(enumerate(counts)), LEAST)
    hidden = [n for n, text in texts.items() if text in ("<10", "≥10")]
    for n, count in enumerate(counts):
        assert (texts[n] == "<10") == (0 < count < LEAST)
        assert n in hidden or texts[n] == str(count)
    if hidden and any(texts[n] != "≥10" and counts[n] >= LEAST for n in range(len(counts))):
        assert len(hidden) >= 2  # the sum less what is in sight is of two counts or more
        assert sum(counts[n] for n in hidden) >= LEAST


def test_the_smallest_larger_count_is_hidden_beside_a_single_small_one() -> None:
    assert count_texts({"F": 120, "M": 90, "X": 3}, LEAST) == {"F": "120", "M": "≥10", "X": "<10"}
    assert count_texts({"a": 9, "b": 8, "c": 50}, LEAST) == {"a": "<10", "b": "<10", "c": "50"}
    assert count_texts({"a": 1, "b": 1, "c": 50}, LEAST) == {"a": "<10", "b": "<10", "c": "≥10"}
    assert count_texts({"a": 0, "b": 1200}, LEAST) == {"a": "0", "b": "1,200"}
    assert count_texts({"a": 3, "b": 1200}, 1) == {"a": "3", "b": "1,200"}
    assert count_text(9, LEAST) == "<10"


def test_groups_of_an_attribute_in_a_cohort_are_a_whole() -> None:
    rows = [
        {"attribute": a, "group": g, "cohort": c, "num_cases": n}
        for a, g, c, n in [
            ("sex", "F", "x", 4),
            ("sex", "M", "x", 40),
            ("sex", "F", "y", 30),
            ("age", "old", "x", 44),
            ("sex", "F", "x", 99),
        ]
    ]
    assert group_counts(rows, "num_cases", LEAST) == {
        ("sex", "F", "x"): "<10",
        ("sex", "M", "x"): "≥10",
        ("sex", "F", "y"): "30",
        ("age", "old", "x"): "44",
    }
