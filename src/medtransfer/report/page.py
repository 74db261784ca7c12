"""The report's page: one HTML file that is offline, needs no script and makes no request."""

import base64
import hashlib
import json
import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from medtransfer.files import write_json, write_text
from medtransfer.language.translation import (
    ENGLISH,
    Language,
    in_language,
    language_in_use,
    require_language,
    translate,
    translated,
)
from medtransfer.report.beside.readers import readers_section
from medtransfer.report.beside.selection import selection_sections
from medtransfer.report.beside.verdict import verdict_section
from medtransfer.report.clinic.pages import clinic_sections
from medtransfer.report.components import (
    Answer,
    Reader,
    Section,
    figures_of,
    without_empty_rows,
)
from medtransfer.report.content import ReportData
from medtransfer.report.figures import chart_script
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.facts import FrontPage, Quantity
from medtransfer.report.front_page.head_lines import data_line, made_line
from medtransfer.report.front_page.names import with_readable_names, with_short_names
from medtransfer.report.front_page.pictures import auroc_scale, curve_pictures, interval_picture
from medtransfer.report.front_page.sentences import interval, left_out
from medtransfer.report.identifiers import NOT_SEARCHED, Identifiers, search_page
from medtransfer.report.questions import efficiency, fairness, shift, transfer, uncertainty, why
from medtransfer.report.questions.method import limits, method, runs
from medtransfer.report.reading import load_evaluation_data, load_study_data, study_identifiers
from medtransfer.report.recommendation import recommendation_of
from medtransfer.report.text import fixed, percent, unbroken
from medtransfer.runs.folders import Lease, StudyFolder

REPORT, FACTS = "report.html", "report.json"
QUESTIONS = (transfer, shift, efficiency, fairness, uncertainty)
LONGER_MARKS = """@media print, screen and (min-width: 45.01rem) {
  .findings li { grid-template-columns: 9.6rem 1fr; }
}
"""
"""Style of other languages than English, whose marks are longer."""
MAX_HOSPITALS = 6
"""Hospitals on the first page."""


@dataclass(frozen=True)
class PageHead:
    """Title and first lines of a page.

    Attributes:
        title: Of the page.
        data_line: The data that it is about.
        made_line: Origin of the page.
        front: The first page; a page without one opens with the cards of its sections.
        reader: Of two readers, the one whose pages are open at first; None if all have one reader.
    """

    title: str
    data_line: str
    made_line: str
    front: Markup = Markup()  # noqa: RUF009 — a text never changes
    reader: Reader | None = None


def write_report(
    folder: StudyFolder | Path, reader: Reader = "methods", language: Language = ENGLISH
) -> Path:
    """Write a study's report from its folder; runs nothing again.

    Args:
        folder: The study's folder, as `run_study` returns it, or its path.
        reader: The reader whose pages are open at first; the page holds those of both.
        language: Of the first page and the clinic's pages: `en`, `de`, `fr`, `es` or `pt`. All
            other text, and ``report.json``, stay English.

    Returns:
        ``report.html`` in the folder; beside it lies ``report.json``, the first page's facts.

    Raises:
        StudyError: The folder holds no finished run.
        ConfigError: The language is unknown.
    """
    require_language(language)
    folder = folder if isinstance(folder, StudyFolder) else StudyFolder(folder)
    data = load_study_data(folder)
    page, facts = study_page(folder, data, reader, language), report_facts(data)
    with sealed_writes(folder):
        _write(folder.path, page, facts)
    return folder.report


def study_page(
    folder: StudyFolder,
    data: ReportData,
    reader: Reader = "methods",
    language: Language = ENGLISH,
) -> str:
    """The page of a study, searched for identifiers.

    Args:
        folder: Of the study.
        data: Loaded from it.
        reader: The reader whose pages are open at first.
        language: Of the first page and the clinic's pages.
    """
    sections = selection_sections(folder)
    return searched_page(data, study_identifiers(folder), reader, sections, language=language)


@contextmanager
def sealed_writes(folder: StudyFolder) -> Generator[None]:
    """Seal what is written inside to a study's folder, unless a process works on the study."""
    lease = Lease(folder)
    if not lease.try_take():  # that process seals the files at its end
        yield
        return
    try:
        with folder.sealing():
            yield
    finally:
        lease.drop()


def write_evaluation_report(
    folder: Path,
    identifiers: Identifiers | None = None,
    *,
    language: Language = ENGLISH,
    spoken: Sequence[str] = (),
) -> Path:
    """Write an evaluation's report from its folder.

    Args:
        folder: Of the evaluation.
        identifiers: Texts that the page is searched for; None searches for nothing, and says so.
        language: Of the first page and the clinic's pages.
        spoken: Verdict of a validation in that language; the English one of the folder by default.

    Returns:
        ``report.html`` in the folder.

    Raises:
        StudyError: It is not an evaluation folder.
        ConfigError: The language is unknown.
    """
    require_language(language)
    data = replace(load_evaluation_data(folder), spoken=tuple(spoken))
    _write(folder, searched_page(data, identifiers, language=language), report_facts(data))
    return folder / REPORT


def _write(folder: Path, page: str, facts: Mapping[str, object]) -> None:
    """Write the page and its facts."""
    write_text(folder / REPORT, page)
    write_json(folder / FACTS, facts)


def report_facts(data: ReportData) -> dict[str, object]:
    """Facts of the first page, for machines."""
    front = front_page(with_readable_names(with_choice(data)))
    return {"medtransfer": version("medtransfer"), **front.plain()}


def searched_page(
    data: ReportData,
    identifiers: Identifiers | None,
    reader: Reader = "methods",
    more: Sequence[Section] = (),
    *,
    language: Language = ENGLISH,
) -> str:
    """The page, searched for identifiers, with a sentence on the search in it.

    Args:
        data: Of the report.
        identifiers: Of the cases behind it; None if they are not at hand.
        reader: The reader whose pages are open at first.
        more: Sections on what is not in its data.
        language: Of the first page and the clinic's pages.
    """
    page = render(data, reader, more, language=language)
    if identifiers is None:
        return page
    search = search_page(page, identifiers.without(_asked_names(data)), own_parts())
    if search.found:
        logging.getLogger(__name__).warning("report.html: %s", search.sentence())
    with in_language(language):
        return page.replace(escape(translate(NOT_SEARCHED)), escape(search.sentence()))


def _asked_names(data: ReportData) -> list[str]:
    """Names on the page that the user gave: of the study, targets, cohorts, groups and rungs."""
    columns = ("cohort", "attribute", "group", "target", "rung", "run_id", "metric")
    names = (data.results[name].drop_nulls().unique().to_list() for name in columns)
    return [data.name, *data.targets, *(str(name) for of_column in names for name in of_column)]


def render(
    data: ReportData,
    reader: Reader = "methods",
    more: Sequence[Section] = (),
    *,
    language: Language = ENGLISH,
) -> str:
    """The page as text, not searched for identifiers; arguments as for `searched_page`."""
    data = with_choice(data)
    *questions, last = all_sections(with_short_names(data))  # English, whatever the language is
    with in_language(language):
        return _rendered(data, reader, [*questions, *more, last])


def _rendered(data: ReportData, reader: Reader, methods: Sequence[Section]) -> str:
    """The page in the language in use, the sections of the methods as they are."""
    readable = with_readable_names(data)
    front = front_page(readable)
    data = with_short_names(data)
    head = PageHead(
        title=front.title,
        data_line=data_line(data),
        made_line=made_line(data),
        front=_front_html(data, front),
        reader=reader,
    )
    if data.spoken:
        methods = [verdict_section(data.spoken, is_translated=True), *methods[1:]]
    return page_text(head, [*clinic_sections(readable, front), *methods])


def page_text(head: PageHead, sections: Sequence[Section]) -> str:
    """A page of sections in the report's style: one file, offline, not searched for identifiers.

    Args:
        head: Its title and first lines.
        sections: In the order of the page.
    """
    script = chart_script(_asset("report.js"))
    if "</script" in script.lower():
        raise AssertionError("the chart library's script would end its own element")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            head=head,
            sections=sections,
            css=Markup(_style()),  # noqa: S704 — our own file
            script=Markup(script),  # noqa: S704 — the library's and our own file
            script_hash=_csp_hash(script),
            charts=_json_for_html(sections),
            search=translate(NOT_SEARCHED),
        )
    )


def _style() -> str:
    style = _asset("report.css")
    return style if language_in_use() == ENGLISH else style + LONGER_MARKS


def own_parts() -> tuple[str, str]:
    """Parts of a page that are the program's own and are not searched for identifiers."""
    return _asset("report.css"), chart_script(_asset("report.js"))


def with_choice(data: ReportData) -> ReportData:
    """The same data with the recommended rung, which its details are then of."""
    if data.pairs is None or len(data.rung_infos) < 2:
        return data
    return replace(data, chosen=recommendation_of(data).rung)


def render_front(data: ReportData) -> str:
    """The first page alone, as a part of a page; it needs none of the charts."""
    data = with_choice(data)
    return _front_html(data, front_page(with_readable_names(data)))


def _front_html(data: ReportData, front: FrontPage) -> Markup:
    first, *rest = data.targets
    scale = auroc_scale([hospital.auroc for hospital in front.hospitals])

    def dot(estimate: Quantity, name: str) -> Markup:
        return interval_picture(estimate, name, *scale)

    environment = _environment()
    environment.filters["dot"] = dot  # pyright: ignore[reportUnknownMemberType]  untyped
    text = environment.get_template("front_page.html.j2").render(
        front=front,
        one_target="" if rest else first,
        shown_hospitals=front.hospitals[:MAX_HOSPITALS],
        more_hospitals=max(0, len(front.hospitals) - MAX_HOSPITALS),
        scale=scale,
        curves=curve_pictures(front.curve, front.reference),
        renamed=any(name.readable != name.rung for name in front.names),
    )
    return Markup(text)  # noqa: S704 — its template escapes


def _environment() -> Environment:
    """The templates with the filters that they use."""

    def plain(text: str) -> str:
        return text.replace("`", "")

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        loader=FunctionLoader(_asset),
    )
    environment.filters.update(  # pyright: ignore[reportUnknownMemberType]  untyped
        unbroken=unbroken,
        folded=without_empty_rows,
        interval=interval,
        left_out=left_out,
        fixed=fixed,
        plain=plain,
        percent=percent,
    )
    environment.globals.update(  # pyright: ignore[reportUnknownMemberType]  untyped
        language=language_in_use(), translate=translate, translated=translated
    )
    return environment


def all_sections(data: ReportData) -> list[Section]:
    """Every section; the one of a question that was not studied says so."""
    sections = [question.section(data) for question in QUESTIONS]
    if data.understanding is not None:
        sections.append(why.section(data, data.understanding))
    if data.verdict:
        sections.insert(0, verdict_section(data.verdict))
    beside = (readers_section(data), runs(data), method(data))
    sections += [section for section in beside if section is not None]
    return [*sections, limits(data)]


def answers(data: ReportData) -> list[Answer]:
    """One card per question."""
    return [question.answer(data) for question in QUESTIONS]


def _asset(name: str) -> str:
    return (files("medtransfer.report") / "assets" / name).read_text("utf-8")


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _json_for_html(sections: Sequence[Section]) -> Markup:
    """The charts' specifications, with the characters escaped that could open or end an element."""
    figures = (
        figure for section in sections for figure in figures_of(section.parts) if figure.live
    )
    text = json.dumps({figure.name: figure.spec for figure in figures}, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 — escaped above
