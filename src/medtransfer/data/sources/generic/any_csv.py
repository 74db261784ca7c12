"""Any table of images, by a mapping of its columns: CSV, TSV, or Parquet with pictures inside."""

from collections.abc import Sequence

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.column_mapping import (
    Mapped,
    entries,
    parts_of,
    read_mapping,
    text_pairs,
)
from medtransfer.data.sources.generic.own_table import (
    DELIMITERS,
    read_own_table,
    with_findings,
    with_labels,
    with_text_ids,
)
from medtransfer.data.sources.generic.proposed_columns import offers, proposal
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import PATH, Download, ImportedSource, Join, Option, Source
from medtransfer.errors import TableError, fault_list, plural, suggestion
from medtransfer.tables.manifest import RESERVED, SPLITS, label_text, readable_columns
from medtransfer.tables.schema import ROW, wrong_cells
from medtransfer.tables.values.missing_words import counted, value_counts
from medtransfer.tables.values.personal_columns import (
    listed_columns,
    personal_faults,
)
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.value_map import absent_columns, map_values

ENDINGS = (".csv", ".csv.gz", ".tsv", ".txt", ".xlsx", ".parquet")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "tune": "tune",
    "tuning": "tune",
    "val": "tune",
    "valid": "tune",
    "validate": "tune",
    "validation": "tune",
    "dev": "tune",
    "test": "test",
    "testing": "test",
}
"""Words for splits, in lower case → the split."""
OWN_WORDS = ("sex", "age", "view", "laterality", "fitzpatrick", "site", "case_id", "split")
"""Attributes that a manifest calls so: a column of that name needs no mapping."""
DERIVED = ("age_band", "skin_type")
"""Columns that are made of `age` and `fitzpatrick`."""
WAYS = {"path": r"^(.*)$", "name": r"([^/]+)$", "name without its ending": r"([^/]+)\.[A-Za-z]+$"}
"""Contents of a `path` cell → the same from a file's path; tried in this order."""
BY_NAME = "No cell of 'path' is the place of a file here: files were found by their names alone."
SPELLED = "{} found their file under a name that differs in case or Unicode form alone."


def read(download: Download) -> ImportedSource:
    """The table's rows under our names, with their image files."""
    options = download.options
    mapped = read_mapping(options["columns"])
    table, file_notes = _read_table(download, mapped)
    table, copies = _without_copies(table)
    rows, notes = _renamed(table, mapped, download)
    notes = [*file_notes, *copies, *notes]
    rows, emptied_notes = _emptied(rows, download)
    targets = entries(options["targets"])
    if options["findings"]:
        findings = with_findings(rows, options["findings"], options["separator"], targets)
        rows, targets, notes = findings.frame, [*findings.targets], [*notes, *findings.notes]
    rows, cell_notes = _with_cells(rows, targets, download)
    labelled = with_labels(rows, targets)
    download.refuse(labelled.faults)
    rows = labelled.frame
    rows, split_notes = _with_splits(rows)
    rows, people = _with_people(rows, targets)
    if options["others"] == "drop":
        emptied = {name for name, _ in text_pairs(options["empty"], "empty")}
        named = {*mapped.columns, *mapped.constants, *targets, *emptied, *download.values}
        rows, dropped_notes = _of_named(rows, named)
        people = [*people, *dropped_notes]
    joins: list[Join] = []
    download.refuse(personal_faults(rows, ["cohort"]))
    if "image" not in rows.columns:
        rows, join, spelled = _located(rows, download)
        joins, notes = [join], [*coverage(join), *spelled, *notes]
    notes += [*emptied_notes, *cell_notes, *split_notes, *people]
    return ImportedSource(rows, tuple(joins), (), tuple(notes), is_read=True)


def _with_cells(
    rows: pl.DataFrame, targets: list[str], download: Download
) -> tuple[pl.DataFrame, list[str]]:
    """Cells as those of any manifest are read, the targets as labels."""
    faults = absent_columns(rows, download.values)
    rows, notes = map_values(rows, download.values)
    read = read_cells(rows, readable_columns(rows), Roles(targets), download.values)
    download.refuse([*faults, *read.faults])
    return read.frame, [*notes, *read.notes]


def _of_named(rows: pl.DataFrame, named: set[str]) -> tuple[pl.DataFrame, list[str]]:
    """The columns that were named or that a manifest has; the others are listed.

    An export may hold names, dates and free text: what nobody asked for stays out.
    """
    kept = {*named, *DERIVED, *RESERVED, *OWN_WORDS, ROW}
    dropped = [c for c in rows.columns if c not in kept and not c.startswith("target_")]
    if not dropped:
        return rows, []
    note = (
        f"{plural(len(dropped), 'column')} not named and left out: {listed_columns(dropped)}. Name "
        "what you need with --columns or --option targets; --option others=keep keeps all."
    )
    offered = offers(rows, dropped)
    looks = [f"What looks like {what} there is taken with: {option}" for what, option in offered]
    return rows.drop(dropped), [note, *looks]


def _with_people(rows: pl.DataFrame, targets: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """Age and skin type in our spelling, also where a column has our name already; and notes.

    Columns that are made of them, `age_band` and `skin_type`, stay if the table has its own.
    """
    notes: list[str] = []
    theirs = rows.select(name for name in DERIVED if name in rows.columns)
    if "age" in rows.columns and "age" not in targets:
        rows, notes = cells.with_age(rows, pl.col("age"))
    if "fitzpatrick" in rows.columns:
        before = rows["fitzpatrick"].cast(pl.String)
        rows = rows.with_columns(before).with_columns(skin.fitzpatrick("fitzpatrick"))
        notes += cells.emptied(before, rows["fitzpatrick"], "Skin type")
    return rows.with_columns(theirs.get_columns()), notes


def _emptied(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[str]]:
    """Cells that stand for nothing, as ``age=0``, left empty and counted."""
    pairs = text_pairs(download.options["empty"], "empty")
    strange = [name for name, _ in pairs if name not in rows.columns]
    faults = [
        f"column '{name}', named for empty, is not there. {suggestion(name, rows.columns)}".rstrip()
        for name in dict.fromkeys(strange)
    ]
    download.refuse(faults)
    notes: list[str] = []
    for name, nothing in pairs:
        hit = rows.select(label_text(name).eq(nothing).fill_null(value=False)).to_series()
        rows = rows.with_columns(pl.when(~hit).then(pl.col(name)).alias(name))
        notes.append(
            f"'{name}' is left empty in {plural(int(hit.sum()), 'row')} that say {nothing}."
        )
    return rows, notes


def _without_copies(table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The table without rows that repeat another in every cell; pictures are not compared."""
    names = [name for name in table.columns if name != ROW]
    if any(table.schema[name].is_nested() or table.schema[name] == pl.Binary() for name in names):
        return table, []
    distinct = table.unique(names, keep="first", maintain_order=True)
    copies = len(table) - len(distinct)
    if not copies:
        return table, []
    verb = "repeats another row in every cell and is" if copies == 1 else "repeat others and are"
    return distinct, [f"{plural(copies, 'row')} {verb} left out."]


def _read_table(download: Download, mapped: Mapped) -> tuple[pl.DataFrame, list[str]]:
    """The table with its rows numbered, and notes on how its file is written."""
    paths: list[str] = download.files[PATH].to_list()
    tables = [p for p in paths if p.lower().endswith(ENDINGS)]
    wanted = download.options["table"]
    top = [path for path in tables if "/" not in path]
    matching = [path for path in tables if path == wanted] if wanted else top
    if len(matching) != 1:
        raise TableError(
            f"{'No table' if not matching else 'More than one table'} "
            f"{wanted or 'at the top'} of {download.folder} (tables there: "
            f"{listed_columns(tables, 8, 'table') or 'none'}). Name one with --option table=FILE."
        )
    ids = {
        part
        for ours, theirs in mapped.columns.items()
        for part in (theirs, *theirs.split("+"))
        if ours in RESERVED
    }
    return read_own_table(
        download.folder / matching[0],
        matching[0].rsplit("/", 1)[-1],
        {*mapped.columns.values(), *ids, *entries(download.options["targets"]), *RESERVED},
        delimiter=download.options["delimiter"],
        encoding=download.options["encoding"],
        ids=ids | RESERVED,
    )


def _renamed(
    table: pl.DataFrame, mapped: Mapped, download: Download
) -> tuple[pl.DataFrame, list[str]]:
    """The table under our names, ids completed where that is plain; all faults at once."""
    theirs_all = [name for name in table.columns if name != ROW]
    holds_images = table.schema.get("image") == pl.Binary()
    faults: list[str] = []
    mapping = {ours: parts_of(theirs, theirs_all) for ours, theirs in mapped.columns.items()}
    for ours, theirs in ((ours, theirs) for ours, parts in mapping.items() for theirs in parts):
        if theirs not in theirs_all:
            near = suggestion(theirs, theirs_all) or f"It has {listed_columns(theirs_all)}."
            faults.append(f"column '{theirs}', named for {ours}, is not in the table. {near}"[:-1])
    given = {*theirs_all, *mapped.columns, *mapped.constants}
    if not holds_images and not (given & {"path"}):
        column = "image" if "image" in theirs_all else "COLUMN"
        faults.append(f"no column holds the image file: say --columns path={column}")
    if "patient_id" not in given:
        faults.append(
            "no column is the patient: say --columns patient_id=COLUMN (the image's own column, if "
            "every image is of another patient)"
        )
    if faults:
        mapped_ones = [name for parts in mapping.values() for name in parts]
        options = proposal(table.drop(mapped_ones, strict=False), download.pictures, given)
        look = f"By their look the columns are taken with: {options}" if options else ""
        raise TableError(fault_list("The table cannot be imported", faults, look))
    # a column that has our name already stays, even if another is taken from it too
    theirs = {name for name in mapped.columns.values() if name not in RESERVED}
    named_files = set[str]() if holds_images else {"image"}  # names and no pictures
    taken = {*mapped.columns, *theirs, *mapped.constants, *named_files}
    beside = [name for name in table.columns if name not in taken]
    frame = table.select(
        *beside,
        *(_put_together(parts).alias(ours) for ours, parts in mapping.items()),
        *(pl.lit(text).alias(ours) for ours, text in mapped.constants.items()),
    )
    return _with_ids(frame, download)


def _put_together(parts: list[str]) -> pl.Expr:
    """One column as it is; several with an underscore between their texts."""
    return pl.col(parts[0]) if len(parts) == 1 else pl.concat_str(parts, separator="_")


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
    frame, id_notes, faults = with_text_ids(frame, RESERVED - {"image", "frame"}, download.values)
    download.refuse(faults)
    return frame, [*notes, *id_notes]


def _with_splits(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The split in our words, if the table has one, and notes on other words."""
    if "split" not in rows.columns:
        return rows, []
    cell = pl.col("split").str.to_lowercase()
    word = cell.replace_strict(SPLIT_WORDS, default=None, return_dtype=pl.String)
    wrong = rows.filter(word.is_null() & pl.col("split").is_not_null())
    if faults := wrong_cells(wrong, "split", list(SPLIT_WORDS)):
        advice = "Say what other words mean with --values split=WORD:train,WORD:tune,WORD:test."
        raise TableError(fault_list("The table cannot be imported", faults, advice))
    counts = value_counts(rows["split"].drop_nulls())
    notes: list[str] = []
    for split in SPLITS:
        other = {w: n for w, n in counts.items() if SPLIT_WORDS[w.lower()] == split != w}
        notes += [f"'split': read as {split}: {counted(other, [*other])}."] if other else []
    return rows.with_columns(word.alias("split")), notes


def _located(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, Join, list[str]]:
    """The rows with their files: by the path as it is written, else by the file's name.

    A name that no file has is taken for the one file that differs from it in case or in its
    Unicode form alone; that is said.
    """
    download.refuse(download.unreadable_names())
    plain = pl.col(PATH).str.replace_all("\\", "/", literal=True).str.strip_prefix("./")
    there = download.pictures[PATH]
    ways: list[tuple[str, pl.Series, pl.Series]] = []
    for way, pattern in WAYS.items():
        key = plain if way == "path" else plain.str.extract(r"([^/]+)$")
        keys = rows.select(key.alias(KEY)).to_series()
        ways.append((pattern, keys, there.str.extract(pattern).drop_nulls()))
    exact = (way for way in ways if way[1].is_in(way[2].implode()).any())
    near = (way for way in ways if _in_their_spelling(way[1], way[2])[1])
    pattern, keys, names = next(exact, None) or next(near, None) or ways[0]
    keys, respelled = _in_their_spelling(keys, names)
    notes = [SPELLED.format(plural(respelled, "row"))] if respelled else []
    notes += [BY_NAME] if pattern != WAYS["path"] else []
    located, join = locate(rows.with_columns(keys), download, pattern)
    return located, join, notes


def _in_their_spelling(keys: pl.Series, names: pl.Series) -> tuple[pl.Series, int]:
    """Keys that no file has, as the one file with the same letters has them; and their number.

    Args:
        keys: Of the rows. [N]
        names: Keys of the files.
    """
    missing = keys.filter(~keys.is_in(names.implode())).drop_nulls().unique()
    if missing.is_empty():
        return keys, 0
    free = names.filter(~names.is_in(keys.implode())).unique()
    spellings = pl.DataFrame({"name": free, "letters": _letters(free)})
    spellings = spellings.filter(~pl.col("letters").is_duplicated())
    asked = pl.DataFrame({"key": missing, "letters": _letters(missing)})
    asked = asked.filter(~pl.col("letters").is_duplicated()).join(spellings, on="letters")
    respelled = keys.is_in(asked["key"].implode()).fill_null(value=False)
    pairs = dict(asked.select("key", "name").iter_rows())
    return keys.replace(pairs) if pairs else keys, int(respelled.sum())


def _letters(names: pl.Series) -> pl.Series:
    """Names without case, in one Unicode form."""
    return names.str.normalize("NFC").str.to_lowercase()


SOURCE = Source(
    name="csv",
    title="A table of images",
    domain="any",
    read=read,
    licence="yours",
    layout=("table.csv (or .tsv, .csv.gz, .xlsx, .parquet)", "the image files that its rows name"),
    splits="A column mapped to `split`; train, val or tune, and test in any usual spelling.",
    options=(
        Option(
            "columns",
            "Our names to theirs: `patient_id=PatID,path=File`; "
            "`case_id=PatID+Lesion` puts two columns together; `cohort:=north` writes one "
            "text in every row.",
        ),
        Option("targets", "Columns that are labels; with `findings`, the findings to take."),
        Option("empty", "Cells that stand for nothing, by our names: `age=0,view=UNK`."),
        Option(
            "others",
            "Columns that are not named: dropped and listed, or kept. Columns under a name of "
            "the manifest, such as `sex`, count as named.",
            "drop",
            ("drop", "keep"),
        ),
        Option(
            "like", "Source whose targets and classes the table's are called as, for --harmonise."
        ),
        Option("findings", "A column that lists findings in one text, as `Edema|Effusion`."),
        Option("separator", "What stands between two findings.", "|"),
        Option(
            "delimiter",
            "What stands between two columns of the file; found in the file by default.",
            allowed=tuple(DELIMITERS),
        ),
        Option("encoding", "Encoding of the file, e.g. `cp1250`; found in the file by default."),
        Option("table", "The table's file, if there are several in the folder."),
    ),
)
