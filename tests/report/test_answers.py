"""Answers in words that match their intervals."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report.hand_made import OTHER, REFERENCE, areas, gap_rows, placed, report_data, result

from medtransfer.report.components import ReportTable
from medtransfer.report.page import answers
from medtransfer.report.questions import efficiency, fairness, shift, transfer, uncertainty
from medtransfer.report.questions.prediction_sets import prediction_sets
from medtransfer.report.text import ALPHA, detectable, detectable_text

AWAY = (("north", "tune"), ("north", "test"), ("south", "test"))


def test_an_interval_without_zero_is_a_difference() -> None:
    assert transfer.answer(report_data(areas())).sentence == (
        "On north, imagenet/effnet-lite0 is better than scratch/effnet-lite0 by 0.100 AUROC "
        "[0.050, 0.150], p < 0.01."
    )


def test_an_interval_with_zero_is_no_significant_difference() -> None:
    sentence = transfer.answer(report_data(areas(), (0.01, -0.03, 0.05, 0.6))).sentence
    assert sentence == (
        "On north, there is no significant difference between imagenet/effnet-lite0 and "
        "scratch/effnet-lite0 (+0.010 AUROC [−0.030, 0.050], p = 0.60; such a study "
        "has 80% power to detect a true difference of 0.057)."
    )
    assert "better" not in sentence


def test_a_worse_rung_is_called_worse() -> None:
    sentence = transfer.answer(report_data(areas(0.8, 0.7), (-0.1, -0.15, -0.05, 0.001))).sentence
    assert "imagenet/effnet-lite0 is worse than scratch/effnet-lite0 by 0.100 AUROC" in sentence
    assert "[0.050, 0.150]" in sentence


def test_a_difference_must_survive_correction() -> None:
    sentence = transfer.answer(report_data(areas(), (0.1, 0.01, 0.2, 0.2))).sentence
    assert "no significant difference" in sentence


@settings(deadline=None)
@given(
    ends=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)).map(sorted),
    p=st.floats(0.0001, 1.0),
    other=st.floats(0.5, 0.9),
)
def test_better_and_worse_need_an_interval_without_zero(
    ends: list[float], p: float, other: float
) -> None:
    low, high = ends
    data = report_data(areas(0.7, other), ((low + high) / 2, low, high, p))
    sentence = transfer.answer(data).sentence
    assert ("better" in sentence) == (low > 0 and p < ALPHA)
    assert ("worse" in sentence) == (high < 0 and p < ALPHA)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("shown", "shown"), "They are equivalent within a margin of 0.02 AUROC (p = 0.03)."),
        (("shown", "not shown"), "It is non-inferior within a margin of 0.02 AUROC (p = 0.02)."),
        (
            ("not shown", "not shown"),
            "if the networks are equal, such a study has 80% power to show it within 0.056.",
        ),
    ],
)
def test_a_margin_is_answered_unless_a_better_rung_was_shown(
    verdicts: tuple[str, str], expected: str
) -> None:
    unclear = report_data(areas(), (0.01, -0.03, 0.05, 0.6), margin=(0.02, *verdicts))
    assert expected in transfer.answer(unclear).sentence
    better = report_data(areas(), margin=(0.02, *verdicts))
    assert "0.02" not in transfer.answer(better).sentence


def test_a_single_rung_is_not_compared() -> None:
    alone = report_data({REFERENCE: areas()[REFERENCE]})
    assert transfer.answer(alone).sentence == (
        "Only scratch/effnet-lite0 was evaluated: AUROC 0.70 [0.60, 0.80] on north."
    )


def test_a_question_that_was_not_studied_says_so() -> None:
    card = answers(report_data(areas()))
    assert [answer.studied for answer in card] == [True, False, False, False, True]
    assert all("Not studied" in answer.sentence for answer in card if not answer.studied)


def shifted(drop: tuple[float, float, float], difference=(0.1, 0.05, 0.15, 0.001)):
    rows = areas()
    for result_rows in rows.values():
        result_rows.append(result("auroc", 0.65, 0.55, 0.75, cohort="south"))
        result_rows.append(result("auroc_drop", *drop, cohort="south"))
    return report_data(rows, difference, splits=AWAY)


def test_a_drop_has_its_interval_and_may_be_not_significant() -> None:
    sentence = shift.answer(shifted((0.15, 0.02, 0.3))).sentence
    assert "imagenet/effnet-lite0 reaches AUROC 0.65 [0.55, 0.75] on south" in sentence
    assert "0.15 [0.02, 0.30] below north" in sentence
    sentence = shift.answer(shifted((0.05, -0.02, 0.1))).sentence
    assert "no significant drop from north (0.05 [−0.02, 0.10]; such a study has" in sentence
    assert "80% power to detect a true drop of 0.100)" in sentence
    assert "below" not in sentence
    sentence = shift.answer(shifted((-0.1, -0.2, -0.02))).sentence
    assert "0.10 [0.02, 0.20] above north" in sentence


def test_better_on_a_shifted_cohort_needs_interval_and_p_value() -> None:
    better = shift.answer(shifted((0.15, 0.02, 0.3))).sentence
    interval = "+0.10 [0.05, 0.15]"
    assert (
        f"This one trained model is better than scratch/effnet-lite0 on south ({interval})."
        in better
    )
    for unclear in ((0.1, -0.05, 0.15, 0.001), (0.1, 0.05, 0.15, 0.2)):
        sentence = shift.answer(shifted((0.15, 0.02, 0.3), unclear)).sentence
        assert "better" not in sentence
        assert "No significant difference from scratch/effnet-lite0 on south" in sentence


def test_without_a_tuning_split_no_cohort_is_shifted() -> None:
    rows = areas()
    rows[OTHER].append(result("auroc", 0.65, 0.55, 0.75, cohort="south"))
    nowhere = report_data(rows, splits=(("north", "test"), ("south", "test")))
    card = shift.answer(nowhere)
    assert not card.studied
    assert "the training cohort is unknown" in card.sentence


@pytest.mark.parametrize(
    ("reason", "value", "expected"),
    [
        (None, 0.6, "with 40% of the labels: 60% saved [40%, 70%]."),
        (
            "at least: the smallest label fraction already reaches it",
            0.7,
            "or fewer: 70% or more saved (the 95% interval begins at 40%).",
        ),
        ("the reference's full-data AUROC is never reached", None, "No rung reaches the full-data"),
    ],
)
def test_labels_saved_has_its_interval_or_its_bound(reason, value, expected: str) -> None:
    rows = areas()
    rows[OTHER].append(replace(result("labels_saved", value, 0.4, 0.7), reason=reason))
    sentence = efficiency.answer(report_data(rows, fractions=(0.3, 1.0))).sentence
    assert expected in sentence
    assert "not significant" not in sentence


def test_labels_saved_with_an_open_interval_are_not_significant() -> None:
    rows = areas()
    rows[OTHER].append(replace(result("labels_saved", 0.6, 0.0, 0.7), low=None))
    sentence = efficiency.answer(report_data(rows, fractions=(0.3, 1.0))).sentence
    assert "60% saved [no limit, 70%]." in sentence
    assert "This saving is not significant" in sentence


@pytest.mark.parametrize(("at_30", "itself"), [(0.84, True), (0.85, True), (0.8, False)])
def test_a_reference_that_needs_fewer_labels_itself_is_told(at_30: float, *, itself: bool) -> None:
    rows = areas()
    rows[OTHER].append(result("labels_saved", 0.7, 0.4, 0.7))
    data = report_data(rows, fractions=(0.3, 1.0))
    learning = pl.DataFrame(
        {
            "rung": [REFERENCE, REFERENCE, OTHER],
            "label_fraction": [0.3, 1.0, 0.3],
            "held_out": None,
            "retrain_fraction": None,
            "cohort": data.main_cohort,
            "target": data.target,
            "series": None,
            "x": [0.3, 1.0, 0.3],
            "y": [at_30, 0.84, 0.9],
        },
        schema_overrides={
            "held_out": pl.String,
            "series": pl.String,
            "retrain_fraction": pl.Float64,
        },
    )
    sentence = efficiency.answer(replace(data, curves={"learning": learning})).sentence
    assert (f"{REFERENCE} itself reaches it with 30%." in sentence) == itself


def test_one_rung_saves_no_labels() -> None:
    card = efficiency.answer(report_data({REFERENCE: areas()[REFERENCE]}, fractions=(0.3, 1.0)))
    assert not card.studied
    assert "only one rung was run" in card.sentence


def test_tests_share_the_level_of_a_detectable_value() -> None:
    row = {"value": 0.01, "low": -0.03, "high": 0.05}
    assert detectable(row) == pytest.approx(0.057, abs=5e-4)
    assert detectable(row, comparisons=5) == pytest.approx(0.0698, abs=5e-4)
    assert detectable({**row, "low": 0.0}) == detectable(row)  # a gap's interval is cut at 0
    assert detectable({"value": 0.01, "low": None, "high": None}) is None
    assert detectable({"value": 0.0, "low": 0.0, "high": 0.0}) is None
    assert detectable_text("drop", None) == ""


def test_the_detectable_difference_is_beside_one_that_is_not_shown() -> None:
    data = report_data(areas(), (0.01, -0.03, 0.05, 0.6))
    assert "; such a study has 80% power to detect a true difference of 0.057)" in (
        transfer.answer(data).sentence
    )
    (table,) = (
        part
        for part in transfer.section(data).parts
        if isinstance(part, ReportTable) and "Detectable" in part.head
    )
    column = table.head.index("Detectable")
    assert {line[column] for line in table.rows} == {"–", "0.057"}


def test_a_gap_is_significant_only_after_correction_for_all_tests() -> None:
    one = report_data(areas(), gaps=gap_rows("sex", "auroc", 0.1, 0.03))
    assert "p = 0.03: significant." in fairness.answer(one).sentence
    both = [*gap_rows("sex", "auroc", 0.1, 0.03), *gap_rows("age", "auroc", 0.2, 0.5)]
    sentence = fairness.answer(report_data(areas(), gaps=both)).sentence
    assert (
        "Between groups of sex, the AUROC of imagenet/effnet-lite0 on north differs by 0.10 [0.05, "
        "0.15]"
    ) in sentence
    assert (
        "p = 0.06 after Holm correction for 2 tests: not significant, but not ruled out; such a "
        "study has 80% power to detect a true gap of 0.079." in sentence
    )
    assert "lowest: F, 0.70 [0.60, 0.80], 90 cases" in sentence


def test_a_gap_in_sensitivity_is_tested_too() -> None:
    both = [*gap_rows("sex", "auroc", 0.1, 0.3), *gap_rows("sex", "sensitivity@sens90", 0.2, 0.01)]
    sentence = fairness.answer(report_data(areas(), gaps=both)).sentence
    assert (
        "Between groups of sex, the sensitivity of imagenet/effnet-lite0 on north, at the "
        "threshold with 90% sensitivity on the tuning split, differs by 0.20"
    ) in sentence
    assert "p = 0.02 after Holm correction for 2 tests: significant." in sentence


def test_groups_too_small_to_compare_are_no_answer() -> None:
    small = replace(
        result("auroc", None, 0, 0, attribute="sex", group="F"), reason="fewer than 10 cases"
    )
    rows = areas()
    rows[OTHER].append(small)
    card = fairness.answer(report_data(rows))
    assert card.studied
    assert card.sentence == "No attribute has two groups on north that can be compared."


@pytest.mark.parametrize(
    ("coverage", "interval", "verdict"),
    [
        ((0.85, 0.8, 0.89), "85% [80%, 89%]", "less"),
        # its interval excludes 90%, but so few tuning cases often give as much
        ((0.87, 0.85, 0.89), "87% [85%, 89%]", "as"),
        ((0.97, 0.93, 0.99), "97% [93%, 99%]", "more"),
    ],
)
def test_coverage_of_prediction_sets_is_judged_by_its_law_with_their_size(
    coverage, interval: str, verdict: str
) -> None:
    rows = areas()
    rows[OTHER] += [
        result("ece", 0.05, 0.01, 0.08),
        result("ece_scaled", 0.02, 0.0, 0.04),
        result("coverage_split", *coverage),
        result("set_size_split", 1.3, 1.2, 1.4),
    ]
    law = placed([result("coverage_split_expected", 0.9, 0.86, 0.95, run_id="r1")], OTHER, seed=0)
    data = report_data(rows, gaps=[law])
    sentence = uncertainty.answer(data).sentence
    assert "is 0.050 [0.010, 0.080], and 0.020 [0.000, 0.040] after temperature scaling" in sentence
    sets = f"{interval} of cases on north (mean size 1.3 of 2 answers; {verdict} "
    assert f"Its 90% prediction sets contain the truth in {sets}" in sentence
    assert sentence.endswith("promised: 86% to 95% is expected with this tuning split).")
    (table,) = [part for part in prediction_sets(data) if "Verdict" in getattr(part, "head", ())]
    assert isinstance(table, ReportTable)
    assert table.rows[0][0] == "split conformal"
    assert table.rows[0][4] == "86% to 95%"
    assert table.rows[0][5].startswith(verdict)


def test_sets_of_an_older_table_get_no_verdict() -> None:
    rows = areas()
    rows[OTHER] += [
        result("ece", 0.05, 0.01, 0.08),
        result("coverage_split", 0.85, 0.8, 0.89),
        result("set_size_split", 1.3, 1.2, 1.4),
    ]
    sentence = uncertainty.answer(report_data(rows)).sentence
    assert sentence.endswith("85% [80%, 89%] of cases on north (mean size 1.3 of 2 answers).")


def test_a_missing_calibration_error_is_unknown() -> None:
    sentence = uncertainty.answer(report_data(areas())).sentence
    assert sentence == "The calibration error of imagenet/effnet-lite0 on north is unknown."


def test_the_carried_threshold_is_told_in_missed_and_called_cases() -> None:
    rows = areas()
    for of_rung in rows.values():
        of_rung.append(result("auroc", 0.8, 0.75, 0.85, cohort="south"))
        of_rung.append(result("sensitivity@sens90", 0.0, 0.0, 0.034, cohort="south"))
        of_rung.append(result("specificity@sens90", 0.98, 0.95, 1.0, cohort="south"))
    sentence = shift.answer(report_data(rows, (0.1, 0.05, 0.15, 0.001), splits=AWAY)).sentence
    assert (
        "On south, at the tuning threshold (sens90): of 100 cases with the finding, 100 [97, 100] "
        "are missed; of 100 without it, 2 [0, 5] are called positive."
    ) in sentence
