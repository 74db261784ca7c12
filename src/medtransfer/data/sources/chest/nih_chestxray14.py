"""NIH ChestX-ray14, and the radiologists' labels that Google published for a part of it."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Join,
    Option,
    Overlap,
    Source,
    Table,
    Target,
    kept_text,
)
from medtransfer.errors import plural

MINED = "named in the report by text mining (1) or not (0)"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
    "No Finding",
)
GOOGLE = {
    "Fracture": "Fracture",
    "Pneumothorax": "Pneumothorax",
    "Airspace opacity": "Lung Opacity",
    "Nodule or mass": "",
}
"""The four relabelled findings, and their shared names; nodule and mass are two names there."""
NAME = "Image Index"
ENTRY = (
    NAME,
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)
FILE = r"([^/]+\.png)$"


def read(download: Download) -> ImportedSource:
    """Rows of the data entry with their files, official lists and, if asked for, relabels."""
    entry = download.tables["entry"]
    rows, joins, notes = _with_lists(entry, download)
    rows = rows.with_columns(
        pl.col(NAME).alias(KEY),
        pl.col(NAME).str.replace(r"\.png$", "").alias("image_id"),
        pl.col("Patient ID").alias("patient_id"),
        pl.col("View Position").alias("view"),
        cells.sex("Patient Gender"),
    ).with_columns(case_id=pl.col("image_id"))
    rows, ages = cells.with_age(rows, pl.col("Patient Age"))
    kept: tuple[str, ...] = ()
    if download.options["labels"] == "google":
        rows, join, kept = _relabelled(rows, download)
        joins.append(join)
    else:
        named = cells.flags(rows["Finding Labels"], "|", {name: name for name in FINDINGS})
        rows = rows.hstack(named)
    rows, image_join = locate(rows, download, FILE)
    notes = (*coverage(image_join), *notes, *ages)
    return ImportedSource(rows, (image_join, *joins), kept, notes)


def _with_lists(
    entry: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, list[Join], tuple[str, ...]]:
    """The split of the two official lists, by file name."""
    lists = {name: download.tables.get(name) for name in ("train", "test")}
    there = {name: table for name, table in lists.items() if table is not None}
    if len(there) < 2:
        missing = ", ".join(f"{name} list" for name in lists if name not in there)
        return entry, [], (f"The official {missing} is not there: no official split.",)
    listed = pl.concat(table.select(NAME, split=pl.lit(name)) for name, table in there.items())
    twice = listed.filter(pl.col(NAME).is_duplicated())[NAME].n_unique()
    download.refuse([f"{plural(twice, 'image')} in both official lists"] if twice else [])
    names = ("rows of the data entry", "names of the official lists")
    rows, join = join_tables(entry, listed, NAME, names)
    return rows, [join], ()


def _relabelled(
    rows: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, Join, tuple[str, ...]]:
    """The rows that radiologists read again, with their four labels and their own split."""
    table = download.tables.get("google")
    if table is None:
        download.refuse(["google2019_nih-chest-xray-labels.csv is not below the folder"])
        raise AssertionError("refuse raises")
    labels = table.select(
        NAME,
        *(cells.renamed(name, {"YES": "1", "NO": "0"}, name) for name in GOOGLE),
        split=cells.renamed("Set Id", {"val": "tune", "test": "test"}, "split"),
    )
    names = ("rows of the data entry", "relabelled images")
    joined, join = join_tables(rows.drop("split", strict=False), labels, NAME, names, "inner")
    return joined, join, (kept_text(len(joined), len(rows), "labels = google"),)


SOURCE = Source(
    name="nih-chestxray14",
    title="NIH ChestX-ray14",
    domain="chest",
    read=read,
    tables=(
        Table(
            "entry",
            ("Data_Entry_2017_v2020.csv", "Data_Entry_2017*.csv"),
            ENTRY,
            (NAME,),
            rules=(
                odd_rows.one_of("Finding Labels", FINDINGS, separator="|"),
                odd_rows.one_of("View Position", ("PA", "AP")),
            ),
            holds="findings, age, sex, view",
        ),
        Table(
            "train",
            ("train_val_list.txt",),
            (NAME,),
            (NAME,),
            needed=False,
            header=False,
            holds="official training list",
        ),
        Table(
            "test",
            ("test_list.txt",),
            (NAME,),
            (NAME,),
            needed=False,
            header=False,
            holds="official test list",
        ),
        Table(
            "google",
            ("google2019_nih-chest-xray-labels.csv.gz",),
            (NAME, *GOOGLE, "Set Id"),
            (NAME,),
            rules=(
                *(odd_rows.one_of(name, ("YES", "NO")) for name in GOOGLE),
                odd_rows.one_of("Set Id", ("val", "test")),
            ),
            needed=False,
            holds="labels by radiologists, for labels=google",
        ),
    ),
    targets=(
        *(Target(name, MINED, name) for name in FINDINGS),
        *(
            Target(name, "seen by the adjudicating radiologists, with labels=google", shared)
            for name, shared in GOOGLE.items()
            if name not in FINDINGS
        ),
    ),
    access="open",
    licence="Free use; cite the paper and name the NIH Clinical Center as provider",
    url="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    citation="Wang et al., ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks, CVPR "
    "2017; relabels: Majkowska et al., Radiology 2020",
    images=112_120,
    patients=30_805,
    layout=(
        "Data_Entry_2017_v2020.csv, train_val_list.txt, test_list.txt",
        "images_001/images/00000001_000.png",
    ),
    splits="`train_val_list.txt` is train, `test_list.txt` is test; both are by patient. It has no "
    "tuning part. With labels=google: `val` is tune, `test` is test.",
    attributes={**cells.SEX, **cells.AGE_COLUMNS},
    confounders=(
        "Labels are text-mined, and most pneumothoraces carry a chest drain.",
        "AP films are of patients who cannot stand.",
        "Follow-up films of one patient are alike: split by patient only.",
    ),
    known_as=("nih",),
    overlaps=(
        Overlap(
            "nih",
            "rsna",
            "RSNA pneumonia took its films from NIH ChestX-ray14",
            "Neither is ever a shift of the other.",
        ),
        Overlap("nih", "google", "Google's relabels are films of NIH ChestX-ray14"),
        Overlap("nih", "chestmnist", "ChestMNIST is NIH ChestX-ray14, resized"),
        Overlap("nih", "siim", "SIIM pneumothorax took its films from NIH ChestX-ray14"),
    ),
    options=(
        Option(
            "labels",
            "Text-mined findings, or the four that Google had read again (4,376 images).",
            "nih",
            ("nih", "google"),
        ),
    ),
)
