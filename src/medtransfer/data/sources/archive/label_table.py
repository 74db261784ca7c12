"""Labels from a table of the hospital, joined to images by an id that only headers hold.

The ids are compared and dropped: they are neither written nor quoted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.column_mapping import entries, read_mapping
from medtransfer.data.sources.generic.own_table import read_own_table, with_labels
from medtransfer.data.sources.source import Download, Join
from medtransfer.errors import TableError, fault_list, listed, plural, suggestion
from medtransfer.tables.guessed_targets import is_target, names_class
from medtransfer.tables.manifest import RESERVED
from medtransfer.tables.schema import ROW, rows_of
from medtransfer.tables.values.folding import INVISIBLE, name_words
from medtransfer.tables.values.missing_words import missing_words, without_words
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.value_map import map_values

KEYS = ("AccessionNumber", "StudyInstanceUID", "PatientID")
"""Entries of headers that labels can be joined by."""
UNITS = {"AccessionNumber": "studies", "StudyInstanceUID": "studies", "PatientID": "patients"}
OWN = frozenset({"cohort"})
"""Reserved columns that a label table may give."""
KEY, LOOSE = "_key", "_loose"
EXAMPLE = "--option targets=COLUMN,COLUMN"


@dataclass(frozen=True)
class LabelTable:
    """A table of labels by key.

    Attributes:
        name: Its file's name.
        key: Entry of headers that it is joined by.
        frame: A row per key: `KEY`, the targets and the attributes.
        targets: Columns of labels.
        attributes: Further columns.
        notes: Sentences on how it was read.
    """

    name: str
    key: str
    frame: pl.DataFrame
    targets: tuple[str, ...]
    attributes: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels.

    Attributes:
        frame: The rows.
        join: Counts of both sides.
        notes: Sentences on the join.
    """

    frame: pl.DataFrame
    join: Join | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NamedTable:
    """A table of labels whose columns are known, its cells as they stand.

    Attributes:
        name: Its file's name.
        key: Entry of headers that it is joined by.
        rows: `KEY` and the named columns under our names, with row numbers.
        targets: Columns of labels.
        attributes: Further columns.
        notes: Sentences on how the file was read, and on columns that are left out.
    """

    name: str
    key: str
    rows: pl.DataFrame
    targets: tuple[str, ...]
    attributes: tuple[str, ...]
    notes: tuple[str, ...]


def open_labels(options: Mapping[str, str]) -> NamedTable:
    """Open the table of option ``labels`` and find its columns.

    Args:
        options: ``labels``, ``on``, ``targets``, ``columns``, ``delimiter``, ``encoding``.

    Raises:
        TableError: The table is missing or lacks a column; all faults.
    """
    path = Path(options["labels"]).expanduser()
    if not path.is_file():
        raise TableError(f'The table of labels "{path}" is not there.')
    key, _, column = (part.strip() for part in options["on"].partition("="))
    mapped = read_mapping(options["columns"])
    targets = entries(options["targets"])
    table, notes = read_own_table(
        path,
        path.name,
        {column or key, *targets, *mapped.columns.values()},
        delimiter=options["delimiter"],
        encoding=options["encoding"],
        ids={name for name in (column, key) if name},
    )
    found_column = _key_column(table, key, column)
    faults = _faults(table, key, column, found_column, targets)
    theirs = mapped.columns | {name: name for name in targets if name not in mapped.columns}
    for ours, named in theirs.items():
        if named not in table.columns:
            near = suggestion(named, table.columns) or f"It has {listed(_free(table), 20)}."
            faults.append(f"column '{named}', named for {ours}, is not in the table. {near}"[:-1])
        if ours in RESERVED - OWN:
            faults.append(f"'{ours}' is made of the headers and cannot be taken from the table")
    if faults or found_column is None:
        raise TableError(fault_list(f"{path.name} cannot be joined", faults))
    rows = table.select(
        ROW,
        _key_text(found_column).alias(KEY),
        *(pl.col(named).cast(pl.String).alias(ours) for ours, named in theirs.items()),
        *(pl.lit(text).alias(ours) for ours, text in mapped.constants.items()),
    )
    dropped = [name for name in _free(table) if name not in {*theirs.values(), found_column}]
    if dropped:
        notes.append(
            f"{plural(len(dropped), 'column')} of {path.name} not named and left out: "
            f"{listed(dropped, 20)}."
        )
    attributes = [name for name in (*mapped.columns, *mapped.constants) if name not in targets]
    return NamedTable(
        name=path.name,
        key=key,
        rows=rows,
        targets=tuple(targets),
        attributes=tuple(attributes),
        notes=tuple(notes),
    )


def read_labels(download: Download) -> LabelTable:
    """Read the table of option ``labels``.

    Args:
        download: Whose options, as of `open_labels`, and values to write in place of others.

    Raises:
        TableError: As for `open_labels`; or cells are no labels, or one key has several.
    """
    table = open_labels(download.options)
    targets, attributes = list(table.targets), list(table.attributes)
    rows, cell_notes = _with_cells(table.rows, targets, attributes, download)
    rows, row_notes = _one_per_key(rows, table.key, table.name)
    return LabelTable(
        name=table.name,
        key=table.key,
        frame=rows,
        targets=table.targets,
        attributes=table.attributes,
        notes=(*table.notes, *cell_notes, *row_notes),
    )


def join_labels(
    images: pl.DataFrame, table: LabelTable, *, loose: bool, keep: bool
) -> LabelledImages:
    """Give images the labels of their study or patient.

    Args:
        images: Rows with the entries of headers, and `StudyInstanceUID`.
        table: The labels.
        loose: Also match keys that differ by leading zeros, blanks or case alone.
        keep: Keep images without a row in the table.

    Raises:
        TableError: No key of the table is in the headers.
    """
    images = images.with_columns(_key_text(table.key).alias(KEY))
    labels = table.frame.with_columns(_loose(KEY).alias(LOOSE))
    theirs = images.select(KEY).drop_nulls().unique().with_columns(_loose(KEY).alias(LOOSE))
    exact = theirs.join(labels.select(KEY), on=KEY, how="semi").select(KEY, label_key=KEY)
    rest = theirs.join(exact, on=KEY, how="anti").filter(~pl.col(LOOSE).is_duplicated())
    spare = labels.join(exact, left_on=KEY, right_on="label_key", how="anti")
    spare = spare.filter(~pl.col(LOOSE).is_duplicated()).select(LOOSE, label_key=KEY)
    near = rest.join(spare, on=LOOSE, how="inner").select(KEY, "label_key")
    pairs = pl.concat([exact, near]) if loose else exact
    notes = _near_notes(len(near), table, loose=loose)
    if pairs.is_empty():
        have = plural(theirs.height, "different value")
        raise TableError(
            f"No {table.key} of {table.name} is in the headers ({have} there, "
            f"{plural(images[KEY].null_count(), 'image')} without one). {' '.join(notes)}".strip()
        )
    images = images.join(pairs, on=KEY, how="left", maintain_order="left")
    unit = "StudyInstanceUID" if UNITS[table.key] == "studies" else "PatientID"
    without = images.filter(pl.col("label_key").is_null())
    units, units_without = (part[unit].n_unique() for part in (images, without))
    join = Join(
        left=UNITS[table.key],
        right=f"rows of {table.name}",
        key=table.key,
        matched=units - units_without,
        left_only=units_without,
        right_only=len(labels) - pairs["label_key"].n_unique(),
    )
    columns = [*table.targets, *table.attributes]
    given = labels.select(pl.col(KEY).alias("label_key"), *columns)
    images = images.drop(columns, strict=False)
    images = images.join(given, on="label_key", how="left", maintain_order="left")
    if not keep and len(without):
        images = images.filter(pl.col("label_key").is_not_null())
        notes.append(
            f"{plural(len(without), 'image')} without a row in {table.name} left out "
            "(--option unlabelled=keep keeps them)."
        )
    several = pl.struct(table.targets).n_unique().over("StudyInstanceUID") > 1
    torn = images.filter(pl.col("StudyInstanceUID").is_not_null()).filter(several)
    if len(torn):
        count = plural(torn["StudyInstanceUID"].n_unique(), "study")
        notes.append(
            f"{count} whose images have different labels, by different rows of {table.name}: each "
            "image keeps its own."
        )
    return LabelledImages(images.drop(KEY, "label_key"), join, tuple(notes))


def _near_notes(count: int, table: LabelTable, *, loose: bool) -> list[str]:
    if not count:
        return []
    rows, more = plural(count, "row"), plural(count, "more row")
    how = f"differ from {table.key} in the headers by leading zeros, blanks or case alone"
    if loose:
        return [f"{rows} of {table.name} {how}, and were matched."]
    why = "and were not matched (spreadsheets take leading zeros away)"
    advice = "Mend the table, or use --option keys=loose."
    return [f"{more} of {table.name} {how} {why}. {advice}"]


def _key_text(column: str) -> pl.Expr:
    """A key as text, a number without its decimals."""
    return pl.col(column).cast(pl.String).str.strip_chars().str.replace(r"^(\d+)\.0+$", "$1")


def _loose(column: str) -> pl.Expr:
    text = pl.col(column).str.normalize("NFKC").str.to_lowercase()
    text = text.str.replace_all(f"[{INVISIBLE}]", "")
    return text.str.replace_all(r"[\s_-]+", "").str.replace(r"^0+(.)", "$1")


def _free(table: pl.DataFrame) -> list[str]:
    return [name for name in table.columns if name != ROW]


def _key_column(table: pl.DataFrame, key: str, column: str) -> str | None:
    """The table's column of the key: the one that is named, or one that is called as the key."""
    if column:
        return column if column in table.columns else None
    if key in table.columns:
        return key
    wanted = "".join(name_words(key))
    alike = [name for name in _free(table) if "".join(name_words(name)) == wanted]
    return alike[0] if len(alike) == 1 else None


def _faults(
    table: pl.DataFrame, key: str, column: str, found_column: str | None, targets: list[str]
) -> list[str]:
    faults: list[str] = []
    if key not in KEYS:
        faults.append(f"it cannot be joined on '{key}' (allowed: {listed(KEYS)})")
    elif found_column is None:
        near = suggestion(column or key, _free(table)) or f"It has {listed(_free(table), 20)}."
        say = f"Say --on {key}=COLUMN with its name there"
        faults.append(f"it has no column '{column or key}'. {near} {say}")
    if not targets:
        offered = [name for name in _free(table) if _may_be_target(table, name)]
        offer = f" Columns that look like labels: {listed(offered, 20)}" if offered else ""
        faults.append(f"no column is named as a label: say {EXAMPLE}.{offer}")
    return faults


def _may_be_target(table: pl.DataFrame, name: str) -> bool:
    return names_class(name) or is_target(table, name)


def _with_cells(
    rows: pl.DataFrame, targets: list[str], attributes: list[str], download: Download
) -> tuple[pl.DataFrame, list[str]]:
    """Cells as those of any manifest are read, the targets as labels."""
    columns = (*targets, *attributes)
    values = {name: pairs for name, pairs in download.values.items() if name in columns}
    rows, notes = map_values(rows, values)
    read = read_cells(rows, [*targets, *attributes], Roles(targets), values)
    labelled = with_labels(read.frame, targets)
    download.refuse([*read.faults, *labelled.faults])
    rows = labelled.frame
    age_notes: list[str] = []
    if "age" in attributes:
        rows, age_notes = cells.with_age(rows, pl.col("age"))
    return rows, [*notes, *read.notes, *age_notes]


def _one_per_key(rows: pl.DataFrame, key: str, name: str) -> tuple[pl.DataFrame, list[str]]:
    """One row per key; rows without one are left out, and equal ones are one.

    Raises:
        TableError: Rows of one key differ.
    """
    notes: list[str] = []
    words = missing_words(rows[KEY])
    rows = without_words(rows, KEY, words) if words else rows
    empty = rows[KEY].null_count()
    if empty:
        notes.append(f"{plural(empty, 'row')} of {name} without {key}: left out.")
    rows = rows.filter(pl.col(KEY).is_not_null())
    single = rows.unique([c for c in rows.columns if c != ROW], keep="first", maintain_order=True)
    if len(single) < len(rows):
        notes.append(f"{plural(len(rows) - len(single), 'row')} of {name} repeated: read once.")
    torn = single.filter(pl.col(KEY).is_duplicated())
    if not torn.is_empty():
        ids = plural(torn[KEY].n_unique(), "id")
        raise TableError(
            f"{name}: {ids} with different labels, {rows_of(torn)}. Keep one row for each {key}."
        )
    return single.drop(ROW), notes
