"""Encoding, line ends and separator of a text table, found in the file itself.

A guess that could be wrong is refused with what to do; no cell is ever part of a message.
"""

import codecs
import csv
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from medtransfer.errors import TableError
from medtransfer.sizes.text import CHUNK, require_text_size, text_chunks

SEPARATORS = {",": "commas", ";": "';'", "\t": "tabs", "|": "'|'"}
"""Separators of columns, with their names in messages."""
SAMPLE_ROWS = 50
"""Rows after the header that are looked at for the separator."""
LETTERS = "ÄÖÜäöüßÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛàáâãåæçèéêëìíîïñòóôõøùúûÿŒœŠšŽž"
"""Letters of Western European words in cp1252."""
SIGNS = "€°²³µ§«»“”„‘’–—…·¿¡ªº±×\xa0"
_INSIDE = f"[A-Za-z{LETTERS}]"
_CAPITAL = "".join(letter for letter in LETTERS if letter.isupper())
FOREIGN = re.compile(
    "|".join(
        (
            f"[{LETTERS}]{{3}}",
            f"(?<={_INSIDE})[€°²³µ§¿¡±×«»“”„…–—](?={_INSIDE})",
            f"(?<=[a-z])[{_CAPITAL}](?![A-Z{_CAPITAL}])",  # mŠnnlich: Mac Roman
            f"(?<!{_INSIDE})[{LETTERS}](?!{_INSIDE})(?<![àÀéÉèÈåÅøØ])",  # ì alone: м in cp1251
            "ã(?=[bcdfghjklmnpqrtvwx])|õ(?!e)|[ìù](?=[a-z])",  # bãrbat, nõ, prùmìr: cp1250
        )
    )
)
"""Letters in places where no Western European word has them: the encoding is another one."""
PAIRS = {"¿": "?", "¡": "!"}
"""Signs before a sentence, and those that must then follow."""


@dataclass(frozen=True)
class TextFormat:
    """Form of a text table.

    Attributes:
        separator: One letter between cells.
        encoding: Python's name of it.
        old_line_ends: True if lines end in CR alone, as on old Macs.
    """

    separator: str = ","
    encoding: str = "utf-8"
    old_line_ends: bool = False

    @property
    def is_plain(self) -> bool:
        """True for UTF-8 with common line ends, which is read without another copy."""
        return self.encoding == "utf-8" and not self.old_line_ends

    def sentences(self, what: str) -> list[str]:
        """A sentence on the form, if it is not a CSV in UTF-8."""
        parts: list[str] = []
        if self.separator != ",":
            parts.append(f"columns between {SEPARATORS.get(self.separator, self.separator)}")
        if self.encoding != "utf-8":
            parts.append(f"text in {self.encoding}")
        if self.old_line_ends:
            parts.append("line ends of old Macs (CR)")
        return [f"{what} was read with {', '.join(parts)}."] if parts else []


def find_format(
    path: Path,
    what: str,
    expected: Collection[str] = (),
    separator: str | None = None,
    encoding: str | None = None,
) -> TextFormat:
    """Find out how a text table is written.

    Args:
        path: The file, plain or in gzip.
        what: Name in messages.
        expected: Column names that the table should have.
        separator: Letter between cells, if it is known.
        encoding: Name of the encoding, if it is known.

    Raises:
        TableError: The encoding or the separator cannot be told; the file is damaged or too large.
    """
    require_text_size(path, what)
    try:
        head = next(text_chunks(path), b"")
        name = encoding or _encoding(path, head, what)
        text = codecs.getincrementaldecoder(name)("replace").decode(head).removeprefix("\ufeff")
    except LookupError as error:
        raise TableError(f"{what}: there is no encoding '{encoding}'.") from error
    except UnicodeError as error:  # UTF-16 without a byte order mark
        raise TableError(f"{what} is not text in the encoding '{encoding}'.") from error
    except (OSError, EOFError, zlib.error):
        return TextFormat(separator or ",")  # the reader names the fault
    old = "\r" in text and "\n" not in text
    if separator is None:
        separator = _separator(text, what, expected)
    return TextFormat(separator, name, old)


def plain_text(path: Path, form: TextFormat, what: str) -> bytes:
    """The whole file as UTF-8 with common line ends.

    Raises:
        TableError: It is not text in this encoding.
    """
    try:
        text = b"".join(text_chunks(path)).decode(form.encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, UnicodeError) as error:
        raise TableError(f"{what} is not text in the encoding '{form.encoding}'.") from error
    return (text.replace("\r", "\n") if form.old_line_ends else text).encode()


def _encoding(path: Path, head: bytes, what: str) -> str:
    """The encoding of a file; UTF-8 also for what is not text at all, which the reader refuses."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    nulls = head[:4096].count(0)
    if nulls > len(head[:4096]) / 5:
        return "utf-16-le" if head[1:4096:2].count(0) > nulls / 2 else "utf-16-be"
    line = _not_utf8(path)
    if line is None:
        return "utf-8"
    advice = (
        f"{what} cannot be read: line {line} is not UTF-8 text, and its letters do not tell which "
        "encoding it is. Save the file as UTF-8, or import it with `medtransfer import csv … "
        "--option encoding=NAME`, e.g. cp1250, cp1251, cp1254, mac_roman, gbk or shift_jis."
    )
    try:
        text = b"".join(text_chunks(path)).decode("cp1252")
    except UnicodeDecodeError as error:
        raise TableError(advice) from error
    other = {letter for letter in set(text) if ord(letter) > 127}
    alone = any(sign in text and end not in text for sign, end in PAIRS.items())
    if other - set(LETTERS + SIGNS) or alone or FOREIGN.search(text):
        raise TableError(advice)
    return "cp1252"


def _not_utf8(path: Path) -> int | None:
    """The first line that is not UTF-8; None if all are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    for chunk in text_chunks(path):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            return lines + error.object[: error.start].count(b"\n")
        lines += chunk.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return lines
    return None


def _separator(text: str, what: str, expected: Collection[str]) -> str:
    """The separator whose header has the expected names and whose rows are as long as it.

    Raises:
        TableError: Two separators fit equally well.
    """
    ranks: dict[str, tuple[int, bool]] = {}
    for letter in SEPARATORS:
        rows = _rows(text, letter)
        header = rows[0] if rows else []
        if len(header) > 1:
            names = {name.strip() for name in header}
            even = all(len(row) == len(header) for row in rows[1:])
            ranks[letter] = (len(names & set(expected)), even)
    if not ranks:
        return ","
    best = [letter for letter in ranks if ranks[letter] == max(ranks.values())]
    if len(best) > 1 and max(ranks.values())[1]:
        names = " and ".join(SEPARATORS[letter] for letter in best)
        raise TableError(
            f"{what} can be read with {names} between its columns. Save it with commas, or import "
            "it with `medtransfer import csv … --option delimiter=NAME`."
        )
    return best[0]


def _rows(text: str, separator: str) -> list[list[str]]:
    """The header and the first rows; the last line of the sample may be cut and is left out."""
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(text.encode()) >= CHUNK // 2 and len(lines) > 1 else lines
    try:
        rows = list(islice(csv.reader(lines, delimiter=separator), SAMPLE_ROWS + 1))
    except csv.Error:
        return []
    return [row for row in rows if row]
