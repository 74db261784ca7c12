"""MIMIC-CXR-JPG: chest radiographs of Beth Israel Deaconess, labelled by study."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.chest.chexpert import LABELS, MINED, SHARED
from medtransfer.data.sources.download import missing_columns
from medtransfer.data.sources.joins import KEY, agreed, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Join,
    Option,
    Source,
    Table,
    Target,
    kept_text,
)
from medtransfer.errors import plural

STUDY = ("subject_id", "study_id")
FILE = r"([^/]+)\.(?:jpg|png|dcm)$"
"""Name of a film: JPEG of MIMIC-CXR-JPG, or DICOM of MIMIC-CXR beside the tables of the former."""
RADIOLOGIST = "mimic-cxr-2.1.0-test-set-labeled.csv"
OPACITY = "Airspace Opacity"
"""Name of lung opacity in the radiologist's table."""
FILES = {
    "chexpert": "mimic-cxr-2.*-chexpert.csv.gz",
    "negbio": "mimic-cxr-2.*-negbio.csv.gz",
    "radiologist": RADIOLOGIST,
}
"""Tables of labels by the value of option ``labels``."""
SPLITS = {"train": "train", "validate": "tune", "test": "test"}
LATERAL_SPELLINGS = {"LATERAL": "L", "LL": "L", "RL": "L"}
"""View written for the spellings of a lateral film, left or right; others stay as they are."""


def read(download: Download) -> ImportedSource:
    """One row per image of the metadata, with its study's labels, its split and its patient."""
    images = download.tables["metadata"].drop("row")
    chosen = download.options["labels"]
    table = download.tables.get(chosen)
    if table is None:
        download.refuse([f"{FILES[chosen].replace('*', '0.0')} is not below the folder"])
        raise AssertionError("refuse raises")
    by_report = chosen == "radiologist"
    if by_report:
        if OPACITY in table.columns and "Lung Opacity" not in table.columns:
            table = table.rename({OPACITY: "Lung Opacity"})
        download.refuse(missing_columns(table, ("Lung Opacity",), RADIOLOGIST))
    key = STUDY[1:] if by_report else STUDY
    labels = cells.labels(table, LABELS).select(*key, *LABELS)
    names = ("rows of the metadata", f"studies of {chosen}")
    rows, labelled = join_tables(images, labels, key, names, "inner")
    kept = ()
    if labelled.left_only:
        kept = (kept_text(len(rows), len(images), f"the study has labels of {chosen}"),)
    joins = [labelled]
    rows, more = _with_split(rows, download)
    joins += more
    rows = rows.with_columns(
        pl.col("dicom_id").alias(KEY),
        image_id=pl.col("dicom_id"),
        case_id=pl.concat_str(pl.lit("s"), pl.col("study_id")),
        patient_id=pl.concat_str(pl.lit("p"), pl.col("subject_id")),
        view=pl.col("ViewPosition").replace(LATERAL_SPELLINGS),
    )
    rows, join = locate(rows, download, FILE)
    rows, more, notes = _with_people(rows, download)
    all_notes = (*coverage(join), *notes)
    return ImportedSource(rows, (join, *joins, *more), kept, all_notes)


def _with_split(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[Join]]:
    table = download.tables.get("split")
    if table is None:
        return rows, []
    named = table.select("dicom_id", cells.renamed("split", SPLITS, "split"))
    names = ("labelled rows", "images of the official split")
    rows, join = join_tables(rows, named, "dicom_id", names)
    return rows, [join]


def _with_people(
    rows: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, list[Join], list[str]]:
    """Sex, age and race from MIMIC-IV, where its tables are there."""
    joins: list[Join] = []
    notes: list[str] = []
    if (people := download.tables.get("patients")) is not None:
        wanted = [c for c in ("gender", "anchor_age", "anchor_year") if c in people.columns]
        names = ("images", "patients of MIMIC-IV")
        rows, join = join_tables(rows, people.select(STUDY[0], *wanted), STUDY[0], names)
        joins.append(join)
        rows, ages = cells.with_age(rows, _age(rows))
        rows = rows.with_columns(cells.sex("gender"))
        notes += ages
    if (stays := download.tables.get("admissions")) is not None:
        column = next((c for c in ("race", "ethnicity") if c in stays.columns), None)
        if column is None:
            download.refuse(["admissions has neither 'race' nor 'ethnicity'"])
            return rows, joins, notes
        single, torn = agreed(stays.with_columns(cells.race(column)), STUDY[0], "race")
        names = ("images", "patients with admissions")
        rows, join = join_tables(rows, single, STUDY[0], names)
        joins.append(join)
        if torn:
            many = plural(torn, "patient")
            notes.append(f"{many} whose admissions disagree on race: left empty.")
    return rows, joins, notes


def _age(rows: pl.DataFrame) -> pl.Expr:
    """Age at the film: that at the anchor year, and the years since; both years are shifted."""
    age = pl.col("anchor_age").cast(pl.Float64, strict=False)
    if not {"anchor_year", "StudyDate"} <= set(rows.columns):
        return age
    year = pl.col("StudyDate").str.slice(0, 4).cast(pl.Float64, strict=False)
    since = year - pl.col("anchor_year").cast(pl.Float64, strict=False)
    return (age + since.fill_null(0)).clip(lower_bound=0)


SOURCE = Source(
    name="mimic-cxr-jpg",
    title="MIMIC-CXR-JPG",
    domain="chest",
    read=read,
    tables=(
        Table(
            "metadata",
            ("mimic-cxr-2.*-metadata.csv.gz",),
            ("dicom_id", *STUDY, "ViewPosition", "StudyDate"),
            ("dicom_id",),
            unit=("dicom_id",),
            holds="views and dates",
        ),
        Table(
            "chexpert",
            (FILES["chexpert"],),
            (*STUDY, *LABELS),
            STUDY,
            rules=odd_rows.labels(LABELS),
            needed=False,
            holds="labels by the CheXpert labeller, for labels=chexpert",
        ),
        Table(
            "negbio",
            (FILES["negbio"],),
            (*STUDY, *LABELS),
            STUDY,
            rules=odd_rows.labels(LABELS),
            needed=False,
            holds="labels by NegBio, for labels=negbio",
        ),
        Table(
            "radiologist",
            (FILES["radiologist"],),
            ("study_id", *(name for name in LABELS if name != "Lung Opacity")),
            ("study_id",),
            optional=("Lung Opacity", OPACITY),
            rules=odd_rows.labels((*LABELS, OPACITY)),
            needed=False,
            holds="labels of test reports by a radiologist, for labels=radiologist",
        ),
        Table(
            "split",
            ("mimic-cxr-2.*-split.csv.gz",),
            ("dicom_id", "split"),
            ("dicom_id",),
            rules=(odd_rows.one_of("split", tuple(SPLITS)),),
            unit=("dicom_id",),
            needed=False,
            holds="the official split",
        ),
        Table(
            "patients",
            ("patients.csv.gz",),
            ("subject_id", "gender", "anchor_age"),
            ("subject_id",),
            optional=("anchor_year",),
            needed=False,
            holds="sex and age, from MIMIC-IV",
        ),
        Table(
            "admissions",
            ("admissions.csv.gz",),
            ("subject_id",),
            optional=("race", "ethnicity"),
            needed=False,
            holds="race, from MIMIC-IV",
        ),
    ),
    targets=tuple(Target(name, MINED, shared) for name, shared in SHARED.items()),
    access="credentialed",
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    url="https://doi.org/10.13026/8360-t248",
    facts_from="the description of MIMIC-CXR-JPG 2.1.0 at PhysioNet; the radiologist's name for "
    "lung opacity: radharmony/harmonizer/mimic_cxr of github.com/f10409/RadHarmony",
    citation="Johnson et al., MIMIC-CXR-JPG - chest radiographs with structured labels, PhysioNet "
    "2019, doi 10.13026/8360-t248; Johnson et al., MIMIC-CXR, a de-identified publicly available "
    "database of chest radiographs with free-text reports, Scientific Data 2019",
    images=377_110,
    patients=65_379,
    layout=(
        "mimic-cxr-2.0.0-metadata.csv.gz, …-chexpert.csv.gz, …-split.csv.gz",
        "patients.csv.gz, admissions.csv.gz of MIMIC-IV (if you have them)",
        "files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg (or .dcm, of MIMIC-CXR)",
    ),
    splits="`validate` is tune. The official test part is small and richer in findings.",
    attributes={
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "race": "From the admissions of MIMIC-IV; empty where they disagree.",
    },
    confounders=(
        "Labels are of the study: a finding seen from one side is also the label of the other.",
        "AP films are of the emergency department and the wards.",
        "The radiologist of labels=radiologist read reports and not films.",
        "Dates are shifted by patient; only their differences mean something.",
    ),
    known_as=("mimic",),
    options=(
        Option(
            "labels",
            "Which labels: of a labeller, or those that a radiologist gave the test reports, which "
            "are there for a part of the test studies alone.",
            "chexpert",
            tuple(FILES),
        ),
    ),
)
