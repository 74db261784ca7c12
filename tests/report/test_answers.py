"""Answers in words that match the interval."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report.contents import OTHER, REFERENCE, areas, content, gap_rows, result

from medtransfer.report.page import answers
from medtransfer.report.questions import efficiency, fairness, shift, transfer, uncertainty
from medtransfer.report.text import SMALL

AWAY = (("north", "tune"), ("north", "test"), ("south", "test"))


def test_a_difference_whose_interval_excludes_zero_is_said_to_be_one() -> None:
    assert transfer.answer(content(areas())).sentence == (
        "On north, imagenet/effnet-lite0 is better than scratch/effnet-lite0 by 0.100 AUROC "
        "[0.050, 0.150], p < 0.01."
    )


def test_a_difference_whose_interval_holds_zero_could_not_be_shown() -> None:
    said = transfer.answer(content(areas(), (0.01, -0.03, 0.05, 0.6))).sentence
    assert "no difference between imagenet/effnet-lite0 and scratch/effnet-lite0 could be" in said
    assert "+0.010 [−0.030, 0.050], p = 0.60" in said
    assert "better" not in said


def test_a_worse_rung_is_called_worse() -> None:
    said = transfer.answer(content(areas(0.8, 0.7), (-0.1, -0.15, -0.05, 0.001))).sentence
    assert "imagenet/effnet-lite0 is worse than scratch/effnet-lite0 by 0.100 AUROC" in said
    assert "[0.050, 0.150]" in said


def test_correction_takes_back_what_chance_explains() -> None:
    said = transfer.answer(content(areas(), (0.1, 0.01, 0.2, 0.2))).sentence
    assert "could be shown" in said


@settings(deadline=None)
@given(
    ends=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)).map(sorted),
    p=st.floats(0.0001, 1.0),
    other=st.floats(0.5, 0.9),
)
def test_better_and_worse_are_said_only_of_intervals_without_zero(
    ends: list[float], p: float, other: float
) -> None:
    low, high = ends
    made = content(areas(0.7, other), ((low + high) / 2, low, high, p))
    said = transfer.answer(made).sentence
    assert ("better" in said) == (low > 0 and p < SMALL)
    assert ("worse" in said) == (high < 0 and p < SMALL)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("shown", "shown"), "They are equal within 0.02 (p = 0.03)."),
        (("shown", "not shown"), "It is no worse by more than 0.02 (p = 0.02)."),
        (("not shown", "not shown"), "That they are equal within 0.02 could not be shown either."),
    ],
)
def test_a_margin_is_answered_where_no_better_rung_was_shown(
    verdicts: tuple[str, str], expected: str
) -> None:
    unclear = content(areas(), (0.01, -0.03, 0.05, 0.6), margin=(0.02, *verdicts))
    assert expected in transfer.answer(unclear).sentence
    better = content(areas(), margin=(0.02, *verdicts))
    assert "0.02" not in transfer.answer(better).sentence


def test_a_single_rung_is_not_compared() -> None:
    alone = content({REFERENCE: areas()[REFERENCE]})
    assert transfer.answer(alone).sentence == (
        "Only scratch/effnet-lite0 was run: AUROC 0.70 [0.60, 0.80] on north."
    )


def test_what_was_not_studied_is_called_so() -> None:
    found = answers(content(areas()))
    assert [answer.studied for answer in found] == [True, False, False, False, True]
    assert all("Not studied" in answer.sentence for answer in found if not answer.studied)


def shifted(drop: tuple[float, float, float], difference=(0.1, 0.05, 0.15, 0.001)):
    rows = areas()
    for own in rows.values():
        own.append(result("auroc", 0.65, 0.55, 0.75, cohort="south"))
        own.append(result("auroc_drop", *drop, cohort="south"))
    return content(rows, difference, splits=AWAY)


def test_a_drop_is_said_with_its_interval_and_a_null_one_as_not_shown() -> None:
    said = shift.answer(shifted((0.15, 0.02, 0.3))).sentence
    assert "imagenet/effnet-lite0 reaches AUROC 0.65 [0.55, 0.75] at south" in said
    assert "0.15 [0.02, 0.30] below north" in said
    said = shift.answer(shifted((0.05, -0.02, 0.1))).sentence
    assert "no drop from north shown (0.05 [−0.02, 0.10])" in said
    assert "below" not in said
    said = shift.answer(shifted((-0.1, -0.2, -0.02))).sentence
    assert "0.10 [0.02, 0.20] above north" in said


def test_at_another_hospital_too_better_needs_its_interval_and_its_p() -> None:
    better = shift.answer(shifted((0.15, 0.02, 0.3))).sentence
    assert "It is better than scratch/effnet-lite0 at south (+0.10 [0.05, 0.15])." in better
    for unclear in ((0.1, -0.05, 0.15, 0.001), (0.1, 0.05, 0.15, 0.2)):
        said = shift.answer(shifted((0.15, 0.02, 0.3), unclear)).sentence
        assert "better" not in said
        assert "No difference from scratch/effnet-lite0 could be shown at south" in said


def test_without_a_tuning_split_no_hospital_is_another_one() -> None:
    rows = areas()
    rows[OTHER].append(result("auroc", 0.65, 0.55, 0.75, cohort="south"))
    nowhere = content(rows, splits=(("north", "test"), ("south", "test")))
    found = shift.answer(nowhere)
    assert not found.studied
    assert "no cohort is known to be the one trained on" in found.sentence


@pytest.mark.parametrize(
    ("reason", "value", "expected"),
    [
        (None, 0.6, "with 40% of the labels: 60% saved [40%, 70%]."),
        (
            "at least: the smallest label fraction already reaches it",
            0.7,
            "the smallest share run, or fewer: at least 70% saved",
        ),
        ("the reference's full-data AUROC is never reached", None, "No rung reaches the full-data"),
    ],
)
def test_labels_saved_says_how_far_it_is_known(reason, value, expected: str) -> None:
    rows = areas()
    rows[OTHER].append(replace(result("labels_saved", value, 0.4, 0.7), reason=reason))
    said = efficiency.answer(content(rows, fractions=(0.3, 1.0))).sentence
    assert expected in said
    assert "not shown" not in said


def test_labels_saved_are_not_shown_where_the_interval_is_open() -> None:
    rows = areas()
    rows[OTHER].append(replace(result("labels_saved", 0.6, 0.0, 0.7), low=None))
    said = efficiency.answer(content(rows, fractions=(0.3, 1.0))).sentence
    assert "60% saved [not bounded, 70%]." in said
    assert "That any are saved is not shown" in said


def test_one_rung_saves_no_labels() -> None:
    found = efficiency.answer(content({REFERENCE: areas()[REFERENCE]}, fractions=(0.3, 1.0)))
    assert not found.studied
    assert "only one rung was run" in found.sentence


def test_a_gap_is_shown_only_after_correction_over_all_that_was_tested() -> None:
    one = content(areas(), gaps=gap_rows("sex", "auroc", 0.1, 0.03))
    assert "p = 0.03: shown." in fairness.answer(one).sentence
    both = [*gap_rows("sex", "auroc", 0.1, 0.03), *gap_rows("age", "auroc", 0.2, 0.5)]
    said = fairness.answer(content(areas(), gaps=both)).sentence
    assert (
        "By sex, the AUROC of imagenet/effnet-lite0 on north differs by 0.10 [0.05, 0.15]" in said
    )
    assert "p = 0.06 after correction for 2 tests: not shown, not ruled out." in said
    assert "lowest: F, 0.70 [0.60, 0.80], 90 cases" in said


def test_a_gap_in_sensitivity_is_looked_for_too() -> None:
    both = [*gap_rows("sex", "auroc", 0.1, 0.3), *gap_rows("sex", "sensitivity@sens90", 0.2, 0.01)]
    said = fairness.answer(content(areas(), gaps=both)).sentence
    assert (
        "By sex, the sensitivity of imagenet/effnet-lite0 on north, at the threshold of "
        "90 % sensitivity on tune, differs by 0.20"
    ) in said
    assert "p = 0.02 after correction for 2 tests: shown." in said


def test_groups_too_small_to_compare_are_no_answer() -> None:
    small = replace(
        result("auroc", None, 0, 0, attribute="sex", group="F"), reason="fewer than 10 cases"
    )
    rows = areas()
    rows[OTHER].append(small)
    found = fairness.answer(content(rows))
    assert found.studied
    assert found.sentence == "No attribute has two groups on north that can be compared."


@pytest.mark.parametrize(
    ("coverage", "words"),
    [
        ((0.85, 0.8, 0.89), "85% [80%, 89%] at north, less than promised."),
        ((0.91, 0.88, 0.94), "91% [88%, 94%] at north, as promised."),
        ((0.96, 0.93, 0.99), "96% [93%, 99%] at north, more than promised."),
    ],
)
def test_prediction_sets_keep_their_promise_or_not(coverage, words: str) -> None:
    rows = areas()
    rows[OTHER] += [
        result("ece", 0.05, 0.01, 0.08),
        result("ece_scaled", 0.02, 0.0, 0.04),
        result("coverage_split", *coverage),
    ]
    said = uncertainty.answer(content(rows)).sentence
    assert "is 0.050 [0.010, 0.080], and 0.020 [0.000, 0.040] after temperature scaling" in said
    assert said.endswith(f"Its 90% prediction sets hold the truth in {words}")


def test_calibration_that_is_not_known_is_said_to_be_so() -> None:
    said = uncertainty.answer(content(areas())).sentence
    assert said == "On north, the calibration of imagenet/effnet-lite0 is not known."
