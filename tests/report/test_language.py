"""Page one and the clinic's pages in other languages: the same numbers, no English left."""

import html
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from markupsafe import Markup
from tests.evaluation.comparison.choice.test_rule import CLEAR, EQUAL, of
from tests.language.test_catalogues import MESSAGES, PLACEHOLDER, TRANSLATED
from tests.report.front_page.test_build import two_hospitals

from medtransfer.language.translation import Language, in_language
from medtransfer.report.clinic.pages import clinic_sections
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.names import with_readable_names
from medtransfer.report.page import PageHead, page_text, render, render_front, report_facts

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORDS = {
    fragment
    for message in MESSAGES
    for text in ([message] if isinstance(message, str) else message)
    for fragment in (part.strip(" :;,.()") for part in re.sub(PLACEHOLDER, "\n", text).split("\n"))
    if len(fragment.split()) > 2
}
"""Parts of messages that are long enough to be no word of another language."""
LOSS = (0.05, -0.1, 0.2)


@cache
def clinic_pages(language: Language) -> str:
    """Page one and the clinic's pages as text, without the slow part on methods."""
    data = with_readable_names(two_hospitals(LOSS))
    with in_language(language):
        head = PageHead("", "", "", Markup(render_front(data)), "clinic")
        page = page_text(head, clinic_sections(data, front_page(data)))
    assert f'<html lang="{language}">' in page
    part = page[page.index('<section id="page-one"') : page.index("</main>")]
    part = re.sub(r"<(p|li|td|dt|dd|th|h\d|title)\b", r"\n<\1", part)
    return html.unescape(re.sub(r"<[^>]*>", " ", part))


def numbers(text: str) -> Counter[str]:
    return Counter(number.replace(",", ".") for number in NUMBER.findall(text))


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_pages_say_the_same_numbers_with_decimal_commas(language: Language) -> None:
    text = clinic_pages(language)
    assert numbers(text) == numbers(clinic_pages("en"))
    assert "0,05 [−0,10; 0,20]" in re.sub(r"\s+(?=;)", "", text).replace("\N{NO-BREAK SPACE}", " ")
    assert not re.search(r"\d\.\d", text)


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_english_message_is_left_on_the_pages(language: Language) -> None:
    text = clinic_pages(language)
    assert sum(words in clinic_pages("en") for words in WORDS) > 50
    assert [words for words in WORDS if words in text] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_recommendation_is_in_the_language(language: Language) -> None:
    for pairs, margin in ((CLEAR, None), (EQUAL, None), (EQUAL, 0.1), ((), None)):
        english = of(*pairs, margin=margin)
        with in_language(language):
            spoken = of(*pairs, margin=margin)
        assert spoken.rung == english.rung
        assert numbers(spoken.sentence) == numbers(english.sentence)
        assert [words for words in WORDS if words in spoken.sentence] == []


def test_the_part_on_methods_and_the_facts_for_programs_stay_english() -> None:
    data = replace(two_hospitals(LOSS), verdict=("south: holds.",))
    page = render(replace(data, spoken=("south: hält stand.",)), "clinic", language="de")
    assert '<p class="lead verdict">south: hält stand.</p>' in page
    assert '<section id="verdict" class="methods">\n<h2>Hält es hier stand?</h2>' in page
    assert "south: holds." not in page
    assert '<section id="shift" class="methods" lang="en">' in page
    assert "der Teil über Methoden sind auf Englisch" in page
    facts = report_facts(data)["not_concluded"]
    assert facts == front_page(with_readable_names(data)).not_concluded
    assert "device" in str(facts)
