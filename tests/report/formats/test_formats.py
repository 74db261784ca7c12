"""Other formats of a report, from hand-made data: each is read back by another program."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.front_page.test_build import two_hospitals

from medtransfer.errors import ConfigError, StudyError
from medtransfer.report.components import Figure, ReportTable, Section
from medtransfer.report.figures import Axis, figure, intervals
from medtransfer.report.formats import extras, pdf
from medtransfer.report.formats.figure_files import write_figures
from medtransfer.report.formats.latex import escaped, latex_table, latex_tables
from medtransfer.report.formats.main_tables import main_tables
from medtransfer.report.formats.slides import SlidePicture, slides_of
from medtransfer.report.formats.word import word_tables
from medtransfer.report.front_page.build import front_page
from medtransfer.report.page import report_facts

TABLE = ReportTable(
    ["A & B", "n"], [["50% of x_1", "−0.1 [0.2, 0.3]"]], "A caption.", frozenset({1})
)


@pytest.fixture(scope="module")
def chart() -> Figure:
    values = [{"row": "r", "cohort": "north", "value": 0.8, "low": 0.7, "high": 0.9}]
    spec = intervals(values, Axis("AUROC"), rows=["r"], cohorts=["north"])
    return figure("ladder", spec, "A caption.")


def test_the_main_tables_hold_the_numbers_of_the_first_page() -> None:
    data = two_hospitals()
    front = front_page(data)
    hospitals, rungs, answers = main_tables(data, front)
    assert hospitals.rows[1][0] == "south"
    assert hospitals.rows[1][-2] == "24 [14, 34]"
    assert any("0.100 [0.050, 0.150]" in cell for row in rungs.rows for cell in row)
    assert [row[1] for row in answers.rows] == [line.mark for line in front.findings]


def test_latex_escapes_what_tex_would_run() -> None:
    assert escaped("50% & x_1 \\input{a} −3") == (r"50\% \& x\_1 \textbackslash{}input\{a\} $-$3")
    text = latex_table(TABLE)
    assert r"\begin{tabular}{lr}" in text
    assert r"50\% of x\_1 & $-$0.1 [0.2, 0.3] \\" in text
    assert text.count(r"\\") == 2
    assert latex_tables([TABLE, TABLE]).count(r"\begin{table}") == 2


def test_word_tables_are_read_back_cell_by_cell() -> None:
    docx = pytest.importorskip("docx", reason="python-docx is not installed")
    document = docx.Document(io.BytesIO(word_tables("study\x07", [TABLE])))
    (table,) = document.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        list(TABLE.head),
        list(TABLE.rows[0]),
    ]


def test_slides_open_with_the_recommendation_and_show_the_figures(chart: Figure) -> None:
    pptx = pytest.importorskip("pptx", reason="python-pptx is not installed")
    from medtransfer.report.figures import png_of

    front = replace(front_page(two_hospitals()), verdict="Take Net A.", reason="It is better.")
    picture = SlidePicture("Transfer", png_of(str(chart.svg)), "A caption.")
    deck = pptx.Presentation(io.BytesIO(slides_of(front, [TABLE], [picture])))
    titles = [slide.shapes.title.text for slide in deck.slides]
    assert titles == [
        "Take Net A",
        "s: evaluation",
        "Must not be concluded",
        "A caption",
        "Transfer",
    ]
    pictures = [s for slide in deck.slides for s in slide.shapes if s.shape_type == 13]
    assert len(pictures) == 1
    assert pictures[0].top + pictures[0].height <= deck.slide_height


def test_a_missing_package_is_named_with_the_way_to_install_it() -> None:
    with pytest.raises(
        ConfigError, match=r"The Word file was not written: .*medtransfer\[office\]"
    ):
        extras.extra_module("no_such_module", "python-docx", "the Word file")


def test_every_figure_is_a_drawing_a_picture_and_its_numbers(chart: Figure, tmp_path: Path) -> None:
    paths = write_figures([Section("a", "A", parts=[chart])], tmp_path)
    assert [path.name for path in paths] == ["ladder.svg", "ladder.png", "ladder.csv"]
    assert "currentColor" not in paths[0].read_text("utf-8")
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    (row,) = csv.DictReader(io.StringIO(paths[2].read_text("utf-8")))
    assert (row["row"], row["value"], row["low"], row["high"]) == ("r", "0.8", "0.7", "0.9")


def test_the_facts_are_plain_json() -> None:
    facts = json.loads(json.dumps(report_facts(two_hospitals())))
    assert facts["hospitals"][1]["drop"] == {
        "value": 0.15,
        "low": 0.02,
        "high": 0.3,
        "reason": None,
    }
    assert next(line["topic"] for line in facts["findings"]) == "transfer"


def test_without_a_browser_no_pdf_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(StudyError, match="No PDF was written: it is printed by Chromium"):
        pdf.find_browser()


@pytest.mark.browser
def test_a_pdf_has_sheets_and_an_outline(chromium: str) -> None:
    body = "<h1>A</h1><h2>B</h2><script>1</script>"
    page = f"<html><head><style></style></head><body>{body}</body></html>"
    content = pdf.pdf_of(page, 'a "study" <x>')
    assert content.startswith(b"%PDF")
    assert b"/Outlines" in content
    assert "<script" not in pdf.printable(page, "x")
