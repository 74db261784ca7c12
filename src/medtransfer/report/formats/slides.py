"""PowerPoint file of a report (`pip install "medtransfer[office]"`)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medtransfer.report.components import ReportTable
from medtransfer.report.drawing import printable_texts
from medtransfer.report.formats.extras import extra_module
from medtransfer.report.front_page.facts import FrontPage

TITLE_ONLY, BULLETS = 5, 1
"""Layouts of the built-in template."""
CM = 360_000
"""Length units of a centimetre."""
MAX_ROWS = 12
"""Rows of a table that fit a slide."""


@dataclass(frozen=True)
class SlidePicture:
    """A figure as a picture.

    Attributes:
        title: Of its slide.
        png: The picture.
        caption: Below it.
    """

    title: str
    png: bytes
    caption: str


def slides_of(
    front: FrontPage, tables: Sequence[ReportTable], pictures: Sequence[SlidePicture]
) -> bytes:
    """A PowerPoint file: recommendation, answers, tables, and a slide a figure.

    Args:
        front: The first page's facts.
        tables: One slide each; rows that do not fit are counted.
        pictures: One slide each.

    Raises:
        ConfigError: python-pptx is not installed.
    """
    pptx = extra_module("pptx", "python-pptx", "the PowerPoint file")
    deck: Any = pptx.Presentation()
    deck.slide_width, deck.slide_height = 33 * CM + CM * 867 // 1000, 19 * CM + CM // 20
    _bullets(deck, front.verdict.rstrip("."), [front.reason, front.condition])
    _bullets(deck, front.title, [f"{f.question} {f.mark}: {f.sentence}" for f in front.findings])
    _bullets(deck, "Must not be concluded", front.not_concluded)
    for table in tables:
        _table(deck, table)
    for picture in pictures:
        _picture(deck, picture)
    content = io.BytesIO()
    deck.save(content)
    return content.getvalue()


def _slide(deck: Any, layout: int, title: str) -> Any:
    slide = deck.slides.add_slide(deck.slide_layouts[layout])
    shape = slide.shapes.title
    shape.left, shape.top, shape.width, shape.height = CM, CM // 2, 31 * CM, 2 * CM
    shape.text_frame.text = printable_texts(title)
    _size(shape.text_frame, 26)
    return slide


def _size(frame: Any, points: int) -> None:
    for paragraph in frame.paragraphs:
        for run in paragraph.runs:
            run.font.size = points * 12_700


def _bullets(deck: Any, title: str, sentences: Sequence[str]) -> None:
    slide = _slide(deck, BULLETS, title)
    body = slide.placeholders[1]
    body.left, body.top, body.width, body.height = CM, 3 * CM, 31 * CM, 15 * CM
    body.text_frame.text = "\n".join(printable_texts(s) for s in sentences if s)
    body.text_frame.word_wrap = True
    _size(body.text_frame, 16)


def _table(deck: Any, table: ReportTable) -> None:
    slide = _slide(deck, TITLE_ONLY, table.caption.partition(".")[0])
    rows = [table.head, *table.rows[:MAX_ROWS]]
    size = CM, 3 * CM, 31 * CM, len(rows) * CM
    grid = slide.shapes.add_table(len(rows), len(table.head), *size).table
    for y, row in enumerate(rows):
        for x, text in enumerate(row):
            cell = grid.cell(y, x)
            cell.text = printable_texts(text)
            _size(cell.text_frame, 11)
    more = len(table.rows) - MAX_ROWS
    if more > 0:
        _text(slide, f"{more} more rows in the report.")


def _picture(deck: Any, picture: SlidePicture) -> None:
    slide = _slide(deck, TITLE_ONLY, picture.title)
    shape = slide.shapes.add_picture(io.BytesIO(picture.png), CM, 3 * CM, width=31 * CM)
    if shape.height > 13 * CM:
        shape.width = shape.width * 13 * CM // shape.height
        shape.height = 13 * CM
    _text(slide, picture.caption)


def _text(slide: Any, text: str) -> None:
    box = slide.shapes.add_textbox(CM, 16 * CM + CM // 2, 31 * CM, 2 * CM)
    box.text_frame.word_wrap = True
    box.text_frame.text = printable_texts(text)
    _size(box.text_frame, 12)
