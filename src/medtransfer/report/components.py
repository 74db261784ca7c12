"""Components of a report's page: charts, tables, notes, and the sections that hold them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from markupsafe import Markup

Reader = Literal["clinic", "methods"]
"""`clinic`: words and pictures; `methods`: every table."""
Spec = dict[str, Any]  # a Vega-Lite specification: open JSON, its schema is the chart library's
MAX_ROW, MIN_FIRST, MAX_TEXT = 135, 20, 40
"""Letters of a row that fit the page; of its first column at least; of a column of text at most,
since text wraps."""


@dataclass(frozen=True)
class Figure:
    """A chart with its caption.

    Attributes:
        name: Key of its specification in the page.
        spec: Specification of the interactive chart.
        svg: The static chart.
        caption: Explanation below it.
        title: Above it, if a section has several.
        live: False for a drawing that scripts leave alone; its specification holds the numbers.
    """

    name: str
    spec: Spec
    svg: Markup
    caption: str
    title: str = ""
    live: bool = True
    kind: str = "figure"


@dataclass(frozen=True)
class ReportTable:
    """A table that sorts on click.

    Attributes:
        head: Column titles.
        rows: Cells as text.
        caption: Above it.
        numeric: Columns set flush right.
        notes: Below it: explanations of the marks in the cells.
        folded: Names of rows without any value, which the page folds away.
        folded_reason: Cause that they share, if they do.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: frozenset[int] = frozenset()
    notes: Sequence[str] = ()
    folded: Sequence[str] = ()
    folded_reason: str = ""
    kind: str = "table"

    @property
    def tight(self) -> bool:
        """True for a table so wide that intervals must stand below their numbers."""
        lengths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        widths = [
            2 + (length if i in self.numeric else min(length, MAX_TEXT))
            for i, length in enumerate(lengths)
        ]
        return sum(widths[1:]) + max(MIN_FIRST, *widths[:1], 0) > MAX_ROW


@dataclass(frozen=True)
class Picture:
    """Small drawings side by side, with their words.

    Attributes:
        title: Above them.
        svgs: The drawings.
        caption: Below them.
    """

    title: str
    svgs: Sequence[Markup]
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class Facts:
    """Pairs of name and text."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Note:
    """A sentence in small print."""

    text: str
    kind: str = "note"


@dataclass(frozen=True)
class Heading:
    """A title inside a section."""

    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class Fold:
    """Parts that open with a click on their title; works without scripts."""

    title: str
    parts: Sequence["Component"]
    kind: str = "fold"


Component = Figure | Picture | ReportTable | Facts | Note | Heading | Fold


@dataclass(frozen=True)
class Answer:
    """The card of one question.

    Attributes:
        question: The question.
        sentence: The answer that the numbers give.
        studied: False if the study did not address the question.
    """

    question: str
    sentence: str
    studied: bool = True


@dataclass(frozen=True)
class Section:
    """A titled section of the page.

    Attributes:
        anchor: Its id.
        title: Its heading.
        lead: The first sentences: for a question, its answer.
        parts: The components that follow.
        answer: The card of its question, if it has one.
        reader: Of the two readers of a report, the one who sees it.
        is_translated: It is in the language of the page, as all pages of the clinic are.
    """

    anchor: str
    title: str
    lead: str = ""
    parts: Sequence[Component] = field(default_factory=list[Component])
    answer: Answer | None = None
    reader: Reader = "methods"
    is_translated: bool = False


def figures_of(parts: Iterable[Component]) -> Iterator[Figure]:
    """Every figure, inside a fold or not."""
    for part in parts:
        if isinstance(part, Figure):
            yield part
        elif isinstance(part, Fold):
            yield from figures_of(part.parts)


def without_empty_columns(table: ReportTable) -> ReportTable:
    """The table without columns that are empty in every row; the first always stays.

    Columns of nothing but marked dashes become a note with their reasons.
    """
    kept = [
        i
        for i in range(len(table.head))
        if i == 0 or any(not _is_empty(row[i]) for row in table.rows)
    ]
    rows = [[row[i] for i in kept] for row in table.rows]
    reasons = dict(note.split(" ", 1) for note in table.notes)
    shown = {mark for row in rows for cell in row for mark in cell.split() if mark in reasons}
    notes = [note for note in table.notes if note.split(" ", 1)[0] in shown]
    for i in (i for i in range(len(table.head)) if i not in kept):
        marks = dict.fromkeys(row[i].removeprefix("–").strip() for row in table.rows)
        if why := [reasons[mark] for mark in marks if mark in reasons]:
            notes.append(f"{table.head[i]}: {'; '.join(why)}")
    return replace(
        table,
        head=[table.head[i] for i in kept],
        rows=rows,
        numeric=frozenset(new for new, old in enumerate(kept) if old in table.numeric),
        notes=notes,
    )


def without_empty_rows(table: ReportTable) -> ReportTable:
    """The table without rows whose numbers are all undefined; their names and reasons stay.

    A table of nothing but such rows keeps them: their reasons are what it says.
    """
    empty = [
        row
        for row in table.rows
        if table.numeric and all(_is_empty(row[i]) for i in table.numeric if i < len(row))
    ]
    if not empty or len(empty) == len(table.rows):
        return table
    reasons = dict(note.split(" ", 1) for note in table.notes if " " in note)
    marks = dict.fromkeys(mark for row in empty for cell in row for mark in cell.split())
    causes = [reasons[mark] for mark in marks if mark in reasons]
    rows = [row for row in table.rows if row not in empty]
    shown = {mark for row in rows for cell in row for mark in cell.split()}
    labels = [i for i in range(len(table.head)) if i not in table.numeric]
    folded = [", ".join(row[i] for i in labels if not _is_empty(row[i])) for row in empty]
    if len(causes) > 1:
        folded = [
            f"{name} ({_cause(row, reasons)})" for name, row in zip(folded, empty, strict=True)
        ]
    return replace(
        table,
        rows=rows,
        notes=[n for n in table.notes if n.split(" ", 1)[0] in shown or ":" in n.split(" ", 1)[0]],
        folded=folded,
        folded_reason=causes[0] if len(causes) == 1 else "",
    )


def _cause(row: Sequence[str], reasons: Mapping[str, str]) -> str:
    """The reasons that the marks of a row stand for."""
    marks = dict.fromkeys(mark for cell in row for mark in cell.split() if mark in reasons)
    return "; ".join(reasons[mark] for mark in marks) or "no number"


def _is_empty(cell: str) -> bool:
    """True for nothing, or for a dash with or without a mark."""
    return cell.startswith("–") or not cell
