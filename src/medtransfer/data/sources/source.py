"""Description of a public data set, and the result of reading one.

A source is one file of this folder that ends in a `Source`: its facts, the tables of its official
download, and `read`, a function from an opened `Download` to `Imported`. See
docs/how-to/add-a-source.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from medtransfer.data.sources.odd_rows import OddRows, Rule
from medtransfer.errors import TableError, fault_list, plural
from medtransfer.tables.values.value_map import ValueMap

Domain = Literal["chest", "breast", "skin", "retina", "pathology", "any"]
Access = Literal["open", "registration", "credentialed", "agreement"]
PICTURES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
"""Endings of image files, in small letters."""
PATH = "path"
REPLACED = "\ufffd"
"""Stands in a path for what is not UTF-8."""


@dataclass(frozen=True)
class Target:
    """A label column of a source.

    Attributes:
        name: The column in the manifest.
        meaning: What 1 means, and by whom it was said.
        shared: Its name in the shared vocabulary of the domain; empty where it has none.
    """

    name: str
    meaning: str = ""
    shared: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the official download.

    Attributes:
        name: How the reader asks for it.
        files: Names it is found under, the best first; ``*`` stands for any letters. A name that
            ends in ``.gz`` is also found without, and the other way round.
        columns: Headers that must be there; a file without a header has exactly these.
        key: Columns that name a row: filled, and together unique.
        optional: Headers that are read where they are there; no other is.
        rules: What holds for every row as published; a row that breaks one is left out.
        unit: Columns that name what a row is about. With an odd row go all rows of its unit, in
            every table with the same unit.
        needed: Whether the import is refused without it.
        separator: Letter between cells.
        header: Whether the first line names the columns.
        holds: What a user looks for it for, in a few words.
    """

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    unit: tuple[str, ...] = ()
    needed: bool = True
    separator: str = ","
    header: bool = True
    holds: str = ""


@dataclass(frozen=True)
class Overlap:
    """Two sets with images in common, stated once, by the source that knows it best.

    Attributes:
        one: Word in the name of a set, small letters and figures, e.g. ``ham`` for HAM10000.
        other: The same of the other set, which need not be a source here.
        why: Which took its images from which.
        advice: What to do about it, as a sentence; empty where there is nothing but to know it.
    """

    one: str
    other: str
    why: str
    advice: str = ""


@dataclass(frozen=True)
class Option:
    """Something a user may choose when importing.

    Attributes:
        name: As in ``--option name=value``.
        doc: One sentence.
        default: What is taken if nothing is said; empty for nothing.
        allowed: The closed list of values, if there is one.
    """

    name: str
    doc: str
    default: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Join:
    """Two things put together by key, and what of either was left over.

    Attributes:
        left: What was kept in order, e.g. ``rows of train.csv``.
        right: What was looked up, e.g. ``image files``.
        key: What joined them, in words.
        matched: Rows of the left with a partner.
        left_only: Rows of the left without one.
        right_only: Entries of the right that no row of the left asked for.
        shared: Entries of the right that several rows of the left asked for.
    """

    left: str
    right: str
    key: str
    matched: int
    left_only: int
    right_only: int
    shared: int = 0

    def sentence(self) -> str:
        """``rows with image files by name: 8 matched; without a partner 2 rows, 1 image files``."""
        return (
            f"{self.left} with {self.right} by {self.key}: {self.matched:,} matched; without a "
            f"partner: {self.left_only:,} {self.left}, {self.right_only:,} {self.right}"
        )


@dataclass(frozen=True)
class ImportedSource:
    """Result of reading a source.

    Attributes:
        frame: One row per image, as the manifest's contract wants it; `path` relative to the
            download's folder, or `image` with the encoded picture.
        joins: Every join with both of its unmatched sides.
        kept: What was left out because it was asked for, as ``10 of 12: view = PA``.
        notes: Further sentences for the user.
        left_out: Rows of the tables that are not as published.
        is_read: True if `values.reading` has read the cells, for they are needed to read the rest.
        secrets: Files that must not lie beside the manifest.
    """

    frame: pl.DataFrame
    joins: tuple[Join, ...] = ()
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[OddRows, ...] = ()
    is_read: bool = False
    secrets: tuple[Path, ...] = ()


Reader = Callable[["Download"], ImportedSource]
Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True)
class Fetched:
    """Files that were brought from an address.

    Attributes:
        folder: Where they are.
        notes: Sentences on what was asked for, fetched, and left out.
    """

    folder: Path
    notes: tuple[str, ...] = ()


Fetcher = Callable[[str, Mapping[str, str], Progress], Fetched]
"""From an address and the options of a source to its files in a folder."""


@dataclass(frozen=True)
class Source:
    """A public data set: its facts and its reader.

    Attributes:
        name: As in ``medtransfer import NAME``; also the cohort of its images.
        title: What it is called.
        domain: What part of medicine; decides the shared vocabulary.
        read: From an opened download to the images' rows.
        tables: What is read of the official download.
        targets: Its label columns; empty if they depend on the user's own table.
        access: How one gets it.
        licence: Under what terms.
        terms: What these forbid to pass on that was made with it, as a sentence; said at import
            and in model cards.
        facts_from: Where its size, columns and terms were read.
        url: Where it is described.
        citation: What to cite.
        images: How many it has in all; None if that is the user's matter.
        patients: How many patients; None where that is not published.
        layout: What the folder looks like, a line each.
        splits: What the official split is and what becomes of it.
        attributes: Further columns of the manifest and what they are.
        tells_label: Those of them that hold the answer: never groups to report by.
        confounders: What may be learned in place of the disease, a sentence each.
        known_as: Words by which the set is named in overlaps.
        overlaps: Sets with images in common; what the audit looks for in the names of cohorts.
        options: What a user may choose.
        class_column: The column with a class name, if it has one.
        classes: Its values in the shared vocabulary.
        fetch: Brings its files from an address to a folder, for a source that has one.
    """

    name: str
    title: str
    domain: Domain
    read: Reader
    tables: tuple[Table, ...] = ()
    targets: tuple[Target, ...] = ()
    access: Access = "open"
    licence: str = ""
    terms: str = ""
    facts_from: str = ""
    url: str = ""
    citation: str = ""
    images: int | None = None
    patients: int | None = None
    layout: tuple[str, ...] = ()
    splits: str = ""
    attributes: dict[str, str] | None = None
    tells_label: tuple[str, ...] = ()
    confounders: tuple[str, ...] = ()
    known_as: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    options: tuple[Option, ...] = ()
    class_column: str = ""
    classes: dict[str, str] | None = None
    fetch: Fetcher | None = None


@dataclass(frozen=True)
class Download:
    """A folder whose tables were read and found good.

    Attributes:
        source: What it is a download of.
        folder: Where it is.
        files: Every file below it: `path`, relative and with ``/``, sorted. Hidden files and
            links to folders are left out.
        tables: The source's tables that are there, by name; cells are text without blanks around
            them, null where empty; `row` is the row number in the file.
        options: Every option of the source with its value.
        left_out: Rows of the tables that are not as published; `tables` is without them.
        notes: Sentences on what of the tables' files was not read as it stands.
        values: Values to write in place of others, by column of the manifest.
        progress: Called with (done, total) while files are read.
    """

    source: Source
    folder: Path
    files: pl.DataFrame
    tables: Mapping[str, pl.DataFrame]
    options: Mapping[str, str]
    left_out: tuple[OddRows, ...] = ()
    notes: tuple[str, ...] = ()
    values: ValueMap = field(default_factory=dict[str, dict[str, str]])
    progress: Progress = lambda _done, _total: None

    @property
    def pictures(self) -> pl.DataFrame:
        """The image files among `files`, below the folder of option ``images`` if it is given."""
        ending = pl.col(PATH).str.to_lowercase().str.extract(r"(\.[a-z]+)$")
        pictures = self.files.filter(ending.is_in(PICTURES).fill_null(value=False))
        below = self.options.get("images", "").strip("/")
        return pictures.filter(pl.col(PATH).str.starts_with(below + "/")) if below else pictures

    def unreadable_names(self) -> list[str]:
        """A fault if image files have names that are not UTF-8, which no table can hold."""
        count = int(self.pictures[PATH].str.contains(REPLACED, literal=True).sum())
        if not count:
            return []
        files = "file has a name that is" if count == 1 else "files have names that are"
        advice = (
            "unpack the archive again with its encoding, or rename them, e.g. with `convmv -f "
            "latin1 -t utf8 -r --notest FOLDER`"
        )
        return [f"{count:,} image {files} not UTF-8: {advice}"]

    def refuse(self, faults: Iterable[str]) -> None:
        """Raise one error for all faults found in the tables, or do nothing.

        Raises:
            TableError: There are faults.
        """
        refuse(self.source, faults)


def refuse(source: Source, faults: Iterable[str]) -> None:
    """Raise one error for all faults of a download, or do nothing if there are none.

    Raises:
        TableError: There are faults.
    """
    faults_found = list(faults)
    if faults_found:
        see = f"`medtransfer sources {source.name}` shows what the folder should hold."
        raise TableError(fault_list(f"{source.title} cannot be imported", faults_found, see))


def kept_text(kept: int, total: int, why: str) -> str:
    """``29,420 of 223,414: view = PA``."""
    return f"{kept:,} of {total:,}: {why}"


def summary(imported: ImportedSource) -> str:
    """``12 images: 10 cases of 8 patients``."""
    frame = imported.frame
    cases, patients = frame["case_id"].n_unique(), frame["patient_id"].n_unique()
    count = f"{plural(len(frame), 'image')}: {plural(cases, 'case')}"
    return f"{count} of {plural(patients, 'patient')}"
