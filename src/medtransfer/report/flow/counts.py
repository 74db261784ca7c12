"""Counts of the flow of data as text, such that no total gives away a small one."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from medtransfer.report.content import SplitCounts
from medtransfer.report.small_counts import count_text, count_texts

MEASURES = ("images", "cases", "patients")
"""In the order of the flow."""
Key = TypeVar("Key", bound=Hashable)
Part = tuple[str, str]
"""A cohort and a split."""
Texts = dict[str, str]
"""Measure to its count as text; a measure that is not known is missing."""


@dataclass(frozen=True)
class FlowTexts:
    """Counts of all data, of cohorts, and of their splits, as text.

    Attributes:
        total: All data.
        cohorts: By cohort, in the order of the counts.
        splits: By cohort and split.
    """

    total: Texts
    cohorts: dict[str, Texts]
    splits: dict[Part, Texts]


def flow_texts(counts: Sequence[SplitCounts], least: int) -> FlowTexts:
    """Counts of every level, the small ones and those that would give them away hidden.

    Cohorts are parts of all data, splits are parts of their cohort. What is hidden in one measure
    is hidden in all: where each patient has one case, the number of cases is that of patients.

    Args:
        counts: Of every cohort and split.
        least: Smallest count that is printed.
    """
    measures = [m for m in MEASURES if all(getattr(c, m) is not None for c in counts)]
    parts = {(c.cohort, c.split): {m: int(getattr(c, m)) for m in measures} for c in counts}
    names = list(dict.fromkeys(c.cohort for c in counts))
    sums = {
        name: {m: sum(n[m] for part, n in parts.items() if part[0] == name) for m in measures}
        for name in names
    }
    cohorts = _hidden(sums, measures, least)
    splits: set[Part] = set()
    for name in names:
        inside = {part: numbers for part, numbers in parts.items() if part[0] == name}
        # a total that is hidden must not be the sum of what is in sight
        splits |= set(inside) if name in cohorts else _hidden(inside, measures, least)
    return FlowTexts(
        total={m: f"{sum(n[m] for n in parts.values()):,}" for m in measures},
        cohorts={name: _texts(sums[name], least, hide=name in cohorts) for name in names},
        splits={part: _texts(n, least, hide=part in splits) for part, n in parts.items()},
    )


def _hidden(
    wholes: Mapping[Key, Mapping[str, int]], measures: Sequence[str], least: int
) -> set[Key]:
    """Parts of a whole that are hidden in some measure."""
    hidden: set[Key] = set()
    for measure in measures:
        numbers = {key: counts[measure] for key, counts in wholes.items()}
        texts = count_texts(numbers, least)
        hidden |= {key for key, number in numbers.items() if texts[key] != f"{number:,}"}
    return hidden


def _texts(counts: Mapping[str, int], least: int, *, hide: bool) -> Texts:
    return {
        measure: f"≥{least}" if hide and count >= least else count_text(count, least)
        for measure, count in counts.items()
    }
