"""One HTML file: offline, readable with scripts off, nothing fetched from anywhere."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from medtransfer.errors import plural
from medtransfer.files import write_text
from medtransfer.report.components import Answer, Section, figures_of, with_short_names
from medtransfer.report.content import ReportData
from medtransfer.report.figures import runtime
from medtransfer.report.questions import efficiency, fairness, shift, transfer, uncertainty
from medtransfer.report.questions.method import limits, method, runs
from medtransfer.report.reading import read_content, read_evaluation
from medtransfer.report.text import unbroken
from medtransfer.runs.folders import StudyFolder

QUESTIONS = (transfer, shift, efficiency, fairness, uncertainty)


def all_sections(content: ReportData) -> list[Section]:
    """Every section; a question that was not studied has one that says so."""
    sections = [question.section(content) for question in QUESTIONS]
    sections += [section for section in (runs(content), method(content)) if section is not None]
    return [*sections, limits(content)]


def answers(content: ReportData) -> list[Answer]:
    """One card per question."""
    return [question.answer(content) for question in QUESTIONS]


REPORT = "report.html"
NAMED = 6
"""Targets whose prevalence the first line gives."""


def write_report(folder: StudyFolder | Path) -> Path:
    """Write a study's report from its folder; runs nothing again.

    Returns:
        ``report.html`` in the folder.

    Raises:
        StudyError: The folder holds no finished run.
    """
    folder = folder if isinstance(folder, StudyFolder) else StudyFolder(folder)
    write_text(folder.report, render(read_content(folder)))
    return folder.report


def write_evaluation_report(folder: Path) -> Path:
    """Write the report of an evaluation from the folder that it left.

    Returns:
        ``report.html`` in the folder.

    Raises:
        StudyError: It is not the folder of an evaluation.
    """
    write_text(folder / REPORT, render(read_evaluation(folder)))
    return folder / REPORT


def render(content: ReportData) -> str:
    """The page as text."""
    content = with_short_names(content)
    sections = all_sections(content)
    script = runtime(_asset("report.js"))
    if "</script" in script.lower():
        raise AssertionError("the chart library's script would end its own element")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters["unbroken"] = unbroken
    template = environment.from_string(_asset("report.html.j2"))
    return template.render(
        title=f"{content.name}: {content.what}",
        data_line=_data_line(content),
        made_line=_made_line(content),
        sections=sections,
        css=Markup(_asset("report.css")),  # noqa: S704 — our own file
        script=Markup(script),  # noqa: S704 — the library's and our own file
        script_hash=_csp_hash(script),
        charts=_json_for_html(sections),
    )


def _asset(name: str) -> str:
    return (files("medtransfer.report") / "assets" / name).read_text("utf-8")


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _json_for_html(sections: list[Section]) -> Markup:
    """The charts' specifications, with what could end or open an element escaped."""
    drawn = (part for section in sections for part in figures_of(section.parts))
    text = json.dumps({figure.name: figure.spec for figure in drawn}, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 — escaped above


def _data_line(content: ReportData) -> str:
    counts = content.counts
    cases = plural(sum(count.cases for count in counts), "case")
    images = sum(count.images or 0 for count in counts)
    where = plural(len({count.cohort for count in counts}), "cohort")
    shares: list[str] = []
    for target in content.targets[:NAMED]:
        positive = sum(count.positive.get(target, 0) for count in counts)
        known = sum(count.cases - count.masked.get(target, 0) for count in counts)
        shares.append(f"{target} {positive / known:.0%}" if known else f"{target} unlabelled")
    more = len(content.targets) - NAMED
    listed = ", ".join(shares) + (f" and {more} more" if more > 0 else "")
    what = f"{plural(images, 'image')} of {cases}" if images else cases
    patients = plural(sum(count.patients for count in counts), "patient")
    word = "Classes" if content.task == "single-label" else "Positive"
    return f"{what} of {patients} in {where}. {word}: {listed}."


def _made_line(content: ReportData) -> str:
    rungs = plural(len(content.rungs), "rung")
    today = datetime.now(UTC).date().isoformat()
    return (
        f"{rungs} (a rung is a network with the weights it starts from), {today}, "
        f"medtransfer {version('medtransfer')}."
    )
