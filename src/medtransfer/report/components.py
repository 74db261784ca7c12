"""Names that fit: long ones are shortened, alike everywhere on the page, and stay apart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
from markupsafe import Markup

from medtransfer.report.content import ReportData

MAX_NAME = 40
"""Letters of a name that fit beside a chart and above a panel."""


def short_names(names: Sequence[str], limit: int = MAX_NAME) -> dict[str, str]:
    """Every name to one of at most so many letters; different names stay different.

    What all long names begin and end with goes first, then the middle.
    """
    long = [name for name in names if len(name) > limit]
    start, end = _shared(long), _shared([name[::-1] for name in long])
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short = name
        if len(name) > limit and start + end < len(name):
            short = f"{'…' * (start > 0)}{name[start : len(name) - end]}{'…' * (end > 0)}"
        short = _cut(short, limit)
        number = 2
        while short in found.values() or (short in names and short != name):
            short = f"{_cut(name, limit - 5)} ({number})"
            number += 1
        found[name] = short
    return found


def with_short_names(content: ReportData) -> ReportData:
    """The same content under names that fit; the rungs keep their full names for one table."""
    rungs = short_names([rung.name for rung in content.known])
    cohorts = [*content.results["cohort"].unique(maintain_order=True)]
    places = short_names([*cohorts, *(count.cohort for count in content.counts)])
    if all(short == name for name, short in [*rungs.items(), *places.items()]):
        return content
    return replace(
        content,
        reference=rungs.get(content.reference, content.reference),
        known=tuple(replace(rung, name=rungs[rung.name], full=rung.name) for rung in content.known),
        results=_renamed(content.results, rungs, places),
        comparisons=_renamed(content.comparisons, rungs, places),
        curves={kind: _renamed(frame, rungs, places) for kind, frame in content.curves.items()},
        counts=tuple(replace(count, cohort=places[count.cohort]) for count in content.counts),
        runs=None if content.runs is None else _renamed(content.runs, rungs, places),
    )


def _shared(names: Sequence[str]) -> int:
    """How many letters all of several names begin with, in whole words."""
    if len(names) < 2:
        return 0
    first, last = min(names), max(names)  # what these two share all others between them share
    same = [a == b for a, b in zip(first, last, strict=False)]
    count = same.index(False) if False in same else len(same)
    return max((i + 1 for i in range(count) if not first[i].isalnum()), default=0)


def _cut(name: str, limit: int) -> str:
    half = (limit - 1) // 2
    return name if len(name) <= limit else f"{name[: limit - 1 - half]}…{name[-half:]}"


def _renamed(
    frame: pl.DataFrame, rungs: Mapping[str, str], places: Mapping[str, str]
) -> pl.DataFrame:
    maps = {"rung": rungs, "reference": rungs, "cohort": places, "held_out": places}
    return frame.with_columns(
        pl.col(name).cast(pl.String).replace(dict(names))
        for name, names in maps.items()
        if name in frame.columns
    )


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
    parts: Sequence["Component"]
    kind: str = "fold"


Component = Figure | Table | Facts | Note | Heading | Fold


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
    parts: Sequence[Component] = field(default_factory=list[Component])
    answer: Answer | None = None


def figures_of(parts: Iterable[Component]) -> Iterator[Figure]:
    """Every figure, folded away or not."""
    for part in parts:
        if isinstance(part, Figure):
            yield part
        elif isinstance(part, Fold):
            yield from figures_of(part.parts)


def narrow(table: Table) -> Table:
    """The table without columns that hold nothing in any row; the first is always kept."""
    kept = [
        i
        for i in range(len(table.head))
        if i == 0 or any(row[i] not in ("–", "") for row in table.rows)
    ]
    return Table(
        [table.head[i] for i in kept],
        [[row[i] for i in kept] for row in table.rows],
        table.caption,
        frozenset(new for new, old in enumerate(kept) if old in table.numeric),
        table.notes,
    )
