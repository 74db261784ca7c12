"""Keyed pseudonyms of patients, studies, images and places, and the secret behind them.

A pseudonym is the start of an HMAC-SHA256 of the id under a secret. Without the secret no id can be
told from it, not even by trying all ids of a hospital. With the same secret the same id gets the
same pseudonym again.
"""

import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from medtransfer.errors import ConfigError, TableError
from medtransfer.files import create_text

DIGITS = 16
"""Hexadecimal digits of a pseudonym after its first letter: 64 bits. Among a million ids two get
the same with a probability of 3e-8; that is looked for, and refused."""
MIN_LENGTH = 32
"""Fewest letters of a secret: 32 random hexadecimal digits cannot be guessed."""
NEW_BYTES = 32
PLACE = Path("medtransfer") / "pseudonyms.secret"
"""File of the secret below the user's folder of settings."""
TO_MAKE = """python -c "import secrets; print(secrets.token_hex(32))" > FILE"""


@dataclass(frozen=True)
class Secret:
    """The key of pseudonyms.

    Attributes:
        path: Its file.
        key: Its content.
        is_new: True if it was made just now.
    """

    path: Path
    key: bytes = field(repr=False)
    is_new: bool = False

    @property
    def mark(self) -> str:
        """Eight digits that tell one secret from another and nothing else of it."""
        return digest_of(self, "mark", "", 8)

    @property
    def is_exposed(self) -> bool:
        """True if others than its owner may read the file."""
        return bool(self.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))

    def sentence(self) -> str:
        """Note on where the secret is and what depends on it."""
        origin = "was made" if self.is_new else "is used"
        text = (
            f"Ids are pseudonyms of {DIGITS} digits (HMAC-SHA256). The secret {self.path} {origin} "
            f"(its mark: {self.mark}): keep it, and keep it from others. With the same secret the "
            "same patient gets the same pseudonym in the next export."
        )
        exposed = " Others may read it: run chmod 600 on it." if self.is_exposed else ""
        return text + exposed


def default_place() -> Path:
    """File of the secret if none is named: below ``$XDG_CONFIG_HOME`` or ``~/.config``."""
    settings = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(settings) if settings else Path.home() / ".config") / PLACE


def open_secret(given: str, images: Path) -> Secret:
    """Read the secret, or make one at the default place if none is there.

    Args:
        given: Its file, as the user named it; empty for the default place, where one is made.
        images: Folder of the images: a secret is never kept in it.

    Raises:
        ConfigError: The named file is missing, too short, or below the images.
        StudyError: A new one cannot be written.
    """
    path = Path(given).expanduser() if given else default_place()
    if path.resolve().is_relative_to(images.resolve()):
        raise ConfigError(
            f'The secret "{path}" lies among the images. Keep it elsewhere, so that nobody gets '
            "both of them at once."
        )
    is_new = False
    if not given and not path.exists():
        try:
            create_text(path, secrets.token_hex(NEW_BYTES) + "\n", private=True)
            is_new = True
        except FileExistsError:
            pass  # another import made it meanwhile
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f'The secret "{path}" cannot be read ({error.strerror}). Make one with: {TO_MAKE}'
        ) from error
    if len(key) < MIN_LENGTH:
        raise ConfigError(
            f'The secret "{path}" has {len(key)} letters (allowed: {MIN_LENGTH} or more, at '
            f"random). Make one with: {TO_MAKE}"
        )
    return Secret(path, key, is_new)


def digest_of(secret: Secret, kind: str, text: str, digits: int = DIGITS) -> str:
    """Hexadecimal digits for a text, other ones for each kind of text."""
    return hmac.digest(secret.key, f"{kind}\0{text}".encode(), "sha256").hex()[:digits]


def pseudonyms(secret: Secret, kind: str, ids: pl.Series, prefix: str = "") -> pl.Series:
    """Pseudonyms of a column of ids; null stays null.

    Args:
        secret: The key.
        kind: Kind of the ids, ``patient``, ``study`` …: other kinds have other pseudonyms.
        ids: As text. [N]
        prefix: Start of every pseudonym; the first letter of the kind by default, so that no
            spreadsheet takes one for a number.

    Raises:
        TableError: Two ids have the same pseudonym.
    """
    different = ids.drop_nulls().unique()
    names = {text: (prefix or kind[0]) + digest_of(secret, kind, text) for text in different}
    if len(set(names.values())) < len(different):
        raise TableError(
            f"Two {kind} ids have the same pseudonym of {DIGITS} digits. Import with another "
            "secret (--secret FILE)."
        )
    return ids.replace_strict(names, default=None, return_dtype=pl.String)
