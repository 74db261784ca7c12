"""Ages in years, from the texts that hospitals write: DICOM, units, ranges, limits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from medtransfer.tables.values.folding import name_words, plain_word

OLDEST = 90
"""Age written for all above: few people are older, and an age could name them (HIPAA's Safe
Harbor, 45 CFR 164.514)."""
MAX_YEARS = 120
"""Oldest age that a person can have."""
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
        "m mo mos mon month months monat monate monaten mois mes meses mese mesi maand maanden "
        "månad månader måned måneder kk ay miesiąc miesiące miesięcy měsíc měsíce měsíců мес "
        "месяц месяца месяцев 月 个月 個月 か月 カ月 ヵ月 ヶ月 ケ月 개월 bulan tháng"
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
_OVER = re.compile(rf"(>=|>|≥|over|über|uber)\s*{_NUMBER}{_UNIT}{_OLD}")
_PLUS = re.compile(rf"{_NUMBER}{_UNIT}\s*(?:\+|and over|and older|or older|und älter){_OLD}")
_UNDER = re.compile(rf"(<=|<|≤|under|unter)\s*{_NUMBER}{_UNIT}{_OLD}")


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
        if match := form.fullmatch(word):
            return reading(*match.groups())
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
    _OVER: _over,
    _PLUS: _plus,
    _UNDER: _under,
}
"""Forms of an age, in the order in which they are tried, and what is made of their parts."""
