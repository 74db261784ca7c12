"""CheXpert: chest radiographs of Stanford Hospital, labels mined from the reports."""

from dataclasses import dataclass

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, agreed, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Join,
    Source,
    Table,
    Target,
)
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
LATERAL_VIEWS = ("LL", "RL")


@dataclass(frozen=True)
class PeopleColumns:
    """Columns of a table of demographics."""

    patient: str
    race: str
    ethnicity: str


PEOPLE = {
    "demographics": PeopleColumns("PATIENT", "PRIMARY_RACE", "ETHNICITY"),
    "plus": PeopleColumns("path_to_image", "race", "ethnicity"),
}
"""Tables of demographics, the first that is there is read."""
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS)
FILE = r"(patient\d+/study\d+/[^/]+)\.[A-Za-z]+$"
"""Tail of a path. The full set is unpacked to ``CheXpert-v1.0 batch 2 (train 1)/patient00001/…``,
the tables say ``CheXpert-v1.0/train/patient00001/…``; a patient is in one part only."""
STUDY = r"(patient\d+/study\d+)/?$"
EXAMPLE = "(expected: …/train/patient00001/study1/view1_frontal.jpg)"
RULES = (
    *odd_rows.labels(LABELS),
    odd_rows.one_of("Frontal/Lateral", ("Frontal", "Lateral")),
    odd_rows.shaped("Path", FILE, f"has no patient and study {EXAMPLE}"),
    odd_rows.shaped("Study", STUDY, "has no patient and study (expected: …/patient64741/study1)"),
)


def read(download: Download) -> ImportedSource:
    """Rows of the tables with their files; demographics if they are there."""
    # without the official test part, the 200 patients of the other radiologists' part are test
    valid = "tune" if "test" in download.tables else "test"
    frames = [
        table.select(*COLUMNS, ROW).with_columns(split=pl.lit(split))
        for name, split in (("train", "train"), ("valid", valid))
        if (table := download.tables.get(name)) is not None
    ]
    joins: list[Join] = []
    if (table := download.tables.get("test")) is not None:
        rows, joins = _test_rows(table, download)
        frames.append(rows.with_columns(split=pl.lit("test")))
    rows, views = _described(pl.concat(frames, how="diagonal"))
    rows, join = locate(rows, download, FILE)
    rows, ages = cells.with_age(rows, pl.col("Age"), zero_is_missing=True)
    notes = [*coverage(join), *ages, *cells.emptied(rows["Sex"], rows["sex"], "Sex"), *views]
    for name, columns in PEOPLE.items():
        if name in download.tables:
            people = download.tables[name].select(
                pl.col(columns.patient).str.extract(r"(patient\d+)").alias("patient_id"),
                cells.race(columns.race),
                cells.ethnicity(columns.ethnicity),
            )
            rows, more, disagreements = _with_demographics(rows, people)
            joins.append(more)
            notes += disagreements
            break
    return ImportedSource(rows, (join, *joins), (), tuple(notes))


def _test_rows(table: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[Join]]:
    """A row per image of the test labels, which are per image or per study."""
    if "Path" in table.columns:
        return table.select("Path", *LABELS, ROW), []
    if "Study" not in table.columns:
        download.refuse(["the test labels have neither a column 'Study' nor 'Path'"])
    studies = table.with_columns(pl.col("Study").str.extract(STUDY).alias(KEY))
    images = download.pictures.select(
        pl.col(PATH).alias("Path"), pl.col(PATH).str.extract(r"(patient\d+/study\d+)/").alias(KEY)
    )
    rows = studies.select(KEY, *LABELS, ROW).join(images, on=KEY, maintain_order="left_right")
    matched = rows[KEY].n_unique()
    join = Join(
        left="studies of the test labels",
        right="images of other studies",
        key="patient and study",
        matched=matched,
        left_only=len(studies) - matched,
        right_only=images.join(studies, on=KEY, how="anti").height,
    )
    return rows.drop(KEY), [join]


def _described(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Ids, view, sex and labels of each row; and views that contradict themselves."""
    below = pl.col("Path").str.extract(FILE)
    unknown = pl.col("Frontal/Lateral").is_null()
    lateral = (pl.col("Frontal/Lateral") == "Lateral") | (
        unknown & below.str.contains("lateral", literal=True)
    )
    torn = ~lateral & pl.col("AP/PA").is_in(LATERAL_VIEWS)
    rows = rows.with_columns(
        below.alias(KEY),
        below.alias("image_id"),
        below.str.extract(r"^(patient\d+/study\d+)").alias("case_id"),
        below.str.extract(r"^(patient\d+)").alias("patient_id"),
        pl.when(lateral)
        .then(pl.lit("L"))
        .when(~torn.fill_null(value=False))
        .then("AP/PA")
        .alias("view"),
        cells.sex("Sex"),
    )
    odd = int(rows.select(torn.sum()).item())
    notes = [
        f"{plural(odd, 'row')} called frontal with a lateral position (LL or RL): view left empty."
    ]
    return cells.labels(rows, LABELS), notes if odd else []


def _with_demographics(
    rows: pl.DataFrame, people: pl.DataFrame
) -> tuple[pl.DataFrame, Join, list[str]]:
    """Race and ethnicity by patient; patients whose rows disagree get none."""
    notes: list[str] = []
    singles: list[pl.DataFrame] = []
    for name in ("race", "ethnicity"):
        single, torn = agreed(people, "patient_id", name)
        singles.append(single)
        if torn:
            notes.append(f"{plural(torn, 'patient')} with several values of {name}: left empty.")
    by_patient = singles[0].join(singles[1], on="patient_id")
    names = ("images", "patients of the demographics")
    rows, join = join_tables(rows, by_patient, "patient_id", names)
    return rows, join, notes


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
        Table(
            "test",
            ("groundtruth.csv", "test_labels.csv"),
            LABELS,
            optional=("Study", "Path"),
            rules=RULES,
            needed=False,
            holds="labels of the test part (500 studies), by five radiologists: a row per study "
            "(cheXpert-test-set-labels) or per image (CheXlocalize)",
        ),
        Table(
            "plus",
            ("df_chexpert_plus_240401.csv",),
            ("path_to_image", "race", "ethnicity"),
            needed=False,
            holds="race and ethnicity, from CheXpert Plus",
        ),
    ),
    targets=tuple(Target(name, MINED, shared) for name, shared in SHARED.items()),
    access="registration",
    licence="Stanford University research use agreement; no redistribution",
    url="https://stanfordmlgroup.github.io/competitions/chexpert/",
    citation="Irvin et al., CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels "
    "and Expert Comparison, AAAI 2019",
    facts_from="train.csv in torchxrayvision 1.5.7; README.md and groundtruth.csv of "
    "rajpurkarlab/cheXpert-test-set-labels",
    images=223_648,
    patients=64_740,
    layout=(
        "train.csv, valid.csv",
        "groundtruth.csv of the test part (if you have it)",
        "CHEXPERT DEMO.xlsx (if you have it)",
        "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg, or",
        "train/patient00001/study1/view1_frontal.jpg",
    ),
    splits="`train.csv` is train. With the labels of the test part (500 patients) these are test "
    "and `valid.csv` (200 patients, both read by radiologists) is tune; without them `valid.csv` "
    "is test and there is no tuning part.",
    attributes={
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "race": "Self-reported, from the demographics.",
        "ethnicity": "Hispanic or Non-Hispanic, from the demographics.",
    },
    confounders=(
        "Labels of the training part come from reports, those of the valid part from radiologists.",
        "AP films are of patients who cannot stand: the view tells who is ill.",
        "Support devices and burned-in marks tell the ward.",
        "Age 0 stands for a missing age; ages are capped at 90.",
        "Images of the test part have no sex, age or view, except lateral by file name.",
    ),
)
