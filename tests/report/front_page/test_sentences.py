"""Sentences of the first page: a table of cases, and marks that agree with their intervals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.report.front_page.facts import Quantity
from medtransfer.report.front_page.group_sentences import GroupGap, served_worse
from medtransfer.report.front_page.sentences import (
    Claim,
    HospitalLoss,
    better_rung,
    fewer_labels,
    other_hospitals,
    probability_errors,
)

UP, DOWN, OPEN = Quantity(0.1, 0.02, 0.2), Quantity(-0.1, -0.2, -0.02), Quantity(0.03, -0.1, 0.2)
NONE = Quantity(None, reason="no positive case")

CASES: dict[str, tuple[Claim, str, str]] = {
    "better": (
        better_rung("new", "old", "north", UP, 0.05),
        "shown",
        "new is better than old: AUROC higher by 0.100 [0.020, 0.200] at north.",
    ),
    "worse": (
        better_rung("new", "old", "north", DOWN),
        "shown",
        "new is worse than old: AUROC lower by 0.100 [0.020, 0.200] at north.",
    ),
    "no difference": (
        better_rung("new", "old", "north", OPEN, 0.0567),
        "not shown",
        (
            "new and old do not differ significantly at north (difference in AUROC 0.030 [−0.100, "
            "0.200]). A true difference of 0.057 would have been shown with 80% probability."
        ),
    ),
    "one training each": (
        better_rung("new", "old", "north", UP, trained_once=True),
        "shown",
        (
            "This one trained model of new is better than old: AUROC higher by 0.100 "
            "[0.020, 0.200] at north."
        ),
    ),
    "too few to compare": (
        better_rung("new", "old", "north", NONE),
        "not shown",
        "new and old could not be compared: no positive case.",
    ),
    "the same in all replicates": (
        better_rung(
            "new", "old", "north", Quantity(0.0, reason="no interval: all replicates are equal")
        ),
        "not shown",
        (
            "new and old have the same AUROC at north, whichever of its patients are drawn: these "
            "cases cannot tell them apart."
        ),
    ),
    "over some targets": (
        better_rung("new", "old", "north", Quantity(0.1, 0.02, 0.2, "over the 1 of 2 targets")),
        "shown",
        (
            "new is better than old: AUROC higher by 0.100 [0.020, 0.200] (over the 1 of 2 "
            "targets) at north."
        ),
    ),
    "lost, gained and unclear": (
        other_hospitals(
            "north", [HospitalLoss("a", UP), HospitalLoss("b", DOWN), HospitalLoss("c", OPEN, 0.2)]
        ),
        "shown",
        (
            "AUROC is lower than at north: by 0.10 [0.02, 0.20] at a. AUROC is higher than at "
            "north: by 0.10 [0.02, 0.20] at b. No change in AUROC from north was shown: the loss "
            "is 0.03 [−0.10, 0.20] at c. A true loss of 0.20 would have been shown with 80% "
            "probability."
        ),
    ),
    "no loss": (
        other_hospitals("north", [HospitalLoss("c", OPEN)]),
        "not shown",
        "No change in AUROC from north was shown: the loss is 0.03 [−0.10, 0.20] at c.",
    ),
    "threshold that misses all": (
        other_hospitals(
            "north",
            [
                HospitalLoss("c", OPEN, missed=Quantity(80.0, 70.0, 88.0), called=OPEN),
                HospitalLoss("d", OPEN, called=Quantity(-30.0, -40.0, -20.0)),
            ],
        ),
        "shown",
        (
            "No change in AUROC from north was shown: the loss is 0.03 [−0.10, 0.20] at c and 0.03 "
            "[−0.10, 0.20] at d. At the threshold of north, of 100 with the finding 80 [70, 88] "
            "more are missed at c; of 100 without it 30 [20, 40] fewer are called at d."
        ),
    ),
    "threshold that is hardly off": (
        # two numbers are judged at once: 97.5 % intervals exclude 0, not 95 % ones
        other_hospitals("north", [HospitalLoss("c", OPEN, missed=Quantity(8.0, 0.5, 15.5))]),
        "not shown",
        "No change in AUROC from north was shown: the loss is 0.03 [−0.10, 0.20] at c.",
    ),
    "loss unknown": (
        other_hospitals("north", [HospitalLoss("c", NONE), HospitalLoss("d", NONE)]),
        "not shown",
        "The loss at c and d is unknown: no positive case.",
    ),
    "loss over fewer targets": (
        other_hospitals("north", [HospitalLoss("a", Quantity(0.1, 0.02, 0.2, "over x alone"))]),
        "shown",
        "AUROC is lower than at north: by 0.10 [0.02, 0.20] (over x alone) at a.",
    ),
    "labels saved": (
        fewer_labels("new", "old", Quantity(0.6, 0.2, 0.8)),
        "shown",
        "new saves 60% [20%, 80%] of the labels that old needs for its AUROC.",
    ),
    "at least": (
        fewer_labels("new", "old", Quantity(0.9, 0.8, None), at_least=True),
        "shown",
        "new saves 90% or more [80% or more] of the labels that old needs for its AUROC.",
    ),
    "saved by the reference too": (
        fewer_labels("new", "old", Quantity(0.9, 0.8, None), at_least=True, by_itself=0.1),
        "shown",
        (
            "new saves 90% or more [80% or more] of the labels that old needs for its AUROC. old "
            "reaches it with 10% itself."
        ),
    ),
    "maybe saved": (
        fewer_labels("new", "old", Quantity(0.6, None, 0.8)),
        "not shown",
        "new may save 60% [no limit, 80%] of the labels that old needs: zero is not ruled out.",
    ),
    "maybe at least": (
        fewer_labels("new", "old", Quantity(0.9, None, None), at_least=True),
        "not shown",
        "new may save 90% or more of the labels that old needs: zero is not ruled out.",
    ),
    "never reached": (
        fewer_labels("new", "old", NONE),
        "not shown",
        "No network reaches the AUROC of old with fewer labels than all.",
    ),
    "group worse": (
        served_worse(
            GroupGap(
                "sex",
                "sensitivity at north",
                UP,
                0.004,
                2,
                "F",
                "M",
                missed={"F": Quantity(25, 15, 36), "M": Quantity(7, 2, 15)},
            )
        ),
        "shown",
        (
            "sex: sensitivity at north is lower for F than for M by 0.10 [0.02, 0.20] (p < 0.01, "
            "corrected for 2 tests): of 100 F with the finding, 25 [15, 36] are missed; of "
            "100 M with "
            "the finding, 7 [2, 15] are missed."
        ),
    ),
    "gap not shown": (
        served_worse(GroupGap("sex", "AUROC at north", UP, 0.3, 1, detectable=0.2)),
        "not shown",
        (
            "No gap between groups was shown; the clearest is in AUROC at north by sex, 0.10 "
            "[0.02, "
            "0.20] (p = 0.30). A true gap of 0.20 would have been shown with 80% probability."
        ),
    ),
    "probabilities wrong": (
        probability_errors({"a": Quantity(0.12, 0.05, 0.2), "b": Quantity(0.02, 0.0, 0.05)}),
        "shown",
        (
            "Its probabilities are wrong, on average by this many percentage points: 12 [5, 20] "
            "at a. No error was shown elsewhere: 2 [0, 5] at b."
        ),
    ),
    "probabilities not shown wrong": (
        probability_errors({"b": Quantity(0.02, 0.0, 0.05)}),
        "not shown",
        (
            "No error of its probabilities was shown; the mean error in percentage points is "
            "2 [0, 5] at b. Errors up to the upper ends are not ruled out."
        ),
    ),
    "probabilities without an interval": (
        probability_errors({"a": Quantity(0.0), "b": Quantity(0.02, 0.0, 0.05)}),
        "not shown",
        (
            "No error of its probabilities was shown; the mean error in percentage points is "
            "2 [0, 5] at b. Errors up to the upper ends are not ruled out. The mean error of its "
            "probabilities in percentage points is 0 [no interval] at a: without an interval, no "
            "error is ruled out."
        ),
    ),
    "no probabilities": (
        probability_errors({"b": NONE}),
        "not shown",
        "The error of its probabilities is unknown: no positive case.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_answer_has_its_mark_and_its_words(case: str) -> None:
    claim, mark, sentence = CASES[case]
    assert claim.mark == mark
    assert claim.sentence == sentence


@given(ends=st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted))
def test_a_mark_says_shown_only_if_its_interval_excludes_zero(ends: list[float]) -> None:
    low, high = ends
    number = Quantity((low + high) / 2, low, high)
    excludes = low > 0 or high < 0
    for claim in (
        better_rung("a", "b", "c", number),
        other_hospitals("a", [HospitalLoss("b", number)]),
    ):
        assert (claim.mark == "shown") == excludes
    assert (fewer_labels("a", "b", number).mark == "shown") == (low > 0)
    assert (probability_errors({"a": number}).mark == "shown") == (low > 0)
