"""Ages in years, from the texts that hospitals write: DICOM, units, ranges, limits."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil, floor

import polars as pl

from medtransfer.errors import plural, printable
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.folding import name_words, plain_word
from medtransfer.tables.values.missing_words import counted, value_counts

OLDEST = 90
"""Age written for all above: few people are older, and an age could name them (HIPAA's Safe
Harbor, 45 CFR 164.514)."""
MAX_YEARS = 120
"""Oldest age that a person can have."""
BANDS = {19: "0-19", 39: "20-39", 59: "40-59", 79: "60-79"}
"""Bands of twenty years by their last year."""
LAST_BAND = "80+"
MAX_AGES = 12
"""A column of ages with more values is grouped in bands: few cases have the same age."""
GROUP_NAMES = frozenset(
    [
        "group",
        "groups",
        "grp",
        "band",
        "bands",
        "class",
        "category",
        "cat",
        "bin",
        "bins",
        "decade",
        "decile",
        "quartile",
        "quintile",
        "tertile",
        "code",
        "gruppe",
        "klasse",
        "kategorie",
        "groupe",
        "tranche",
        "classe",
        "grupo",
        "clase",
        "fascia",
        "groep",
        "grupa",
    ]
)
"""Words of a column's name by which its cells are groups or codes, not years."""
_NAMES = (
    "age alter edad idade età âge leeftijd wiek yaş ålder alder ikä věk vek kor vârstă возраст вік "
    "ηλικία umur usia tuổi 年龄 年齡 年齢 나이 연령 العمر سن גיל आयु उम्र อายุ"
)
NAMES = frozenset(map(plain_word, _NAMES.split()))
"""Words of column names that hold ages."""
PER_YEAR = {
    1: (
        "y yo yr yrs year years a j jahr jahre jahren an ans ano anos ann anni anno jaar jaren r "
        "rok roku lat lata let roky år vuotta yas év ani год года лет л г р роки років 岁 歲 歳 才 "
        "세 살 tahun tuổi"
    ),
    12: (
        "m mo mos mon mth mths month months monat monate monaten mois mes meses mese mesi maand "
        "maanden månad månader måned måneder kk ay miesiąc miesiące miesięcy měsíc měsíce měsíců "
        "мес месяц месяца месяцев 月 个月 個月 か月 カ月 ヵ月 ヶ月 ケ月 개월 bulan tháng"
    ),
    52: (
        "w wk wks week weeks woche wochen semaine semaines semana semanas settimana settimane "
        "weken vecka veckor uge uger uke uker hafta tydzień tygodnie tygodni týden týdny týdnů нед "
        "周 週 周间 週間 주"
    ),
    365: (
        "d day days tag tage tagen jour jours dia dias giorno giorni dag dagen dagar gun dzień dni "
        "den dny dnů день дня дней дн 天 日 일 hari ngày"
    ),
}
"""Units in a year, and the words for the unit."""
UNITS = {plain_word(word): count for count, words in PER_YEAR.items() for word in words.split()}
_NUMBER = r"(-?\d+(?:[.,]\d+)?)"
_UNIT = r"\s*([^\W\d_]*)"
_OLD = r"(?:\s*(?:old|alt|of age))?"
_SINGLE = re.compile(rf"{_NUMBER}{_UNIT}{_OLD}")
_SUM = re.compile(rf"{_NUMBER}{_UNIT}\s*(?:,|and|und|et|e)?\s*(\d+){_UNIT}{_OLD}")
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|–|—|to|bis|à|a)\s*{_NUMBER}{_UNIT}{_OLD}")
_INTERVAL = re.compile(rf"([\[(])\s*{_NUMBER}\s*[,;–-]\s*{_NUMBER}\s*([\])])")
_MORE = (
    "and over|and older|or older|and above|und älter|oder älter|und mehr|et plus|ou plus|y más|"
    "y mas|o más|o mas|e mais|ou mais|e più|e oltre|en ouder|i więcej|ve üzeri|以上"
)
_ABOVE = "over|above|über|uber|más de|mas de|plus de|mais de|più di|meer dan|powyżej"
_OVER = re.compile(rf"(>=|>|≥|{_ABOVE})\s*{_NUMBER}{_UNIT}{_OLD}")
_PLUS = re.compile(rf"{_NUMBER}{_UNIT}\s*(?:\+|{_MORE}){_OLD}")
_BELOW = "under|below|unter|menor de|menos de|menores de|moins de|meno di|minder dan|poniżej"
_UNDER = re.compile(rf"(<=|<|≤|{_BELOW})\s*{_NUMBER}{_UNIT}{_OLD}")


@dataclass(frozen=True)
class AgeRange:
    """Ages that a text stands for.

    Attributes:
        low: Youngest age in years that fits.
        high: Oldest whole year that fits; infinite for ``>89``.
    """

    low: float
    high: float


def names_age(name: str) -> bool:
    """True for a column whose name says that it holds ages: ``PatientAge``, ``age_years``."""
    return any(word in NAMES for word in name_words(name))


def age_range(text: str) -> AgeRange | None:
    """The ages that a text stands for; None if it is no age.

    ``58``, ``58,5``, ``045Y``, ``18mo``, ``10 days``, ``1y 6m`` are one age; ``60-69``, ``>89`` and
    ``<1`` are several.
    """
    word = " ".join(text.strip().casefold().rstrip(".").split())
    word = word.replace("y/o", "yo").replace("y.o", "yo")
    for form, reading in FORMS.items():
        match = form.fullmatch(word)
        ages = reading(*match.groups()) if match else None
        if ages is not None:
            return ages
    return None


def _single(number: str, unit: str) -> AgeRange | None:
    return _between(number, number, unit)


def _together(number: str, unit: str, rest: str, smaller: str) -> AgeRange | None:
    """The age of a number of years, months or weeks and a rest in a smaller unit."""
    first, second = UNITS.get(plain_word(unit)), UNITS.get(plain_word(smaller))
    if first is None or second is None or second <= first:
        return None
    age = float(number.replace(",", ".")) / first + int(rest) / second
    return AgeRange(age, age)


def _over(sign: str, number: str, unit: str) -> AgeRange | None:
    limit = _between(number, number, unit)
    return limit and AgeRange(limit.low + (sign not in (">=", "≥")), float("inf"))


def _plus(number: str, unit: str) -> AgeRange | None:
    return _over(">=", number, unit)


def _under(sign: str, number: str, unit: str) -> AgeRange | None:
    limit = _between(number, number, unit)
    return limit and AgeRange(0, max(0, ceil(limit.high) - (sign not in ("<=", "≤"))))


def _interval(start: str, low: str, high: str, end: str) -> AgeRange | None:
    """A range in years with its ends in or out, as ``(60, 70]`` of pandas."""
    limits = _between(low, high, "")
    return limits and AgeRange(limits.low + (start == "("), limits.high - (end == ")"))


def _between(low: str, high: str, unit: str) -> AgeRange | None:
    """A range in years, from two numbers with a unit."""
    per_year = UNITS.get(plain_word(unit)) if unit else 1
    if per_year is None:
        return None
    first, last = (float(number.replace(",", ".")) / per_year for number in (low, high))
    return AgeRange(first, last) if first <= last else None


FORMS: dict[re.Pattern[str], Callable[..., AgeRange | None]] = {
    _SINGLE: _single,
    _SUM: _together,
    _RANGE: _between,
    _INTERVAL: _interval,
    _OVER: _over,
    _PLUS: _plus,
    _UNDER: _under,
}
"""Forms of an age, in the order in which they are tried, and what is made of their parts."""


def band_of(ages: AgeRange) -> str | None:
    """The band of twenty years that a range of ages lies in; None if it crosses two."""
    ends = [floor(ages.low), floor(min(ages.high, MAX_YEARS))]
    first, last = (
        next((name for top, name in BANDS.items() if end <= top), LAST_BAND) for end in ends
    )
    return first if first == last else None


def age_groups(cells: pl.Series) -> tuple[pl.Series, list[str]]:
    """The groups of an attribute that holds ages, and a note if its cells were changed.

    Ages with a unit, or more than `MAX_AGES` different ones, become bands of twenty years; a cell
    that lies in none is null. Other columns stay as they stand: groups of ages as a hospital has
    made them, and codes for these.

    Args:
        cells: A column of any name and type; null where missing. [N]
    """
    words = name_words(cells.name)
    if cells.dtype.is_nested() or not names_age(cells.name) or not GROUP_NAMES.isdisjoint(words):
        return cells, []
    text = cells.cast(pl.String).str.strip_chars()
    counts = value_counts(text.drop_nulls())
    read = {word: age_range(word) for word in counts}
    ages = {word: a for word, a in read.items() if a and a.low >= 0 and a.low <= MAX_YEARS}
    single = [word for word, a in ages.items() if a.low == a.high]
    has_units = any(not word.replace(".", "").replace(",", "").isdecimal() for word in single)
    is_few = len(counts) <= MAX_AGES and not has_units
    if not single or is_few or 2 * sum(counts[w] for w in ages) < sum(counts.values()):
        return cells, []
    bands = {word: band for word, a in ages.items() if (band := band_of(a))}
    grouped = text.replace_strict(bands, default=None, return_dtype=pl.String)
    shown = printable(cells.name, 80)
    names = ", ".join([*BANDS.values(), LAST_BAND])
    note = f"'{shown}': {plural(len(bands), 'age')} read in bands of twenty years ({names})."
    if lost := {word: count for word, count in counts.items() if word not in bands}:
        note += f" In no band, so not known: {counted(lost)}."
    return grouped, [note]


def with_age_groups(frame: pl.DataFrame, names: Iterable[str]) -> tuple[pl.DataFrame, list[str]]:
    """The table with `age_groups` in place of the attributes that hold ages, and notes.

    Args:
        frame: Rows of a manifest.
        names: Attributes; those that are no column are passed over.
    """
    notes: list[str] = []
    for name in (name for name in names if name in frame.columns):
        cells, of_column = age_groups(frame[name])
        frame = frame.with_columns(cells.alias(name)) if of_column else frame
        notes += of_column
    return frame, notes


def ages_of(frame: pl.DataFrame, free: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Columns named like an age, with `ROW`, `low` and `high` of the rows that hold one."""
    for name in free:
        if not names_age(name) or frame.schema[name].is_nested():
            continue
        cells = frame.select(ROW, text=pl.col(name).cast(pl.String))
        read = {word: age_range(word) for word in cells["text"].drop_nulls().unique()}
        ages = [(word, ages.low, ages.high) for word, ages in read.items() if ages]
        schema = {"text": pl.String, "low": pl.Float64, "high": pl.Float64}
        of_word = pl.DataFrame(ages, schema, orient="row")
        yield name, cells.join(of_word, on="text", maintain_order="left").drop("text")
