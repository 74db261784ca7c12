"""Catalogues: every message of the code, whole, with the same placeholders, in every language."""

import ast
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import cast, get_args

import pytest
from babel.messages.extract import extract

from medtransfer.deploy.validation.verdict import VerdictAnswer
from medtransfer.language.translation import (
    LANGUAGES,
    Language,
    in_language,
    read_catalogue,
    template,
    translate,
)

SRC = Path(__file__).resolve().parents[2] / "src" / "medtransfer"
KEYWORDS = {
    "translate": None,
    "template": None,
    "translated": None,
    "translate_plural": (1, 2),
}
Message = str | tuple[str, ...]
PLACEHOLDER = re.compile(r"\{(\w*)\}")
KEYS = {"transfer", "shift", "labels", "groups", "probabilities", *get_args(VerdictAnswer)}
"""Keys of tables of messages that the extractor takes for messages."""
TRANSLATED = tuple(name for name in LANGUAGES if name != "en")


def messages() -> Iterator[Message]:
    """Every message in modules that import a translating function, and in the pages' templates."""
    for path in sorted(SRC.rglob("*.py")):
        content = path.read_bytes()
        if b"medtransfer.language." in content:
            for _, message, _, _ in extract("python", BytesIO(content), keywords=KEYWORDS):
                yield message
    for path in sorted((SRC / "report" / "assets").glob("*.j2")):
        method = "jinja2.ext:babel_extract"
        for _, message, _, _ in extract(method, BytesIO(path.read_bytes()), keywords=KEYWORDS):
            yield message


MESSAGES = {message for message in messages() if message and message not in KEYS}


def test_the_extractor_finds_messages_of_code_and_pages() -> None:
    assert "Take {rung}." in MESSAGES
    assert "Must not be concluded" in MESSAGES
    assert ("{count} case", "{count} cases") in MESSAGES


def test_no_message_is_inside_an_f_string_where_the_extractor_does_not_see_it() -> None:
    hidden = [
        f"{path.name}:{call.lineno}"
        for path in SRC.rglob("*.py")
        if b"medtransfer.language." in path.read_bytes()
        for text in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        if isinstance(call.func, ast.Name)
        if call.func.id in KEYWORDS and isinstance(call.args[0], ast.Constant)
    ]
    assert not hidden


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_message_and_no_other(language: Language) -> None:
    catalogue = read_catalogue(language)
    assert str(catalogue.locale) == language
    messages = {cast("str | tuple[str, ...]", message.id) for message in catalogue if message.id}
    assert messages == MESSAGES


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_translation_is_empty_unsure_or_of_other_placeholders(language: Language) -> None:
    catalogue = read_catalogue(language)
    assert not catalogue.obsolete
    for message in catalogue:
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        sources = [message.id] if isinstance(message.id, str) else list(message.id)
        texts = [message.string] if isinstance(message.string, str) else [*(message.string or ())]
        assert len(texts) == (1 if len(sources) == 1 else catalogue.num_plurals), message.id
        allowed = set(PLACEHOLDER.findall(" ".join(sources)))
        for text in texts:
            assert text, message.id
            assert set(PLACEHOLDER.findall(text)) == allowed, message.id
            assert text.count("{") == text.count("}") == len(PLACEHOLDER.findall(text))


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_lead_ends_with_its_reason_so_that_it_can_be_left_off(language: Language) -> None:
    leads = (
        template("No rung can be recommended over another: {why}"),
        template("{rung} is recommended: {why}"),
        template("Not studied: {why}"),
    )
    with in_language(language):
        for lead in leads:
            assert translate(lead, rung="a", why="WHY").endswith("WHY")


def test_french_marks_of_two_parts_never_begin_a_line() -> None:
    texts = [str(message.string) for message in read_catalogue("fr") if message.id]
    breaking = [text for text in texts if re.search(r"\x20[;:?!»]", text)]
    assert len(texts) > 200
    assert not breaking
