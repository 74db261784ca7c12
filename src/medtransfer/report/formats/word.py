"""Word file of tables (`pip install "medtransfer[office]"`)."""

import io
from collections.abc import Sequence
from typing import Any

from medtransfer.report.components import ReportTable
from medtransfer.report.drawing import printable_texts
from medtransfer.report.formats.extras import extra_module


def word_tables(title: str, tables: Sequence[ReportTable]) -> bytes:
    """A Word file with every table under its caption.

    Args:
        title: Heading of the file.
        tables: In reading order.

    Raises:
        ConfigError: python-docx is not installed.
    """
    docx = extra_module("docx", "python-docx", "the Word file")
    document: Any = docx.Document()
    section = document.sections[0]
    section.page_width, section.page_height = section.page_height, section.page_width
    document.add_heading(printable_texts(title), 1)
    for number, table in enumerate(tables, 1):
        document.add_paragraph(printable_texts(f"Table {number}. {table.caption}"))
        _add_table(document, table)
        for note in table.notes:
            document.add_paragraph(printable_texts(note))
    content = io.BytesIO()
    document.save(content)
    return content.getvalue()


def _add_table(document: Any, table: ReportTable) -> None:
    grid = document.add_table(rows=1, cols=len(table.head), style="Light List")
    for cell, text in zip(grid.rows[0].cells, table.head, strict=True):
        cell.text = printable_texts(text)
    for row in table.rows:
        for cell, text in zip(grid.add_row().cells, row, strict=True):
            cell.text = printable_texts(text)
