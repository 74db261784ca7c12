"""BRAX: chest radiographs of the Hospital Israelita Albert Einstein, labels mined from reports."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.chest.chexpert import LABELS, MINED, SHARED
from medtransfer.data.sources.chest.mimic_cxr import LATERAL_SPELLINGS
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Source,
    Table,
    Target,
    kept_text,
)

COLUMNS = (
    "PngPath",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "AccessionNumber",
    "ViewPosition",
    "Manufacturer",
    "Rows",
    "Columns",
    *LABELS,
)
FILE = r"([^/]+/Study_[^/]+/Series_[^/]+/[^/]+)\.(?:png|dcm|jpe?g)$"
"""Tail of a path: films are in ``images/`` as PNG and in ``Anonymized_DICOMs/`` as DICOM."""
OLDEST_GROUP = {"85 or more": "85+"}
"""The last age group in the spelling of `tables.values.ages`."""
MAX_RATIO = 10
"""Long side of a film by its short side. All films are below 9 but for twelve strips, which are 19
and more."""
STEPS = "Ages are in steps of five years; 85 and more is one group, with an empty `age`."


def read(download: Download) -> ImportedSource:
    """Rows of the master spreadsheet with their files, but for strips that are no film."""
    table = download.tables["master"]
    height, width = (pl.col(name).cast(pl.Float64, strict=False) for name in ("Rows", "Columns"))
    ratio = pl.max_horizontal(height / width, width / height)
    films = table.filter((ratio <= MAX_RATIO).fill_null(value=True))
    kept: tuple[str, ...] = ()
    if len(films) < len(table):
        kept = (
            kept_text(len(films), len(table), f"sides differ by a factor of {MAX_RATIO} at most"),
        )
    rows = cells.labels(films, LABELS).with_columns(
        pl.col("PngPath").str.extract(FILE).alias(KEY),
        cells.sex("PatientSex"),
        view=pl.col("ViewPosition").replace(LATERAL_SPELLINGS),
        manufacturer=pl.col("Manufacturer"),
        case_id=pl.col("AccessionNumber"),
        patient_id=pl.col("PatientID"),
    )
    rows = rows.with_columns(image_id=pl.col(KEY))
    rows, ages = cells.with_age(rows, pl.col("PatientAge").replace(OLDEST_GROUP))
    rows, join = locate(rows, download, FILE)
    return ImportedSource(rows, (join,), kept, (*coverage(join), STEPS, *ages))


SOURCE = Source(
    name="brax",
    title="BRAX",
    domain="chest",
    read=read,
    tables=(
        Table(
            "master",
            ("master_spreadsheet_update.csv", "master_spreadsheet.csv"),
            COLUMNS,
            ("PngPath",),
            rules=(
                odd_rows.shaped("PngPath", FILE, "is no path such as id_…/Study_…/Series_…/image"),
                *odd_rows.labels(LABELS),
            ),
            holds="one row per film: paths, patient, view, maker, labels",
        ),
    ),
    targets=tuple(Target(name, MINED, shared) for name, shared in SHARED.items()),
    access="credentialed",
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    facts_from="BRAX_Dataset of torchxrayvision 1.5.7 and radharmony/harmonizer/brax of "
    "github.com/f10409/RadHarmony",
    url="https://physionet.org/content/brax/1.1.0/",
    citation="Reis et al., BRAX, Brazilian labeled chest x-ray dataset, Scientific Data 2022",
    images=40_967,
    patients=19_351,
    layout=(
        "master_spreadsheet_update.csv",
        "images/id_<patient>/Study_<uid>/Series_<uid>/image-<uid>.png",
    ),
    splits="None.",
    attributes={
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "manufacturer": "Maker of the machine, from the table.",
    },
    confounders=(
        "Labels are mined from reports in Portuguese by a translated CheXpert labeller.",
        "About a quarter of the films have no view.",
        "Labels are of the study: a finding seen from one side is also the label of the other.",
        "Twelve of its images are thin strips and no films: they are left out.",
    ),
)
