"""What a page is made of: figures, tables, facts, notes, and what is folded away."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

WIDE, FIRST = 145, 20
"""Letters of a row that fit the page, and that its first column takes at least."""


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
        notes: Below it: what marks in the cells mean.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: frozenset[int] = frozenset()
    notes: Sequence[str] = ()
    kind: str = "table"

    @property
    def tight(self) -> bool:
        """Whether it is so wide that intervals stand below their numbers."""
        columns = [max(map(len, column)) + 2 for column in zip(*self.rows, strict=True)]
        return sum(columns[1:]) + max(FIRST, *columns[:1], 0) > WIDE


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


@dataclass(frozen=True)
class Heading:
    """A title inside a section."""

    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class Fold:
    """Parts that are shown when their title is clicked; works without scripts."""

    title: str
    parts: Sequence["Part"]
    kind: str = "fold"


Part = Figure | Table | Facts | Note | Heading | Fold


@dataclass(frozen=True)
class Answer:
    """One card.

    Attributes:
        question: What was asked.
        sentence: What the numbers say.
        studied: False where the study did not look.
    """

    question: str
    sentence: str
    studied: bool = True


@dataclass(frozen=True)
class Section:
    """A titled part of the page.

    Attributes:
        anchor: Its id.
        title: Its heading.
        lead: The first sentences: the answer, where it is a question's.
        parts: What follows.
        answer: The card, where it is a question's.
    """

    anchor: str
    title: str
    lead: str = ""
    parts: Sequence[Part] = field(default_factory=list[Part])
    answer: Answer | None = None


def figures_of(parts: Iterable[Part]) -> Iterator[Figure]:
    """Every figure, folded away or not."""
    for part in parts:
        if isinstance(part, Figure):
            yield part
        elif isinstance(part, Fold):
            yield from figures_of(part.parts)


def narrow(table: Table) -> Table:
    """The table without columns that hold nothing in any row; the first is always kept."""
    kept = [
        i for i in range(len(table.head))
        if i == 0 or any(row[i] not in ("–", "") for row in table.rows)
    ]  # fmt: skip
    return Table(
        [table.head[i] for i in kept],
        [[row[i] for i in kept] for row in table.rows],
        table.caption,
        frozenset(new for new, old in enumerate(kept) if old in table.numeric),
        table.notes,
    )
