"""Search of a written page for the ids, file names and personal cells of the tables behind it."""

import html
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.errors import TableError
from medtransfer.language.numbers import localised, translate_plural
from medtransfer.language.translation import template, translate
from medtransfer.tables.manifest import MANIFEST_CONTRACT, RESERVED
from medtransfer.tables.schema import ROW, read_noted_frame
from medtransfer.tables.values.folding import INVISIBLE
from medtransfer.tables.values.personal import MIN_BEHIND
from medtransfer.tables.values.personal_columns import personal_reason

IDS = ("image_id", "case_id", "patient_id")
MIN_LETTERS = 5
"""Shorter ids cannot be told from other text of a page."""
MIN_DIGITS = 7
"""Numbers of fewer digits cannot be told from counts and results."""
NUMBER = r"^[\d\s.,:%+-]*$"
WORD = re.compile(r"\w+")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
NOT_SEARCHED = template(
    "The ids of the cases were not at hand when this page was written: it was not searched for "
    "them."
)


@dataclass(frozen=True)
class Identifiers:
    """Texts that must not be on a page.

    Attributes:
        ids: Ids, file names and folder names.
        cells: Cells of columns that look like personal data.
        has_manifest: True if the manifest was read; else only ids of predictions are known.
    """

    ids: frozenset[str]
    cells: frozenset[str] = frozenset()
    has_manifest: bool = False

    def without(self, names: Iterable[str]) -> "Identifiers":
        """The same without ids that are also names that were asked for, such as those of cohorts.

        Personal cells stay: a waived check makes them no less personal.
        """
        return replace(self, ids=self.ids - {_plain(name) for name in names})


@dataclass(frozen=True)
class PageSearch:
    """Outcome of the search of a page.

    Attributes:
        ids: Number of ids and names that were searched.
        cells: Number of cells of personal columns that were searched.
        found: Number of both that are on the page.
        not_searched: Number of both that are too short to be told from other text.
        has_manifest: True if the manifest was read.
    """

    ids: int
    cells: int
    found: int
    not_searched: int
    has_manifest: bool

    def sentence(self) -> str:
        """The search in words: its extent and its outcome."""
        names = translate_plural("1 id or file name", "{count} ids and file names", self.ids)
        if self.cells:
            names = translate(
                "{names} and {cells} of columns that look like personal data",
                names=names,
                cells=translate_plural("{count} cell", "{count} cells", self.cells),
            )
        text = (
            translate("The page was searched for {names} of the manifest:", names=names)
            if self.has_manifest
            else translate(
                "The page was searched for {names} of the predictions (no manifest):", names=names
            )
        )
        on_page = (
            translate_plural(
                "{count} of them is on it. Do not pass it on.",
                "{count} of them are on it. Do not pass it on.",
                self.found,
            )
            if self.found
            else translate("none is on it.")
        )
        if not self.not_searched:
            return f"{text} {on_page}"
        short = translate(
            "{count} more are too short to be told from other text (under {letters} characters, or "
            "numbers under {digits} digits) and were not searched.",
            count=localised(f"{self.not_searched:,}"),
            letters=MIN_LETTERS,
            digits=MIN_DIGITS,
        )
        return f"{text} {on_page} {short}"


def identifiers_of(
    predictions: pl.DataFrame, manifest: pl.DataFrame | None = None, least: int = MIN_BEHIND
) -> Identifiers:
    """Every text of a manifest and of predictions that may identify a person.

    Args:
        predictions: `case_id` and `patient_id`.
        manifest: Its rows, as far as it could be read.
        least: Folders and file names that so many patients share identify none.
    """
    tables = [predictions, *([] if manifest is None else [manifest])]
    ids = [_texts(table[name]) for table in tables for name in IDS if name in table.columns]
    cells: list[pl.Series] = []
    if manifest is not None:
        if {"path", "patient_id"} <= {*manifest.columns}:
            ids += _path_parts(manifest, least)
        free = [name for name in manifest.columns if name not in RESERVED and name != ROW]
        cells = [_texts(manifest[name]) for name in free if personal_reason(manifest[name])]
    return Identifiers(_together(ids), _together(cells), manifest is not None)


def readable_rows(manifest: Path | None) -> pl.DataFrame | None:
    """The rows of a manifest as they stand in its file; None if it cannot be read."""
    if manifest is None:
        return None
    try:
        return read_noted_frame(manifest, MANIFEST_CONTRACT, skip=("image",)).frame
    except (TableError, OSError):
        return None


def search_page(page: str, identifiers: Identifiers, ours: Collection[str] = ()) -> PageSearch:
    """Search a page for texts as whole words; case does not matter.

    Args:
        page: HTML.
        identifiers: From `identifiers_of`.
        ours: Parts of the page that are the program's own, as its script.
    """
    for part in ours:
        page = page.replace(part, " ")
    text = _plain(html.unescape(ESCAPED.sub(lambda m: chr(int(m[1], 16)), page)))
    ids, short_ids = _told(identifiers.ids)
    cells, short_cells = _told(identifiers.cells - identifiers.ids)
    return PageSearch(
        ids=len(ids),
        cells=len(cells),
        found=len(standing_in(pl.concat([ids, cells]), text)),
        not_searched=short_ids + short_cells,
        has_manifest=identifiers.has_manifest,
    )


def standing_in(names: pl.Series, text: str) -> set[str]:
    """The names that stand in a text as a whole: no letter or figure joins either end.

    The text is gone through once, whatever the number of names: at each of its words, pieces of
    the few lengths that names with this first word have are looked up among the names.
    """
    words = set(WORD.findall(text))
    wanted: set[str] = set()
    shapes: dict[str, set[tuple[int, int]]] = {}
    standing: set[str] = set()
    for name in _possible(names, words):
        parts = WORD.findall(name)
        if not parts:  # signs alone
            standing |= {name} if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) else set()
        elif words.issuperset(parts):  # most have a word that is nowhere
            wanted.add(name)
            shapes.setdefault(parts[0], set()).add((name.index(parts[0]), len(name)))
    for word in WORD.finditer(text) if shapes else ():
        for before, length in shapes.get(word[0], ()):
            start = word.start() - before
            name = text[start : start + length] if start >= 0 else ""
            if name in wanted and _is_whole(text, start, start + length):
                standing.add(name)
    return standing


def _possible(names: pl.Series, words: set[str]) -> list[str]:
    """The names without most of those that have a word which is not among `words`.

    Letters other than ASCII are left to Python: what it calls a word differs from what polars does.
    """
    page_words = pl.Series([word for word in words if word.isascii()], dtype=pl.String).implode()
    is_possible = names.str.contains(r"[^\x00-\x7f]")
    first, last = (names.str.extract(pattern) for pattern in (r"(\w+)", r"(\w+)\W*$"))
    both = first.is_in(page_words) & last.is_in(page_words)
    return names.filter(is_possible | both | first.is_null()).to_list()


def _is_whole(text: str, start: int, end: int) -> bool:
    """True if neither the letter before a piece of a text nor that behind it is of a word."""
    return not WORD.match(text[max(start - 1, 0) : start]) and not WORD.match(text[end : end + 1])


def _told(names: Collection[str]) -> tuple[pl.Series, int]:
    """The texts that can be told from others on a page, and how many cannot."""
    cells = pl.Series([*names], dtype=pl.String)
    digits = cells.str.count_matches(r"\d")
    is_number = cells.str.contains(NUMBER) & (digits < MIN_DIGITS)
    searchable = cells.filter((cells.str.len_chars() >= MIN_LETTERS) & ~is_number)
    return searchable, len(cells) - len(searchable)


def _path_parts(manifest: pl.DataFrame, least: int) -> list[pl.Series]:
    """Paths, and the names of files and folders that few patients share."""
    path = manifest["path"].cast(pl.String).str.replace_all("\\", "/", literal=True)
    stems = path.str.replace(r"\.[A-Za-z0-9]{1,5}$", "")
    parts = pl.DataFrame({"part": stems.str.split("/"), "owner": manifest["patient_id"]})
    shared = parts.explode("part").group_by("part").agg(pl.col("owner").n_unique())
    return [_texts(path), _texts(shared.filter(pl.col("owner") < least)["part"])]


def _texts(cells: pl.Series) -> pl.Series:
    return cells.drop_nulls().cast(pl.String, strict=False).unique()


def _together(columns: list[pl.Series]) -> frozenset[str]:
    """The texts of all columns, plain; those of a single word in ASCII are so in small letters."""
    names: set[str] = set()
    for column in columns:
        is_word = column.str.contains(r"^[!-~]+$")
        names.update(column.filter(is_word).str.to_lowercase().to_list())
        names.update(map(_plain, column.filter(~is_word).to_list()))
    return frozenset(names - {""})


def _plain(text: str) -> str:
    """A text in small letters, with single blanks and no hidden characters."""
    hidden = re.sub(f"[{INVISIBLE}]", "", text)
    return " ".join(hidden.lower().split())
