"""Encoding, line ends and separator of a text table, found in the file itself.

A guess that could be wrong is refused with what to do; no cell is ever part of a message.
"""

import codecs
import csv
import re
import unicodedata
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from medtransfer.errors import TableError
from medtransfer.sizes.text import CHUNK, require_text_size, text_chunks
from medtransfer.tables.values.folding import INVISIBLE

SEPARATORS = {",": "commas", ";": "';'", "\t": "tabs", "|": "'|'"}
"""Separators of columns, with their names in messages."""
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[\r\n]', re.IGNORECASE)
"""First line in which Excel states the separator."""
MAX_ABOVE, MIN_NAMES = 20, 2
"""Rows among which the header is looked for below a title, and the expected names that it has."""
MAX_NULLS = 0.2
"""Share of null bytes in a text that may be UTF-8; Latin letters in UTF-16 bring half."""
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
        lines_above: Lines above the header: a title, or Excel's ``sep=;``.
    """

    separator: str = ","
    encoding: str = "utf-8"
    old_line_ends: bool = False
    lines_above: int = 0

    @property
    def is_plain(self) -> bool:
        """True for UTF-8 with common line ends, which is read without another copy."""
        return self.encoding == "utf-8" and not self.old_line_ends and not self.lines_above

    def sentences(self, what: str) -> list[str]:
        """A sentence on the form, if it is not a CSV in UTF-8."""
        parts: list[str] = []
        if self.separator != ",":
            parts.append(f"columns between {SEPARATORS.get(self.separator, self.separator)}")
        if self.encoding != "utf-8":
            parts.append(f"text in {self.encoding}")
        if self.old_line_ends:
            parts.append("line ends of old Macs (CR)")
        if self.lines_above:
            parts.append(f"its header in line {self.lines_above + 1}; what is above was left out")
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
    stated = SEPARATOR_LINE.match(text)
    letter = separator or (stated[1] if stated else _separator(text, what, expected))
    above = header_row(_rows(text, letter), expected).line - 1
    return TextFormat(letter, name, old, max(above, 1 if stated else 0))


def plain_text(path: Path, form: TextFormat, what: str) -> bytes:
    """The whole file as UTF-8 with common line ends.

    Raises:
        TableError: It is not text in this encoding.
    """
    try:
        text = b"".join(text_chunks(path)).decode(form.encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, UnicodeError) as error:
        raise TableError(f"{what} is not text in the encoding '{form.encoding}'.") from error
    text = text.replace("\r", "\n") if form.old_line_ends else text
    if form.lines_above:
        text = "".join(text.splitlines(keepends=True)[form.lines_above :])
    return text.encode()


def _encoding(path: Path, head: bytes, what: str) -> str:
    """The encoding of a file; UTF-8 also for what is not text at all, which the reader refuses."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if (wide := _wide_encoding(head)) is not None:
        return wide
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


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 without a byte order mark: each line end and separator of such a text has a null."""
    nulls = head[:4096].count(0)
    few = nulls <= len(head[:4096]) * MAX_NULLS
    if not nulls or (few and _is_utf8(head[:4096])):  # a padded cell of an export holds some
        return None
    marks: dict[str, int] = {}
    for name in ("utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(name)().decode(head[:4096])
        except UnicodeDecodeError:
            continue
        plain = text.translate(dict.fromkeys(map(ord, "\t\r\n\ufeff")))
        if plain.isprintable() or "\0" not in text:
            marks[name] = sum(text.count(mark) for mark in ("\n", "\r", *SEPARATORS))
    best = max(marks, key=marks.__getitem__, default=None)
    return best if best is not None and marks[best] else None


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


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
        header = header_row(rows, expected)
        if len(header.cells) > 1:
            below = [row for row in rows if row.line > header.line]
            even = all(len(row.cells) == len(header.cells) for row in below)
            ranks[letter] = (len(header.names & _plain(expected)), even)
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


@dataclass(frozen=True)
class SampleRow:
    """A row of the start of a text table.

    Attributes:
        line: Number of its first line, from 1.
        cells: As they are written.
    """

    line: int
    cells: list[str]

    @property
    def names(self) -> set[str]:
        """Its cells as names of columns."""
        return {plain_name(cell) for cell in self.cells}


def plain_name(name: str) -> str:
    """A column's name without blanks around it and signs that nobody sees, in one Unicode form."""
    letters = "".join(letter for letter in name if letter not in INVISIBLE)
    return unicodedata.normalize("NFC", letters).strip()


def plain_headers(names: Sequence[str], prefixes: Sequence[str]) -> dict[str, str]:
    """Names of a family of columns, as ``target_x``, that have blanks around them → without."""
    plain = {name: plain_name(name) for name in names}
    renamed = {
        name: new
        for name, new in plain.items()
        if new != name and new.startswith(tuple(prefixes)) and new not in names
    }
    return renamed if len({*renamed.values()}) == len(renamed) else {}


def _plain(names: Collection[str]) -> set[str]:
    return {plain_name(name) for name in names}


def header_row(rows: list[SampleRow], expected: Collection[str]) -> SampleRow:
    """The header: the first row, or the one below a title that has several expected names."""
    if not rows or rows[0].names & _plain(expected):
        return rows[0] if rows else SampleRow(1, [])
    least = min(MIN_NAMES, len(expected))
    below = (row for row in rows[:MAX_ABOVE] if len(row.names & _plain(expected)) >= least > 0)
    return next(below, rows[0])


def _rows(text: str, separator: str) -> list[SampleRow]:
    """The header and the first rows; the last line of the sample may be cut and is left out."""
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(text.encode()) >= CHUNK // 2 and len(lines) > 1 else lines
    reader = csv.reader(lines, delimiter=separator)
    rows: list[SampleRow] = []
    first = 1
    try:
        for cells in islice(reader, SAMPLE_ROWS + 1):
            if cells:
                rows.append(SampleRow(first, cells))
            first = reader.line_num + 1
    except csv.Error:
        return []
    return rows
