"""Numbers and plurals by language; the digits are those of English."""

import pytest

from medtransfer.errors import ConfigError
from medtransfer.language.numbers import localised, translate_plural, word_list
from medtransfer.language.reasons import reason_text
from medtransfer.language.translation import Language, in_language, require_language, translate

NUMBERS = {
    "en": ("12,408", "−0.120", "42%"),
    "de": ("12.408", "−0,120", "42\N{NO-BREAK SPACE}%"),
    "fr": ("12\N{NARROW NO-BREAK SPACE}408", "−0,120", "42\N{NO-BREAK SPACE}%"),
    "es": ("12.408", "−0,120", "42\N{NO-BREAK SPACE}%"),
    "pt": ("12.408", "−0,120", "42%"),
}


@pytest.mark.parametrize("language", NUMBERS)
def test_numbers_have_the_separators_of_their_language(language: Language) -> None:
    with in_language(language):
        assert tuple(localised(number) for number in NUMBERS["en"]) == NUMBERS[language]


def test_plurals_and_lists_follow_the_language() -> None:
    with in_language("de"):
        assert [translate_plural("{count} case", "{count} cases", n) for n in (1, 0, 1300)] == [
            "1 Fall",
            "0 Fälle",
            "1.300 Fälle",
        ]
        assert word_list(["a", "b", "c"]) == "a, b und c"
    with in_language("fr"):
        assert translate_plural("{count} image", "{count} images", 0) == "0 image"
    assert word_list(["a", "b", "c"]) == "a, b and c"


def test_a_reason_from_a_table_is_recognised_and_an_unknown_one_stays() -> None:
    with in_language("es"):
        assert reason_text("fewer than 10 cases; quite new") == "menos de 10 casos; quite new"


def test_outside_a_language_texts_are_english() -> None:
    with in_language("pt"):
        assert translate("Take {rung}.", rung="a") == "Escolha a."
    assert translate("Take {rung}.", rung="a") == "Take a."


def test_an_unknown_language_is_refused_with_those_allowed() -> None:
    with pytest.raises(ConfigError, match=r"'it'.*en, de, fr, es, pt"):
        require_language("it")
