"""Names that fit: long ones are shortened, alike everywhere on the page, and stay apart."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from medtransfer.report.content import Content

MOST = 40
"""Letters of a name that fit beside a chart and above a panel."""


def short_names(names: Sequence[str], most: int = MOST) -> dict[str, str]:
    """Every name to one of at most so many letters; different names stay different.

    What all long names begin and end with goes first, then the middle.
    """
    long = [name for name in names if len(name) > most]
    start, end = _shared(long), _shared([name[::-1] for name in long])
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short = name
        if len(name) > most and start + end < len(name):
            short = f"{'…' * (start > 0)}{name[start : len(name) - end]}{'…' * (end > 0)}"
        short = _cut(short, most)
        number = 2
        while short in found.values() or (short in names and short != name):
            short = f"{_cut(name, most - 5)} ({number})"
            number += 1
        found[name] = short
    return found


def with_short_names(content: Content) -> Content:
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


def _cut(name: str, most: int) -> str:
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def _renamed(
    frame: pl.DataFrame, rungs: Mapping[str, str], places: Mapping[str, str]
) -> pl.DataFrame:
    maps = {"rung": rungs, "reference": rungs, "cohort": places, "held_out": places}
    return frame.with_columns(
        pl.col(name).cast(pl.String).replace(dict(names))
        for name, names in maps.items()
        if name in frame.columns
    )
