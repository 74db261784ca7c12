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
    "Nodule or mass": "Lung Lesion",
}
"""The four relabelled findings, and their shared names."""
NORMAL = "No Finding"
ALL_FINDINGS = {
    **{name.replace("_", " "): name for name in FINDINGS if name != NORMAL},
    "Other": "Other",
}
"""Columns of the file of all findings → ours; `Abnormal` becomes `No Finding`."""
ANSWERS = {"YES": "1", "NO": "0", "1": "1", "0": "0"}
FLIPPED = {"1": "0", "0": "1"}
SETS = {"val": "tune", "test": "test"}
FOUR = (
    "four_findings_expert_labels/test_labels.csv",
    "four_findings_expert_labels/validation_labels.csv",
)
ALL = ("all_findings_expert_labels/test_labels.csv",)
"""Files of Google's bucket gcs-public-data--healthcare-nih-chest-xray-labels."""
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
    if download.options["labels"] != "nih":
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
    """The rows that radiologists read again, with their labels and their own split."""
    chosen = download.options["labels"]
    labels = _four_findings(download) if chosen == "google" else _all_findings(download)
    names = ("rows of the data entry", "relabelled images")
    joined, join = join_tables(rows.drop("split", strict=False), labels, NAME, names, "inner")
    return joined, join, (kept_text(len(joined), len(rows), f"labels = {chosen}"),)


def _four_findings(download: Download) -> pl.DataFrame:
    """Four findings of 4,376 images: Google's two files, or their copy in one."""
    parts = [
        download.tables[name].with_columns(split=pl.lit(split))
        for name, split in (("four test", "test"), ("four validation", "tune"))
        if name in download.tables
    ]
    if not parts and (table := download.tables.get("google")) is not None:
        parts = [table.with_columns(cells.renamed("Set Id", SETS, "split"))]
    if not parts:
        download.refuse([f"neither {FOUR[0]} nor google2019_nih-chest-xray-labels.csv is there"])
    columns = [NAME, "split", *GOOGLE]
    table = pl.concat(part.select(columns) for part in parts)
    return table.with_columns(cells.renamed(name, ANSWERS, name) for name in GOOGLE)


def _all_findings(download: Download) -> pl.DataFrame:
    """All findings of the 810 PA images of Google's test part."""
    table = download.tables.get("all")
    if table is None:
        download.refuse([f"{ALL[0]} is not below the folder"])
        raise AssertionError("refuse raises")
    normal = cells.renamed("Abnormal", {old: FLIPPED[new] for old, new in ANSWERS.items()}, NORMAL)
    return table.select(
        pl.col("Image ID").alias(NAME),
        normal,
        *(cells.renamed(theirs, ANSWERS, ours) for theirs, ours in ALL_FINDINGS.items()),
        split=pl.lit("test"),
    )


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
        *(
            Table(
                name,
                (file, file.replace("/", "_")),
                (NAME, *GOOGLE),
                (NAME,),
                rules=tuple(odd_rows.one_of(finding, tuple(ANSWERS)) for finding in GOOGLE),
                needed=False,
                holds="labels by radiologists, for labels=google",
            )
            for name, file in zip(("four test", "four validation"), FOUR, strict=True)
        ),
        Table(
            "all",
            (ALL[0], ALL[0].replace("/", "_")),
            ("Image ID", "Abnormal", *ALL_FINDINGS),
            ("Image ID",),
            rules=tuple(odd_rows.one_of(n, tuple(ANSWERS)) for n in ("Abnormal", *ALL_FINDINGS)),
            needed=False,
            holds="all findings by radiologists (810 PA images), for labels=google-all",
        ),
    ),
    targets=(
        *(Target(name, MINED, name) for name in FINDINGS),
        *(
            Target(name, "seen by the adjudicating radiologists, with labels=google", shared)
            for name, shared in GOOGLE.items()
            if name not in FINDINGS
        ),
        Target("Other", "a finding outside the fourteen was seen, with labels=google-all"),
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
    "tuning part. With labels=google: `val` is tune, `test` is test; labels=google-all: all test.",
    facts_from="tables in torchxrayvision 1.5.7; Google's page on the NIH chest x-ray data set",
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
            "Text-mined findings, the four that Google had read again (4,376 images), or all "
            "findings of its 810 PA test images.",
            "nih",
            ("nih", "google", "google-all"),
        ),
    ),
)
