"""Export of a finished study's report as PDF, slides, tables and figures."""

from dataclasses import dataclass
from pathlib import Path

from medtransfer.errors import ConfigError
from medtransfer.files import make_folder, write_bytes, write_json, write_text
from medtransfer.language.translation import ENGLISH, Language
from medtransfer.report.cards.croissant import croissant_text
from medtransfer.report.cards.model_card import card_text, model_card
from medtransfer.report.checklists.about import About, about_template, read_about
from medtransfer.report.checklists.fill import checklist_text
from medtransfer.report.checklists.proofs import proofs_of
from medtransfer.report.components import Figure, Reader, Section
from medtransfer.report.content import ReportData
from medtransfer.report.figures import png_of
from medtransfer.report.formats.figure_files import all_figures, standalone, write_figures
from medtransfer.report.formats.latex import latex_tables
from medtransfer.report.formats.main_tables import main_tables
from medtransfer.report.formats.pdf import find_browser, pdf_of
from medtransfer.report.formats.slides import SlidePicture, slides_of
from medtransfer.report.formats.word import word_tables
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.names import with_readable_names, with_short_names
from medtransfer.report.page import all_sections, sealed_writes, study_page, with_choice
from medtransfer.report.reading import load_study_data
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.yaml_file import read_study


@dataclass(frozen=True)
class ReportFormats:
    """Files to write beside the report; None writes nothing.

    Attributes:
        pdf: The report as PDF, of one reader's pages.
        slides: Figures and main tables as PowerPoint.
        figures: Folder for every figure as SVG, PNG and CSV.
        tables: Folder for the main tables as LaTeX and, with python-docx, Word.
        reader: The reader whose pages are printed.
        language: Of page one and of the clinic's pages in the PDF; other files are in English.
        checklists: CLAIM 2024, TRIPOD+AI, STARD-AI, FUTURE-AI, the FDA's example model card and
            Annex IV of the EU AI Act, filled, as Markdown.
        about: Statements that only people can make, for checklists and cards; a file that does not
            exist is written, to be filled in.
        model_card: Card of the recommended network as Markdown, and as JSON beside it.
        croissant: Description of the manifest as Croissant 1.1, without ids.
    """

    pdf: Path | None = None
    slides: Path | None = None
    figures: Path | None = None
    tables: Path | None = None
    reader: Reader = "methods"
    language: Language = ENGLISH
    checklists: Path | None = None
    about: Path | None = None
    model_card: Path | None = None
    croissant: Path | None = None


@dataclass(frozen=True)
class ReportFiles:
    """Files that were written, and those that were not, in sentences."""

    paths: tuple[Path, ...]
    missing: tuple[str, ...] = ()


def export_report(study: StudyFolder | Path, formats: ReportFormats) -> ReportFiles:
    """Write a finished study's report in other formats; runs nothing again.

    Args:
        study: The study's folder, as `run_study` returns it, or its path.
        formats: The files.

    Returns:
        The files, and a sentence on each that could not be written.

    Raises:
        StudyError: The folder holds no finished run, or the PDF cannot be printed.
        ConfigError: A package is missing that the slides need.
    """
    folder = study if isinstance(study, StudyFolder) else StudyFolder(study)
    if formats.pdf is not None:
        find_browser()  # before the page is drawn
    with sealed_writes(folder):  # the files may lie in the study's folder
        return _export(folder, formats)


def _export(folder: StudyFolder, formats: ReportFormats) -> ReportFiles:
    data = load_study_data(folder)
    paths: list[Path] = []
    missing: list[str] = []
    if formats.pdf is not None:
        page = study_page(folder, data, formats.reader, formats.language)
        write_bytes(formats.pdf, pdf_of(page, data.name))
        paths.append(formats.pdf)
    if formats.tables is not None:
        written, missing = _write_tables(data, formats.tables)
        paths += written
    paths += _write_statements(folder, data, formats)
    if formats.figures is not None or formats.slides is not None:
        chosen = with_short_names(with_choice(data))
        sections = all_sections(chosen)
        if formats.figures is not None:
            paths += write_figures(sections, formats.figures)
        if formats.slides is not None:
            write_bytes(formats.slides, _slides(data, sections))
            paths.append(formats.slides)
    return ReportFiles(tuple(paths), tuple(missing))


def _write_tables(data: ReportData, folder: Path) -> tuple[list[Path], list[str]]:
    """The main tables as files, and a sentence if the Word file could not be written."""
    readable = with_readable_names(with_choice(data))
    tables = main_tables(readable, front_page(readable))
    make_folder(folder)
    path = folder / "main-tables.tex"
    write_text(path, latex_tables(tables))
    try:
        content = word_tables(data.name, tables)
    except ConfigError as error:
        return [path], [str(error)]
    write_bytes(path.with_suffix(".docx"), content)
    return [path, path.with_suffix(".docx")], []


def _write_statements(folder: StudyFolder, data: ReportData, formats: ReportFormats) -> list[Path]:
    """Files that hold statements of people, and the statements to fill in if there are none yet."""
    if formats.checklists is None and formats.model_card is None and formats.croissant is None:
        return []
    source, written = formats.about, list[Path]()
    statements: About = {}
    if source is not None and source.exists():
        statements = read_about(source)
    elif source is not None:
        write_text(source, about_template())
        written.append(source)
    readable = with_readable_names(with_choice(data))
    front = front_page(readable)
    if (path := formats.checklists) is not None:
        write_text(path, checklist_text(data.name, proofs_of(readable, front), statements))
        written.append(path)
    if (path := formats.model_card) is not None:
        card = model_card(readable, front, statements)
        write_text(path, card_text(card))
        write_json(path.with_suffix(".json"), card.plain())
        written += [path, path.with_suffix(".json")]
    if (path := formats.croissant) is not None:
        study = read_study(folder.path / "study.yaml")
        write_text(path, croissant_text(data, study, statements))
        written.append(path)
    return written


def _slides(data: ReportData, sections: list[Section]) -> bytes:
    readable = with_readable_names(with_choice(data))
    front = front_page(readable)
    pictures = [_picture(title, figure) for title, figure in all_figures(sections)]
    return slides_of(front, main_tables(readable, front)[:2], pictures)


def _picture(section: str, figure: Figure) -> SlidePicture:
    title = f"{section}: {figure.title}" if figure.title else section
    return SlidePicture(title, png_of(standalone(figure)), figure.caption)
