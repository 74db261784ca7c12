"""The report of any predictions table: no study, no training, no images."""

import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.prediction_tables import Site
from tests.report.ladders import AWAY, HOME, LARGE, QUICK, SITES, SMALL, Ladder, write_evaluation

from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.files import read_json, write_json
from medtransfer.metrics.catalog import CATALOG
from medtransfer.report.components import Component, Fold, ReportTable, Section, figures_of
from medtransfer.report.page import all_sections, write_evaluation_report
from medtransfer.report.questions.metric_tables import TOPICS
from medtransfer.report.reading import load_evaluation_data


def sections_of(folder: Path) -> dict[str, Section]:
    return {section.title: section for section in all_sections(load_evaluation_data(folder))}


def tables_of(parts: list[Component]) -> list[ReportTable]:
    tables: list[ReportTable] = []
    for part in parts:
        if isinstance(part, ReportTable):
            tables.append(part)
        elif isinstance(part, Fold):
            tables += tables_of(list(part.parts))
    return tables


def table_with(section: Section, *heads: str) -> ReportTable:
    """The first table of a section that has some columns."""
    return next(t for t in tables_of(list(section.parts)) if set(heads) <= set(t.head))


@pytest.fixture(scope="module")
def sections(evaluation: Path) -> dict[str, Section]:
    return sections_of(evaluation)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Section]:
    """Three findings, one of them of no positive case at the other hospital."""
    ladder = Ladder(
        "multi-label", ("edema", "effusion", "mass"), config=replace_points(("sens90", "youden"))
    )
    return sections_of(write_evaluation(ladder, tmp_path_factory.mktemp("several")))


def replace_points(points: tuple[str, ...]):
    return QUICK.model_copy(update={"operating_points": points})


@pytest.mark.slow
def test_every_question_has_its_answer_its_charts_and_its_tables(
    sections: dict[str, Section],
) -> None:
    charts = {
        title: [figure.name for figure in figures_of(section.parts)]
        for title, section in sections.items()
    }
    assert charts == {
        "Transfer": ["ladder", "roc", "pr"],
        "Shift": ["shift", "retrain"],
        "Data efficiency": ["labels"],
        "Fairness": ["groups-0", "groups-1"],
        "Uncertainty": [
            "reliability-1",
            "reliability-0",
            "decision",
            "risk-coverage",
            "sets",
            "ood",
        ],
        "Methods": ["flow"],
        "Limitations": [],
    }
    for section in list(sections.values())[:5]:
        assert section.answer is not None
        assert section.lead.startswith(section.answer.sentence)
        assert tables_of(list(section.parts))


@pytest.mark.slow
def test_the_better_network_and_the_weaker_group_are_named(sections: dict[str, Section]) -> None:
    lead = sections["Transfer"].lead
    assert re.match(rf"On {HOME}, {LARGE} is better than {SMALL} by 0\.\d+ AUROC", lead)
    assert f"It is better than {SMALL} on {AWAY}" in sections["Shift"].lead
    assert "(lowest: F, " in sections["Fairness"].lead  # whose signal was made weaker


@pytest.mark.slow
def test_assumptions_are_named(evaluation_page: Path) -> None:
    text = evaluation_page.read_text("utf-8")
    assert "<title>chest: evaluation</title>" in text
    assert "was taken as a probability: all values are between 0 and 1." in text
    assert "<h2>Runs and costs</h2>" not in text
    assert evaluation_page.stat().st_size < 4e6


@pytest.mark.slow
def test_differences_come_with_every_p_value_and_both_spreads(
    sections: dict[str, Section],
) -> None:
    table = table_with(sections["Transfer"], "Difference", "p", "p (Holm)", "p (BH)")
    assert {"SD over seeds", "SD over patients"} <= set(table.head)
    assert [row[:2] for row in table.rows] == [
        [SMALL, HOME],
        [SMALL, AWAY],
        [LARGE, HOME],
        [LARGE, AWAY],
    ]
    assert "Non-inferior" not in " ".join(table.head)  # no margin was stated


@pytest.mark.slow
def test_every_metric_of_the_catalogue_has_a_topic() -> None:
    listed = [metric.name for metrics in TOPICS.values() for metric in metrics]
    assert sorted(listed) == sorted(CATALOG)


@pytest.mark.slow
def test_net_benefit_stands_beside_treating_all_at_every_stated_threshold(
    sections: dict[str, Section],
) -> None:
    uncertainty = sections["Uncertainty"]
    table = table_with(uncertainty, "Threshold", "Treat all", "Net benefit", f"Against {SMALL}")
    assert [row[:2] for row in table.rows] == [
        [cohort, f"{percent}%"] for cohort in (HOME, AWAY) for percent in (5, 10, 20, 30, 50)
    ]
    by_group = table_with(uncertainty, "Attribute", "Threshold", "Net benefit")
    assert {row[0] for row in by_group.rows} == {"sex", "age"}


@pytest.mark.slow
def test_delong_stands_beside_the_bootstrap(sections: dict[str, Section]) -> None:
    table = table_with(sections["Transfer"], "Metric", SMALL, LARGE)
    rows = [row[0] for row in table.rows]
    assert "AUROC (DeLong interval)" in rows


@pytest.mark.slow
def test_a_group_too_small_is_given_as_its_count(sections: dict[str, Section]) -> None:
    fairness = sections["Fairness"]
    tables = [t for t in tables_of(list(fairness.parts)) if t.caption == "Groups."]
    by_age = {(row[0], row[1]): row for row in tables[1].rows}
    small = by_age["over 90", HOME]
    assert small[2:4] == ["<10", "<10"]
    assert set(small[4:]) == {"– ᵃ"}
    assert "ᵃ fewer than 10 cases" in tables[1].notes
    figure = next(f for f in figures_of(fairness.parts) if f.name == "groups-1")
    rows = [row for row in figure.spec["datasets"]["rows"] if "over 90" in row["row"]]
    assert all(row["value"] is None and row["note"] == "fewer than 10 cases" for row in rows)
    assert f"over 90, {HOME} (<10)" in {row["row"] for row in rows}
    assert "fewer than 10 cases" in str(figure.svg)


@pytest.mark.slow
def test_gaps_have_worst_group_ratio_and_equalised_odds(sections: dict[str, Section]) -> None:
    table = table_with(sections["Fairness"], "Worst group", "Gap", "p")
    names = [row[0] for row in table.rows]
    assert "Equalised odds at sens90" in names
    assert "Under-diagnosis rate at sens90" in names
    assert "Share predicted positive at sens90" in names


@pytest.mark.slow
def test_uncertainty_holds_calibrators_sets_and_ood_detection(
    sections: dict[str, Section],
) -> None:
    section = sections["Uncertainty"]
    calibrators = table_with(section, "None", "Logistic (Platt) scaling", "Isotonic regression")
    assert len(calibrators.rows) == 4
    assert "Vector scaling" not in calibrators.head  # for several classes only
    groups = table_with(section, "Coverage, group-conditional")
    assert {row[0] for row in groups.rows} == {"sex", "age"}
    detectors = table_with(section, "Detector", "FPR at 95% TPR")
    assert [row[1] for row in detectors.rows[:2]] == [HOME, AWAY]
    assert detectors.rows[0][2] == "–"  # the internal test set is not separated from itself


@pytest.mark.slow
def test_targets_are_rows_where_there_are_several(several: dict[str, Section]) -> None:
    table = table_with(several["Transfer"], "Target", "Rung", "Positive")
    assert [row[0] for row in table.rows] == [
        "edema",
        "edema",
        "effusion",
        "effusion",
        "mass",
        "mass",
    ]
    assert {"AUROC", "AUROC (DeLong interval)", "AUPRC"} <= set(table.head)
    points = [t for t in tables_of(list(several["Shift"].parts)) if "PPV" in t.head]
    captions = [t.caption.removeprefix("Threshold with ").split(", applied")[0] for t in points]
    assert captions == [
        "90% sensitivity on the tuning split (sens90)",
        "the largest sum of sensitivity and specificity on the tuning split (youden)",
    ]
    reasons = [t.notes for t in tables_of(list(several["Fairness"].parts)) if t.notes]
    assert all("3 of 3 targets" not in note for notes in reasons for note in notes)


@pytest.mark.slow
def test_classes_are_kept_apart_from_the_case_as_a_whole(tmp_path: Path) -> None:
    ladder = Ladder("single-label", ("nevus", "melanoma", "scar"), attributes=())
    folder = write_evaluation(ladder, tmp_path)
    sections = sections_of(folder)
    assert table_with(sections["Transfer"], "Target").rows[0][0] == "nevus"
    text = write_evaluation_report(folder).read_text("utf-8")
    assert "Classes: nevus " in text
    assert "Each curve is the mean of the curves of 3 classes." in text
    vector = table_with(sections["Uncertainty"], "None", "Vector scaling")
    assert all(cell != "–" for row in vector.rows for cell in row)
    sets = next(f for f in figures_of(sections["Uncertainty"].parts) if f.name == "sets")
    assert "adaptive sets (APS)" in str(sets.svg)
    assert sections["Fairness"].lead == "Not studied: no attribute was named."


@pytest.mark.slow
def test_one_network_at_one_hospital_leaves_questions_open(tmp_path: Path) -> None:
    ladder = Ladder(noise={"logistic regression": 1.0}, sites={HOME: SITES[HOME]}, attributes=())
    folder = write_evaluation(ladder, tmp_path)
    text = write_evaluation_report(folder).read_text("utf-8")
    assert text.count('<li class="not-studied">') == 4  # nothing to compare with either
    assert "Only logistic regression was evaluated" in text
    for title in ("Transfer", "Shift", "Data efficiency", "Fairness", "Uncertainty"):
        assert f"<h2>{title}</h2>" in text


@pytest.mark.slow
def test_a_report_needs_no_curves(tmp_path: Path) -> None:
    folder = write_evaluation(Ladder(attributes=()), tmp_path)
    for path in (folder / "curves").iterdir():
        path.unlink()
    figures = [f.name for s in sections_of(folder).values() for f in figures_of(s.parts)]
    assert figures == ["ladder", "shift", "sets", "flow"]


@pytest.mark.slow
def test_margins_have_their_columns(tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"margin": 0.05})
    sections = sections_of(write_evaluation(Ladder(attributes=(), config=config), tmp_path))
    table = table_with(
        sections["Transfer"], "Non-inferior (margin 0.05)", "Equivalent (margin 0.05)"
    )
    verdicts = {row[table.head.index("Equivalent (margin 0.05)")] for row in table.rows}
    assert all(v == "–" or v.startswith(("shown, p", "not shown, p")) for v in verdicts)
    assert "Margin" in [name for name, _ in sections["Methods"].parts[2].rows]  # type: ignore[union-attr]


@pytest.mark.slow
def test_long_names_are_short_on_the_page_and_whole_once(tmp_path: Path) -> None:
    names = [f"a-vendor-of-networks/a-network-of-{size}-million-weights-at-224" for size in (5, 50)]
    sites = {**SITES, AWAY: Site({"test": 60})}
    ladder = Ladder(noise=dict(zip(names, (3.0, 0.5), strict=True)), sites=sites, attributes=())
    text = write_evaluation_report(write_evaluation(ladder, tmp_path)).read_text("utf-8")
    assert "…50…" in text
    assert all(text.count(name) == 2 for name in names)  # on page one, and in the table of rungs


@pytest.mark.slow
def test_facts_of_the_ladder_are_known_and_can_be_given(evaluation: Path, tmp_path: Path) -> None:
    assert load_evaluation_data(evaluation).rung_infos[1].pretraining == "ImageNet-21k"
    for path in evaluation.glob("*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    document = read_json(evaluation / "evaluation.json")
    document["rungs"] = [
        {"name": SMALL, "images": 7},
        {"name": LARGE, "pretraining": "our own films"},
    ]
    write_json(tmp_path / "evaluation.json", document)
    first, second = load_evaluation_data(tmp_path).rung_infos
    assert (first.images, second.pretraining, second.parameters) == (7, "our own films", 23_500_352)


@pytest.mark.slow
def test_effects_of_scale_cover_every_question_and_group(tmp_path: Path) -> None:
    sizes = {"r14x1": 8e6, "r50x1": 2.4e7}
    scales = {"bit-s": ("some", 1.3e6), "bit-m": ("many", 1.4e7)}
    noise = {"bit-s/r14x1": 3.0, "bit-s/r50x1": 2.0, "bit-m/r14x1": 1.0, "bit-m/r50x1": 0.5}
    facts = tuple(
        RungFacts(rung, sizes[network], images, network, name)
        for rung in noise
        for init, network in [rung.split("/")]
        for name, images in [scales[init]]
    )
    ladder = Ladder(noise=noise, fractions=(0.2, 1.0), facts=facts, attributes=("sex",))
    sections = sections_of(write_evaluation(ladder, tmp_path))
    table = next(
        t for s in sections.values() for t in tables_of(list(s.parts)) if "Network × 10" in t.head
    )
    effect = {(row[0], row[1]): row[3] for row in table.rows}
    assert all(effect["AUROC", place].startswith("0.") for place in (HOME, AWAY))
    assert effect["Mean AUROC of the learning curve", HOME].startswith("0.")
    assert "[" in effect["AUROC drop", AWAY]
    assert ("AUROC drop", HOME) not in effect
    assert {title for title, _ in effect} >= {"AUROC, sex: F", "AUROC, sex: M"}


@pytest.mark.slow
def test_a_folder_without_an_evaluation_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="it is not an evaluation folder. `medtransfer"):
        write_evaluation_report(tmp_path)


@pytest.mark.slow
def test_retrained_rungs_stay_out_of_the_comparison(evaluation: Path) -> None:
    data = load_evaluation_data(evaluation)
    extra = data.results.filter(pl.col("run_id").is_null(), pl.col("metric") == "auroc")
    extra = extra.with_columns(value=pl.lit(0.99), retrain_fraction=pl.lit(0.1))
    again = replace(data, results=pl.concat([data.results, extra]))
    assert again.result_row(SMALL, HOME, "auroc") == data.result_row(SMALL, HOME, "auroc")


@pytest.mark.slow
def test_charts_hold_no_identifier_and_their_data_once(evaluation_page: Path) -> None:
    text = evaluation_page.read_text("utf-8")
    assert f"{HOME}-p0" not in text
    charts = re.search(r'id="charts">(.*?)</script>', text, re.DOTALL)
    assert charts is not None
    for spec in json.loads(charts[1]).values():
        rest = {key: value for key, value in spec.items() if key != "datasets"}
        assert len(json.dumps(rest)) < 8000
