"""Any table of images, by a mapping of its columns: CSV, TSV, or Parquet with pictures inside."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import PATH, Download, Imported, Join, Option, Source
from medtransfer.errors import ConfigError, TableError, fault_list, listed, suggestion
from medtransfer.tables.delimited import read_csv
from medtransfer.tables.manifest import LABELS, RESERVED
from medtransfer.tables.schema import ROW, wrong_cells

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
ENDINGS = (".csv", ".csv.gz", ".tsv", ".txt", ".parquet")
SPLIT_WORDS = {
    "train": "train", "training": "train", "tune": "tune", "val": "tune", "valid": "tune",
    "validate": "tune", "validation": "tune", "dev": "tune", "test": "test", "testing": "test",
}  # fmt: skip
"""How tables call the splits, in small letters → the split."""
WAYS = {"path": r"^(.*)$", "name": r"([^/]+)$", "name without its ending": r"([^/]+)\.[A-Za-z]+$"}
"""What a `path` cell may hold → how a file's path yields the same; tried in this order."""


@dataclass(frozen=True)
class Mapped:
    """What ``--columns`` says: our names to theirs, and to fixed texts."""

    columns: dict[str, str]
    constants: dict[str, str]


def read(download: Download) -> Imported:
    """The table's rows under our names, with their image files."""
    options = download.options
    table = _read_table(download)
    mapped = read_mapping(options["columns"])
    values = _pairs(options["values"], "values")
    rows, notes = _renamed(table, mapped, download)
    rows, targets = _with_findings(rows, download)
    targets += _entries(options["targets"]) if not options["findings"] else []
    rows = _with_values(rows, targets, values, download)
    rows, said = _with_splits(rows)
    if "age" in mapped.columns:
        rows, ages = cells.with_age(rows, pl.col("age"))
        said += ages
    rows = rows.with_columns(cells.sex("sex")) if "sex" in mapped.columns else rows
    if "image" in rows.columns:
        return Imported(rows, (), (), (*notes, *said))
    rows, join = _located(rows, download)
    return Imported(rows, (join,), (), (*coverage(join), *notes, *said))


def read_mapping(text: str) -> Mapped:
    """``ours=theirs`` takes a column, ``ours:=text`` writes the same text in every row.

    Raises:
        ConfigError: An entry is neither, or a name is given twice.
    """
    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    faults: list[str] = []
    for entry in _entries(text):
        ours, sign, theirs = entry.partition("=")
        fixed = ours.endswith(":")
        ours, theirs = ours.removesuffix(":").strip(), theirs.strip()
        if not (ours and sign and theirs):
            faults.append(f"'{entry}' is neither ours=theirs nor ours:=text")
        elif ours in columns or ours in constants:
            faults.append(f"'{ours}' is given twice")
        else:
            (constants if fixed else columns)[ours] = theirs
    if faults:
        raise ConfigError(fault_list("--columns cannot be used", faults))
    return Mapped(columns, constants)


def _entries(text: str) -> list[str]:
    """Entries between commas; one that holds a comma itself stands in double quotes."""
    found = next(csv.reader([text], skipinitialspace=True), list[str]())
    return [entry.strip() for entry in found if entry.strip()]


def _pairs(text: str, option: str) -> dict[str, str]:
    pairs = [entry.rpartition("=") for entry in _entries(text)]
    faults = [
        f"'{theirs}{sign}{ours}' is not theirs=1, 0, -1 or empty"
        for theirs, sign, ours in pairs
        if not sign or ours.strip() not in (*LABELS, "")
    ]
    if faults:
        raise ConfigError(fault_list(f"--{option} cannot be used", faults))
    return {theirs.strip(): ours.strip().replace("empty", "") for theirs, _, ours in pairs}


def _read_table(download: Download) -> pl.DataFrame:
    paths: list[str] = download.files[PATH].to_list()
    tables = [p for p in paths if p.lower().endswith(ENDINGS)]
    wanted = download.options["table"]
    top = [path for path in tables if "/" not in path]
    found = [path for path in tables if path == wanted] if wanted else top
    if len(found) != 1:
        raise TableError(
            f"{'No table' if not found else 'More than one table'} "
            f"{wanted or 'at the top'} of {download.folder} (tables there: "
            f"{listed(tables) or 'none'}). Name one with --option table=FILE."
        )
    path, name = download.folder / found[0], found[0].rsplit("/", 1)[-1]
    if path.suffix == ".parquet":
        frame = _read_parquet(path, name)
    else:
        separator = DELIMITERS[download.options["delimiter"]]
        separator = "\t" if path.suffix == ".tsv" else separator
        frame = read_csv(path, name, separator)
    if ROW in frame.columns:
        frame = frame.rename({ROW: "their_row"})
    first = 1 if path.suffix == ".parquet" else 2
    frame = frame.with_row_index(ROW, offset=first).with_columns(pl.col(ROW).cast(pl.Int64))
    text = pl.col(pl.String).str.strip_chars()
    return frame.with_columns(pl.when(text != "").then(text))


def _read_parquet(path: Path, name: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{name} is not a readable Parquet file.") from error


def _renamed(
    table: pl.DataFrame, mapped: Mapped, download: Download
) -> tuple[pl.DataFrame, list[str]]:
    """The table under our names, ids completed where that is plain; all faults at once."""
    theirs_all = [name for name in table.columns if name != ROW]
    faults: list[str] = []
    for ours, theirs in mapped.columns.items():
        if theirs not in theirs_all:
            near = suggestion(theirs, theirs_all) or f"It has {listed(theirs_all, 20)}."
            faults.append(f"column '{theirs}', named for {ours}, is not in the table. {near}"[:-1])
    given = {*theirs_all, *mapped.columns, *mapped.constants}
    if not {"path", "image"} & given:
        faults.append("no column holds the image file: say path=COLUMN")
    if "patient_id" not in given:
        faults.append(
            "no column is the patient: say patient_id=COLUMN (the image's own column, if every "
            "image is of another patient)"
        )
    if faults:
        raise TableError(fault_list("The table cannot be imported", faults))
    # a column that has our name already stays, even if another is taken from it too
    theirs = {name for name in mapped.columns.values() if name not in RESERVED}
    taken = {*mapped.columns, *theirs, *mapped.constants}
    beside = [name for name in table.columns if name not in taken]
    frame = table.select(
        *beside,
        *(pl.col(theirs).alias(ours) for ours, theirs in mapped.columns.items()),
        *(pl.lit(text).alias(ours) for ours, text in mapped.constants.items()),
    )
    return _with_ids(frame, download)


def _with_ids(frame: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[str]]:
    notes: list[str] = []
    if "image_id" not in frame.columns:
        source = "path" if "path" in frame.columns else "patient_id"
        frame = frame.with_columns(image_id=pl.col(source))
        notes.append(f"'image_id' is not named: '{source}' was taken.")
    if "case_id" not in frame.columns:
        frame = frame.with_columns(case_id=pl.col("image_id"))
        notes.append("'case_id' is not named: each image is a case of its own.")
    if "cohort" not in frame.columns and not download.options["cohort"]:
        name = download.folder.resolve().name
        frame = frame.with_columns(cohort=pl.lit(name or "internal"))
        notes.append(f"'cohort' is not named: the folder's name '{name}' was taken.")
    ids = [name for name in RESERVED - {"image"} if name in frame.columns]
    return frame.with_columns(pl.col(ids).cast(pl.String)), notes


def _with_findings(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[str]]:
    """One target per finding of a column such as ``Edema|Effusion``."""
    column = download.options["findings"]
    if not column:
        return rows, []
    if column not in rows.columns:
        near = suggestion(column, rows.columns)
        raise TableError(f"Column '{column}', named for findings, is not in the table. {near}")
    separator = download.options["separator"]
    wanted = _entries(download.options["targets"])
    found = rows[column].drop_nulls().str.split(separator).explode().str.strip_chars()
    names = wanted or [name for name in found.unique().sort().to_list() if name]
    missing = [name for name in wanted if name not in set(found)]
    if missing:
        near = suggestion(missing[0], set(found))
        raise TableError(f"No row of '{column}' names {listed(missing)}. {near}".rstrip())
    if both := [name for name in names if name in rows.columns and name != column]:
        raise TableError(
            f"{listed(both)} of '{column}' {'is a column' if len(both) == 1 else 'are columns'} of "
            "the table too. Say which findings to take with --option targets=…"
        )
    labels = cells.flags(rows[column], separator, {name: name for name in names})
    return rows.drop(column).hstack(labels), []


def _with_values(
    rows: pl.DataFrame, targets: list[str], values: Mapping[str, str], download: Download
) -> pl.DataFrame:
    """Label cells of the named targets by ``--values``; what is not on it must be a label."""
    if values and not targets:
        raise ConfigError("--values is of no use without --option targets=COLUMN,COLUMN.")
    faults: list[str] = []
    for name in targets:
        if name not in rows.columns:
            near = suggestion(name, rows.columns)
            faults.append(f"target '{name}' is not a column. {near}".rstrip("? ."))
            continue
        kind = rows.schema[name]
        text = pl.col(name).cast(pl.Int8) if kind == pl.Boolean else pl.col(name)
        text = text.cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "$1")
        cell = text.replace_strict(dict(values), default=text, return_dtype=pl.String)
        rows = rows.with_columns(pl.when(cell != "").then(cell).alias(name))
        wrong = rows.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(LABELS[:3]))
        faults += wrong_cells(wrong, name, [*values, *LABELS])
    download.refuse(faults)
    return rows


def _with_splits(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The split in our words, if the table has one."""
    if "split" not in rows.columns:
        return rows, []
    cell = pl.col("split").str.to_lowercase()
    word = cell.replace_strict(SPLIT_WORDS, default=None, return_dtype=pl.String)
    wrong = rows.filter(word.is_null() & pl.col("split").is_not_null())
    if faults := wrong_cells(wrong, "split", list(SPLIT_WORDS)):
        raise TableError(fault_list("The table cannot be imported", faults))
    return rows.with_columns(word.alias("split")), []


def _located(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, Join]:
    """The rows with their files: by the path as it is written, else by the file's name."""
    plain = pl.col(PATH).str.replace_all("\\", "/", literal=True).str.strip_prefix("./")
    keyed, chosen = rows.with_columns(plain.alias(KEY)), WAYS["path"]
    for way, pattern in WAYS.items():
        key = plain if way == "path" else plain.str.extract(r"([^/]+)$")
        tried = rows.with_columns(key.alias(KEY))
        there = download.pictures.select(pl.col(PATH).str.extract(pattern).alias(KEY))
        if not tried.join(there, on=KEY, how="semi").is_empty():
            keyed, chosen = tried, pattern
            break
    return locate(keyed, download, chosen)


SOURCE = Source(
    name="csv",
    title="A table of images",
    domain="any",
    read=read,
    licence="yours",
    layout=("table.csv (or .tsv, .csv.gz, .parquet)", "the image files that its rows name"),
    splits="A column mapped to `split`; train, val or tune, and test in any usual spelling.",
    options=(
        Option("columns", "Our names to theirs: `patient_id=PatID,path=File`; `cohort:=north` "
               "writes one text in every row."),
        Option("targets", "Columns that are labels; with `findings`, the findings to take."),
        Option("values", "What label cells mean: `yes=1,no=0,maybe=-1,unknown=empty`."),
        Option("findings", "A column that lists findings in one text, as `Edema|Effusion`."),
        Option("separator", "What stands between two findings.", "|"),
        Option("delimiter", "What stands between two columns of the file.", "comma",
               tuple(DELIMITERS)),
        Option("table", "The table's file, if there are several in the folder."),
    ),
)  # fmt: skip
