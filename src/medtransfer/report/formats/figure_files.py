"""Figures of a report as files: SVG, PNG, and the drawn numbers as CSV."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medtransfer.files import make_folder, write_bytes, write_text
from medtransfer.report.components import Figure, Section, figures_of
from medtransfer.report.figures import NOT_DRAWN, png_of
from medtransfer.tables.schema import write_spreadsheet

PAPER = "#1a1f26"
"""Colour of lines and text outside a page, where no colour is inherited."""


def all_figures(sections: Sequence[Section]) -> list[tuple[str, Figure]]:
    """Every figure that was drawn, with the title of its section."""
    return [
        (section.title, figure)
        for section in sections
        for figure in figures_of(section.parts)
        if figure.svg != NOT_DRAWN
    ]


def write_figures(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Write every figure as ``NAME.svg``, ``NAME.png`` and ``NAME.csv``.

    Args:
        sections: Of the report.
        folder: Created if it is missing.

    Returns:
        The files.
    """
    make_folder(folder)
    paths: list[Path] = []
    for _, figure in all_figures(sections):
        svg = standalone(figure)
        path = folder / f"{figure.name}.svg"
        write_text(path, svg)
        write_bytes(path.with_suffix(".png"), png_of(svg))
        write_spreadsheet(figure_numbers(figure), path.with_suffix(".csv"))
        paths += [path.with_suffix(ending) for ending in (".svg", ".png", ".csv")]
    return paths


def standalone(figure: Figure) -> str:
    """The drawing with colours of its own."""
    return str(figure.svg).replace("currentColor", PAPER)


def figure_numbers(figure: Figure) -> pl.DataFrame:
    """The points that a figure draws; the column `series` names what they belong to."""
    rows = list(_points(figure))
    return pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame()


def _points(figure: Figure) -> Iterator[Mapping[str, Any]]:  # cells of different types
    for series, points in figure.spec.get("datasets", {}).items():
        for point in points:
            yield {"series": series, **point}
