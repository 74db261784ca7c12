"""Ages in years, from the texts that hospitals write: DICOM, units, ranges, limits."""

import re
from dataclasses import dataclass

from medtransfer.tables.values.folding import plain_word

PER_YEAR = {
    1: "y yr yrs year years a j jahr jahre jahren an ans ano anos ann anni jaar lat yas 岁 歳 세",
    12: "m mo mos mon month months monat monate monaten mois mes meses mese mesi maand maanden",
    52: "w wk wks week weeks woche wochen semaine semaines semana semanas settimane weken",
    365: "d day days tag tage tagen jour jours dia dias giorno giorni dag dagen gun",
}
"""Units in a year, and the words for the unit."""
UNITS = {plain_word(word): count for count, words in PER_YEAR.items() for word in words.split()}
_NUMBER = r"(-?\d+(?:[.,]\d+)?)"
_SINGLE = re.compile(rf"{_NUMBER}\s*([^\W\d_]*)(?:\s*old)?")
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|—|to|bis|à|a)\s*{_NUMBER}\s*([^\W\d_]*)(?:\s*old)?")
_OVER = re.compile(rf"(>=|>|≥|over|über|uber)\s*{_NUMBER}\s*([^\W\d_]*)")
_PLUS = re.compile(rf"{_NUMBER}\s*([^\W\d_]*)\s*(?:\+|and over|and older)")
_UNDER = re.compile(rf"(<=|<|≤|under|unter)\s*{_NUMBER}\s*([^\W\d_]*)")


@dataclass(frozen=True)
class AgeRange:
    """Ages that a text stands for.

    Attributes:
        low: Youngest age in years that fits.
        high: Oldest whole year that fits; infinite for ``>89``.
    """

    low: float
    high: float


def age_range(text: str) -> AgeRange | None:
    """The ages that a text stands for; None if it is no age.

    ``58``, ``58,5``, ``045Y``, ``18mo``, ``10 days`` are one age; ``60-69``, ``>89`` and ``<1``
    are several.
    """
    word = " ".join(text.strip().casefold().rstrip(".").split())
    if match := _SINGLE.fullmatch(word):
        return _between(match[1], match[1], match[2])
    if match := _RANGE.fullmatch(word):
        return _between(match[1], match[2], match[3])
    if match := _OVER.fullmatch(word):
        limit = _between(match[2], match[2], match[3])
        beyond = match[1] not in (">=", "≥") and (limit is not None and limit.low == limit.high)
        return limit and AgeRange(limit.low + beyond, float("inf"))
    if match := _PLUS.fullmatch(word):
        limit = _between(match[1], match[1], match[2])
        return limit and AgeRange(limit.low, float("inf"))
    if match := _UNDER.fullmatch(word):
        limit = _between(match[2], match[2], match[3])
        below = match[1] not in ("<=", "≤")
        return limit and AgeRange(0, max(0, -(-limit.high // 1) - below))
    return None


def _between(low: str, high: str, unit: str) -> AgeRange | None:
    """A range in years, from two numbers with a unit."""
    per_year = UNITS.get(plain_word(unit)) if unit else 1
    if per_year is None:
        return None
    first, last = (float(number.replace(",", ".")) / per_year for number in (low, high))
    return AgeRange(first, last) if first <= last else None
