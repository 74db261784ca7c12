"""CheXpert: chest radiographs of Stanford Hospital, labels mined from the reports."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, agreed, coverage, join_tables, locate
from medtransfer.data.sources.source import Download, ImportedSource, Join, Source, Table, Target
from medtransfer.errors import plural
from medtransfer.tables.schema import ROW

MINED = "mentioned as present in the report (1), absent (0), uncertain (-1) or not at all (empty)"
SHARED = {
    "No Finding": "No Finding",
    "Enlarged Cardiomediastinum": "Enlarged Cardiomediastinum",
    "Cardiomegaly": "Cardiomegaly",
    "Lung Opacity": "Lung Opacity",
    "Lung Lesion": "Lung Lesion",
    "Edema": "Edema",
    "Consolidation": "Consolidation",
    "Pneumonia": "Pneumonia",
    "Atelectasis": "Atelectasis",
    "Pneumothorax": "Pneumothorax",
    "Pleural Effusion": "Effusion",
    "Pleural Other": "",
    "Fracture": "Fracture",
    "Support Devices": "Support Devices",
}
"""The fourteen labels of the CheXpert labeller, and their shared names."""
LABELS = tuple(SHARED)
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS)
PARTS = {"train": "train", "valid": "test"}
FILE = r"((?:train|valid|test)/patient\d+/study\d+/[^/]+)$"
"""Parts of a path, whatever the top folder is called (``CheXpert-v1.0`` or ``…-small``)."""


RULES = (
    *odd_rows.labels(LABELS),
    odd_rows.one_of("Frontal/Lateral", ("Frontal", "Lateral")),
    odd_rows.shaped(
        "Path",
        FILE,
        "has no patient and study (expected: …/train/patient00001/study1/view1_frontal.jpg)",
    ),
)


def read(download: Download) -> ImportedSource:
    """Rows of ``train.csv`` and ``valid.csv`` with their files; demographics if they are there."""
    frames = [
        table.select(*COLUMNS, ROW).with_columns(split=pl.lit(split))
        for name, split in PARTS.items()
        if (table := download.tables.get(name)) is not None
    ]
    rows = _described(pl.concat(frames))
    rows, join = locate(rows, download, FILE)
    rows, ages = cells.with_age(rows, pl.col("Age"), zero_is_missing=True)
    notes = [*coverage(join), *ages, *cells.emptied(rows["Sex"], rows["sex"], "Sex")]
    joins = [join]
    if "demographics" in download.tables:
        rows, more, age_notes = _with_demographics(rows, download.tables["demographics"])
        joins += more
        notes += age_notes
    return ImportedSource(rows, tuple(joins), (), tuple(notes))


def _described(rows: pl.DataFrame) -> pl.DataFrame:
    """Ids, view, sex and labels of each row."""
    key = pl.col("Path").str.extract(FILE)
    below = key.str.extract(r"^[a-z]+/(.+?)(?:\.[A-Za-z]+)?$")
    side = pl.col("Frontal/Lateral") == "Lateral"
    rows = rows.with_columns(
        key.alias(KEY),
        below.alias("image_id"),
        below.str.extract(r"^(patient\d+/study\d+)").alias("case_id"),
        below.str.extract(r"^(patient\d+)").alias("patient_id"),
        pl.when(side).then(pl.lit("L")).otherwise(pl.col("AP/PA")).alias("view"),
        cells.sex("Sex"),
    )
    return cells.labels(rows, LABELS)


def _with_demographics(
    rows: pl.DataFrame, people: pl.DataFrame
) -> tuple[pl.DataFrame, list[Join], list[str]]:
    """Race and ethnicity by patient; patients whose rows disagree get none."""
    people = people.rename({"PATIENT": "patient_id"}).with_columns(
        cells.race("PRIMARY_RACE"), cells.ethnicity("ETHNICITY")
    )
    joins: list[Join] = []
    notes: list[str] = []
    for name in ("race", "ethnicity"):
        single, torn = agreed(people, "patient_id", name)
        rows, join = join_tables(rows, single, "patient_id", ("images", "patients of the workbook"))
        joins = [join]
        if torn:
            notes.append(f"{plural(torn, 'patient')} with several values of {name}: left empty.")
    return rows, joins, notes


SOURCE = Source(
    name="chexpert",
    title="CheXpert",
    domain="chest",
    read=read,
    tables=(
        Table(
            "train",
            ("train.csv",),
            COLUMNS,
            ("Path",),
            rules=RULES,
            holds="labels of the training part",
        ),
        Table(
            "valid",
            ("valid.csv",),
            COLUMNS,
            ("Path",),
            rules=RULES,
            needed=False,
            holds="labels by three radiologists",
        ),
        Table(
            "demographics",
            ("CHEXPERT DEMO.xlsx",),
            ("PATIENT", "GENDER", "AGE_AT_CXR", "PRIMARY_RACE", "ETHNICITY"),
            needed=False,
            holds="race and ethnicity, from its own page",
        ),
    ),
    targets=tuple(Target(name, MINED, shared) for name, shared in SHARED.items()),
    access="registration",
    licence="Stanford University research use agreement; no redistribution",
    url="https://stanfordmlgroup.github.io/competitions/chexpert/",
    citation="Irvin et al., CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels "
    "and Expert Comparison, AAAI 2019",
    images=223_648,
    patients=64_740,
    layout=(
        "train.csv, valid.csv",
        "CHEXPERT DEMO.xlsx (if you have it)",
        "train/patient00001/study1/view1_frontal.jpg",
    ),
    splits="`train.csv` is train, `valid.csv` (200 patients, read by radiologists) is test. It has "
    "no tuning part.",
    attributes={
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "race": "Self-reported, from the workbook.",
        "ethnicity": "Hispanic or Non-Hispanic, from the workbook.",
    },
    confounders=(
        "Labels of the training part come from reports, those of the valid part from radiologists.",
        "AP films are of patients who cannot stand: the view tells who is ill.",
        "Support devices and burned-in marks tell the ward.",
        "Age 0 stands for a missing age; ages are capped at 90.",
    ),
)
