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
from medtransfer.report.content import Content, read_content
from medtransfer.report.figures import runtime
from medtransfer.report.parts import Figure, Section
from medtransfer.report.sections import all_sections
from medtransfer.report.summary import answers
from medtransfer.study.store import StudyFolder


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
    """Placeholder replaced by the report room's own."""
    return folder / "report.html"


def render(content: Content) -> str:
    """The page as text."""
    sections = all_sections(content)
    script = runtime(_asset("report.js"))
    if "</script" in script.lower():
        raise AssertionError("the chart library's script would end its own element")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    template = environment.from_string(_asset("report.html.j2"))
    return template.render(
        title=f"{content.study.name}: transfer study",
        data_line=_data_line(content),
        made_line=_made_line(content),
        answers=answers(content),
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
    specs = {
        part.name: part.spec
        for section in sections
        for part in section.parts
        if isinstance(part, Figure)
    }
    text = json.dumps(specs, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 — escaped above


def _data_line(content: Content) -> str:
    flow = content.data["flow"]
    cases = sum(row["cases"] for row in flow)
    cohorts = {row["cohort"] for row in flow}
    images = plural(content.data["images"], "image")
    shares: list[str] = []
    for target in list(content.study.data.targets)[:6]:
        positive = sum(row["positive"][target] for row in flow)
        known = sum(row["cases"] - row["masked"][target] for row in flow)
        shares.append(f"{target} {positive / known:.0%}" if known else f"{target} unlabelled")
    more = len(content.study.data.targets) - 6
    listed = ", ".join(shares) + (f" and {more} more" if more > 0 else "")
    where = plural(len(cohorts), "cohort")
    return f"{images} of {plural(cases, 'case')} in {where}. Positive: {listed}."


def _made_line(content: Content) -> str:
    rungs = plural(len(content.rungs), "rung")
    today = datetime.now(UTC).date().isoformat()
    return f"{rungs}, {today}, medtransfer {version('medtransfer')}."
