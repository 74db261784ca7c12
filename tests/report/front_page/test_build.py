"""The first page: its answers are those of the tables."""

import html
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.report.hand_made import OTHER, areas, gap_rows, report_data, result

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.catalog import find_metric
from medtransfer.report.content import SplitCounts
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.facts import FrontPage
from medtransfer.report.page import render_front, with_choice
from medtransfer.report.reading import load_evaluation_data, load_study_data
from medtransfer.report.recommendation import recommend
from medtransfer.runs.folders import StudyFolder
from medtransfer.statistics.small_samples import Support

AWAY = (("north", "tune"), ("north", "test"), ("south", "test"))


def two_hospitals(drop: tuple[float, float, float] = (0.15, 0.02, 0.3)):
    """The other rung at both hospitals: of 100 with the finding 12 and 24 are missed."""
    rows = areas()
    for of_rung in rows.values():
        for cohort, sensitivity, specificity in (("north", 0.88, 0.8), ("south", 0.76, 0.79)):
            for name, value in (("sensitivity", sensitivity), ("specificity", specificity)):
                of_rung.append(
                    result(f"{name}@sens90", value, value - 0.1, value + 0.1, cohort=cohort)
                )
        of_rung.append(result("auroc", 0.65, 0.55, 0.75, cohort="south"))
        of_rung.append(result("auroc_drop", *drop, cohort="south"))
    return report_data(rows, splits=AWAY, gaps=gap_rows("sex", "sensitivity@sens90", 0.2, 0.001))


def test_a_hospital_has_its_cases_its_labels_and_what_is_missed_and_called() -> None:
    home, away = front_page(two_hospitals()).hospitals
    assert (home.cohort, home.trained, away.cohort, away.trained) == ("north", True, "south", False)
    assert home.cases == "90"
    (labels,) = home.targets
    assert (labels.positive, labels.negative, labels.unlabelled) == ("30", "60", "0")
    assert away.missed.value == pytest.approx(24)
    assert (away.missed.low, away.missed.high) == (pytest.approx(14), pytest.approx(34))
    assert away.called.value == pytest.approx(21)
    assert home.drop is None
    assert away.drop is not None
    assert away.drop.value == 0.15


def test_the_three_answers_are_on_the_page_in_the_words_of_the_tables() -> None:
    text = text_of(render_front(two_hospitals()))
    assert "AUROC is lower than at north: by 0.15 [0.02, 0.30] at south." in text
    assert "24 [14, 34]" in text
    assert "sensitivity at north is lower for F than for M by 0.20 [0.15, 0.25] (p < 0.01)" in text
    assert "of 100 F with the finding, 30 [20, 40] are missed" in text
    assert "That it works at further hospitals: only south took part." in text


def test_small_counts_of_labels_are_hidden_with_a_second_one() -> None:
    data = two_hospitals()
    few = SplitCounts("north", "test", 90, 80, {"y": 4}, {"y": 20})
    counts = (few, *(c for c in data.counts if (c.cohort, c.split) != ("north", "test")))
    (labels,) = front_page(replace(data, counts=counts)).hospitals[0].targets
    assert (labels.positive, labels.negative, labels.unlabelled) == ("<10", "66", "≥10")
    cautions = front_page(replace(data, counts=counts)).not_concluded
    assert any("missed cases is well known at north" in sentence for sentence in cautions)


def test_few_positive_cases_are_cautioned_of_where_their_number_is_hidden() -> None:
    data = two_hospitals()
    hidden = SplitCounts("south", "test", 90, 80, {"y": 12}, {"y": 5})
    counts = (hidden, *(c for c in data.counts if c.cohort != "south"))
    front = front_page(replace(data, counts=counts))
    assert front.hospitals[1].targets[0].positive == "≥10"
    assert any("well known at south: fewer than 30" in text for text in front.not_concluded)


def test_few_patients_with_many_positive_cases_are_cautioned_of() -> None:
    rows = areas()
    metric = f"sensitivity@{EvaluationConfig().operating_points[0]}"
    why = Support(4, 80, 12, 4).lacking(find_metric(metric))
    for of_rung in rows.values():
        of_rung.append(replace(of_rung[0], metric=metric, low=None, high=None, reason=why))
    cautions = front_page(report_data(rows)).not_concluded
    assert any("too few patients have the finding for an interval" in text for text in cautions)


def test_a_threshold_set_on_few_positive_cases_is_cautioned_of() -> None:
    data = two_hospitals()
    warning = "it was set on fewer than 10 tuning cases with a finding"
    assert not any(warning in text for text in front_page(data).not_concluded)
    few = SplitCounts("north", "tune", 90, 80, {"y": 1}, {"y": 89})
    counts = (few, *(c for c in data.counts if (c.cohort, c.split) != ("north", "tune")))
    assert any(warning in text for text in front_page(replace(data, counts=counts)).not_concluded)


def test_counts_are_those_of_the_cases_that_were_scored() -> None:
    rows = areas()
    for of_rung in rows.values():
        few = {"num_cases": 40, "num_patients": 35, "num_positive": 12}
        of_rung[:] = [replace(row, **few) for row in of_rung]
    (home,) = front_page(report_data(rows)).hospitals
    (labels,) = home.targets
    assert (home.cases, home.patients) == ("40", "35")
    assert (labels.positive, labels.negative, labels.unlabelled) == ("12", "28", "0")


def test_a_target_without_a_label_at_a_hospital_is_not_its_rarest_finding() -> None:
    data = two_hospitals()
    of_two = SplitCounts("south", "test", 90, 80, {"y": 50, "z": 0}, {"y": 0, "z": 90})
    at_home = (
        replace(c, positive={"y": 40, "z": 35}, masked={"y": 0, "z": 0})
        for c in data.counts
        if c.cohort != "south"
    )
    front = front_page(replace(data, counts=(of_two, *at_home), targets=("y", "z")))
    south = front.hospitals[1].targets
    assert (south[0].target, south[0].positive, south[0].unlabelled) == ("y", "50", "0")
    assert not any("well known at south" in sentence for sentence in front.not_concluded)


def test_without_a_tuning_split_no_hospital_is_said_to_be_another() -> None:
    data = replace(
        two_hospitals(), counts=tuple(c for c in two_hospitals().counts if c.split != "tune")
    )
    assert [hospital.trained for hospital in front_page(data).hospitals] == [None, None]
    text = text_of(render_front(data))
    assert text.count("training unknown") == 2
    assert "That it works at another hospital: where it was trained is unknown." in text


def test_a_loss_without_a_value_is_not_said_to_be_overlooked() -> None:
    data = two_hospitals()
    rows = data.results.with_columns(
        pl.when(pl.col("metric") == "auroc_drop").then(None).otherwise(pl.col(name)).alias(name)
        for name in ("value", "low", "high")
    )
    front = front_page(replace(data, results=rows))
    assert "is unknown" in front.finding("shift").sentence
    assert "That nothing is lost at south: the loss could not be measured." in front.not_concluded


def test_what_was_not_studied_is_marked_and_must_not_be_concluded() -> None:
    front = front_page(report_data(areas()))
    assert [finding.mark for finding in front.findings] == [
        "shown",
        "not studied",
        "not studied",
        "not studied",
        "not shown",
    ]
    assert "That it works at another hospital: none was tested." in front.not_concluded
    assert "That it serves all patients alike: no group was looked at." in front.not_concluded


def test_a_difference_that_fails_after_correction_is_not_marked_as_shown() -> None:
    finding = front_page(report_data(areas(), (0.1, 0.01, 0.2, 0.2))).finding("transfer")
    assert finding.mark == "not shown"
    assert "do not differ significantly" in finding.sentence


def test_a_study_page_gives_the_recommendation_of_its_tables(finished: StudyFolder) -> None:
    data = with_choice(load_study_data(finished))
    recommendation = recommend(finished)
    front = front_page(data)
    assert front.recommended == recommendation.rung == data.chosen
    text = text_of(render_front(data))
    for rung in data.rungs:
        assert rung in text
    assert consistent(front, data.results)


@pytest.mark.slow
def test_an_evaluation_page_agrees_with_its_results(evaluation: Path) -> None:
    data = load_evaluation_data(evaluation)
    front = front_page(data)
    assert front.recommended is None
    assert "a recommendation needs" in front.reason
    assert consistent(front, data.results)
    assert len(front.curve) == 4


def consistent(front: FrontPage, results: pl.DataFrame) -> bool:
    """True if every AUROC and every loss of the page is in the results table."""
    rows = results.filter(
        (pl.col("rung") == front.subject)
        & pl.col("run_id").is_null()
        & (pl.col("attribute") == "all")
        & (pl.col("label_fraction") == results["label_fraction"].max())
        & pl.col("retrain_fraction").is_null()
    )

    def holds(cohort: str, metric: str, value: float | None) -> bool:
        of_metric = rows.filter((pl.col("cohort") == cohort) & (pl.col("metric") == metric))
        return value in of_metric["value"].to_list()

    return all(
        holds(hospital.cohort, "auroc", hospital.auroc.value)
        and (hospital.drop is None or holds(hospital.cohort, "auroc_drop", hospital.drop.value))
        for hospital in front.hospitals
    )


def text_of(page: str) -> str:
    """The words of a page, without markup and no-break spaces."""
    visible = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", " ", visible)).replace("\u00a0", " ")
    return " ".join(text.split())


def test_a_recommended_rung_heads_the_page_and_its_details() -> None:
    data = replace(two_hospitals(), chosen=OTHER)
    assert front_page(data).subject == OTHER
    assert front_page(data).subject_reason == "the recommended rung"
