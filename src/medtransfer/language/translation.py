"""Language of a text: the one in use, and messages looked up in its gettext catalogue.

English is the text in the code; every other language has a catalogue beside this module. The
language in use is held by a context variable, which the report sets around the pages that are
translated.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Literal, get_args

from medtransfer.errors import ConfigError

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

Language = Literal["en", "de", "fr", "es", "pt"]
"""German, French, Spanish and Portuguese beside English."""
LANGUAGES: tuple[Language, ...] = get_args(Language)
ENGLISH: Language = "en"
_language: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def require_language(name: str) -> Language:
    """The language of a name.

    Raises:
        ConfigError: There is no catalogue of that name.
    """
    if name not in LANGUAGES:
        allowed = ", ".join(LANGUAGES)
        raise ConfigError(f"language '{name}' is unknown (allowed: {allowed}). Name one of these.")
    return name


def language_in_use() -> Language:
    """The language that texts are made in."""
    return _language.get()


@contextmanager
def in_language(language: Language) -> Generator[None]:
    """Make every text inside in a language."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def template(text: str) -> str:
    """The text as it is; marks a message that is translated where it is used."""
    return text


def translate(message: str, **values: object) -> str:
    """A message in the language in use.

    Args:
        message: Whole English sentence or phrase, with named placeholders in braces.
        values: Of the placeholders, already in the language in use.
    """
    return translated(message).format(**values)


def plural_form(one: str, many: str, count: int) -> str:
    """The form of a message that a count takes in the language in use."""
    language = language_in_use()
    if language == ENGLISH:
        return one if count == 1 else many
    return _messages(language).ngettext(one, many, count)


def translated(text: str) -> str:
    """The text in the language in use; a text that no catalogue has, as it is."""
    language = language_in_use()
    if language == ENGLISH or not text:  # the empty message is the catalogue's header
        return text
    return _messages(language).gettext(text)


def read_catalogue(language: Language) -> "Catalog":
    """The catalogue of a language, from its ``.po`` file."""
    from babel.messages.pofile import read_po  # English needs none of it

    source = files("medtransfer.language") / "catalogues" / f"{language}.po"
    with source.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


@cache
def _messages(language: Language) -> GNUTranslations:
    """The messages of a language with its rule for plurals; read once."""
    from babel.messages.mofile import write_mo

    compiled = BytesIO()
    write_mo(compiled, read_catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)
