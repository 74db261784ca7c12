"""Numbers and lists in the form of the language in use."""

from collections.abc import Sequence
from decimal import Decimal

from medtransfer.language.translation import ENGLISH, language_in_use, plural_form

MINUS = "\N{MINUS SIGN}"


def localised(number: str) -> str:
    """A number in the form of the language in use.

    The digits stay: only signs and separators change, so no rounding differs between languages.

    Args:
        number: As English writes it, such as ``1,300``, ``−0.120`` or ``42%``.
    """
    if language_in_use() == ENGLISH:
        return number
    from babel import Locale  # English needs none of it
    from babel.numbers import format_decimal

    locale = Locale.parse(language_in_use())
    digits = number.removesuffix("%")
    value = Decimal(digits.replace(",", "").replace(MINUS, "-"))
    decimals = len(digits.partition(".")[2])
    pattern = ("#,##0" if "," in digits else "0") + ("." + "0" * decimals if decimals else "")
    text = format_decimal(value, format=pattern, locale=locale).replace("-", MINUS)
    if not number.endswith("%"):
        return text
    return locale.percent_formats[None].pattern.replace("#,##0", text)


def translate_plural(one: str, many: str, count: int) -> str:
    """A message that depends on a count, in the language in use.

    Args:
        one: English message for a count of 1, with the placeholder ``{count}``.
        many: For every other count.
        count: Chooses the form and fills the placeholder.
    """
    return plural_form(one, many, count).format(count=localised(f"{count:,}"))


def word_list(words: Sequence[str]) -> str:
    """``a``, ``a and b`` or ``a, b and c``, in the language in use."""
    if language_in_use() == ENGLISH:
        return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
    from babel.lists import format_list

    return format_list(list(words), locale=language_in_use())
