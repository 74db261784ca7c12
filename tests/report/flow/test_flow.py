"""Flow of the data: counts at every level, and their drawing."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report.ladders import Ladder, write_evaluation

from medtransfer.report.components import Figure, Note
from medtransfer.report.content import ReportData, ReportedFinding, SplitCounts
from medtransfer.report.flow.counts import MEASURES, FlowTexts, flow_texts
from medtransfer.report.flow.diagram import MAX_COHORTS, flow_parts
from medtransfer.report.formats.figure_files import figure_numbers
from medtransfer.report.page import render
from medtransfer.report.questions.method import method
from medtransfer.report.reading import load_evaluation_data

LEAST = 10
SVG = "{http://www.w3.org/2000/svg}"


def count(cohort: str, split: str, number: int, **more: int) -> SplitCounts:
    return SplitCounts(
        cohort=cohort,
        split=split,
        cases=number,
        patients=more.get("patients", number),
        positive={"edema": 0},
        masked={"edema": more.get("masked", 0)},
        images=more.get("images", number),
    )


@st.composite
def flows(draw: st.DrawFn) -> list[SplitCounts]:
    """Some cohorts, each with some of the splits."""
    counts: list[SplitCounts] = []
    for cohort in "abc"[: draw(st.integers(1, 3))]:
        for split in draw(st.sampled_from([("test",), ("train", "tune", "test"), ("train",)])):
            patients = draw(st.integers(0, 40))
            images = patients + draw(st.integers(0, 12))
            counts.append(count(cohort, split, images, patients=patients, images=images))
    return counts


def gives_away(total: str, parts: list[str], numbers: list[int]) -> bool:
    """True if a total less what is in sight says one small number, or a sum of small ones."""
    hidden = [n for text, n in zip(parts, numbers, strict=True) if text != f"{n:,}"]
    small = [n for n in hidden if 0 < n < LEAST]
    is_said = total.replace(",", "").isdigit()
    return bool(small) and is_said and (len(hidden) == 1 or sum(hidden) < LEAST)


@given(flows())
def test_no_printed_total_gives_a_small_count_away(counts: list[SplitCounts]) -> None:
    texts = flow_texts(counts, LEAST)
    for measure in MEASURES:
        of = {(c.cohort, c.split): getattr(c, measure) for c in counts}
        for cohort, printed in texts.cohorts.items():
            inside = [part for part in of if part[0] == cohort]
            shown = [texts.splits[part][measure] for part in inside]
            numbers = [of[part] for part in inside]
            if sum(numbers) >= 2 * LEAST and any(n >= LEAST for n in numbers):
                assert not gives_away(printed[measure], shown, numbers)
            if not printed[measure].replace(",", "").isdigit():  # nor is it their sum
                assert not any(
                    n >= LEAST and t == f"{n:,}" for n, t in zip(numbers, shown, strict=True)
                )
        assert not any(
            text == str(number)
            for part, number in of.items()
            for text in [texts.splits[part][measure]]
            if 0 < number < LEAST
        )


@given(flows())
def test_a_part_is_hidden_in_all_measures_or_in_none(counts: list[SplitCounts]) -> None:
    texts = flow_texts(counts, LEAST)
    for c in counts:
        shown = texts.splits[c.cohort, c.split]
        hidden = {shown[m] != f"{getattr(c, m):,}" for m in MEASURES if getattr(c, m)}
        assert len(hidden) <= 1


def test_counts_that_are_large_add_up() -> None:
    counts = [count("a", "train", 60), count("a", "test", 30), count("b", "test", 1200)]
    assert flow_texts(counts, LEAST) == FlowTexts(
        total=dict.fromkeys(MEASURES, "1,290"),
        cohorts={"a": dict.fromkeys(MEASURES, "90"), "b": dict.fromkeys(MEASURES, "1,200")},
        splits={
            ("a", "train"): dict.fromkeys(MEASURES, "60"),
            ("a", "test"): dict.fromkeys(MEASURES, "30"),
            ("b", "test"): dict.fromkeys(MEASURES, "1,200"),
        },
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    folder = write_evaluation(Ladder(attributes=()), tmp_path_factory.mktemp("flow"))
    return replace(
        load_evaluation_data(folder),
        counts=(
            count("north", "tune", 40, images=60),
            count("north", "test", 300, images=410, masked=17),
            count("south & east", "test", 120, masked=3),
        ),
        findings=(
            ReportedFinding("A004", "warning", "Look-alikes", "2 pairs look alike.", "twins"),
            ReportedFinding("B001", "info", "Uncertain", "Some are uncertain.", None),
        ),
    )


def drawing_of(data: ReportData) -> Figure:
    figure = flow_parts(data)[0]
    assert isinstance(figure, Figure)
    return figure


def test_the_drawing_has_every_box_and_its_words_as_alternative(data: ReportData) -> None:
    figure, waived = drawing_of(data), flow_parts(data)[1]
    drawing = ET.fromstring(str(figure.svg))
    texts = [element.text or "" for element in drawing.iter(f"{SVG}text")]
    assert len(list(drawing.iter(f"{SVG}rect"))) == 1 + 2 + 3
    for wanted in (
        "590 images",
        "460 cases",
        "2 findings",
        "17 without a label of edema",
        "<10 without",
    ):
        assert any(wanted in text for text in texts), wanted
    title = drawing.find(f"{SVG}title")
    assert title is not None
    assert "south & east: 120 images, 120 cases, 120 patients" in (title.text or "")
    assert drawing.get("role") == "img"
    assert isinstance(waived, Note)
    assert waived.text == "Waived, A004: 2 pairs look alike. Reason: twins"


def test_the_figure_has_its_numbers_as_data(data: ReportData) -> None:
    numbers = figure_numbers(drawing_of(data))
    assert numbers.filter(pl.col("cohort") == "all")["cases"].to_list() == ["460"]
    assert len(numbers) == 1 + 2 + 3


@pytest.mark.slow
def test_the_methods_show_it_before_the_table_and_the_page_draws_it_once(data: ReportData) -> None:
    kinds = [part.kind for part in method(data).parts]
    assert kinds[:3] == ["figure", "note", "table"]
    page = render(data)
    assert page.count('class="flow"') == 1
    assert 'data-chart="flow"' not in page
    assert re.search(
        r'<div class="drawing"[^>]*><svg', page
    )  # scripts wait until nothing is static any more


def test_many_cohorts_are_in_the_table_alone(data: ReportData) -> None:
    many = replace(data, counts=tuple(count(f"h{n:02}", "test", 50) for n in range(20)))
    svg = str(drawing_of(many).svg)
    assert f"{20 - MAX_COHORTS} more cohorts" in svg
    assert svg.count("<rect") == 1 + 2 * MAX_COHORTS + 1


def test_data_without_counts_have_no_flow(data: ReportData) -> None:
    assert flow_parts(replace(data, counts=())) == []
