"""What a page is made of: figures, tables, facts, notes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A chart with its line on how to read it.

    Attributes:
        name: Key of its specification in the page.
        spec: For the live chart.
        svg: The static one.
        caption: How to read it.
        title: Above it, where a section has several.
    """

    name: str
    spec: dict[str, Any]
    svg: Markup
    caption: str
    title: str = ""
    kind: str = "figure"


@dataclass(frozen=True)
class Table:
    """A table that sorts on click.

    Attributes:
        head: Column titles.
        rows: Cells as text.
        caption: Above it.
        numeric: Columns set flush right.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: frozenset[int] = frozenset()
    kind: str = "table"


@dataclass(frozen=True)
class Facts:
    """Names with what is to be said of them."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Note:
    """A quiet sentence."""

    text: str
    kind: str = "note"


Part = Figure | Table | Facts | Note


@dataclass(frozen=True)
class Section:
    """A titled part of the page.

    Attributes:
        anchor: Its id.
        title: Its heading.
        lead: The first sentence.
        parts: What follows.
    """

    anchor: str
    title: str
    lead: str = ""
    parts: Sequence[Part] = field(default_factory=list[Part])
