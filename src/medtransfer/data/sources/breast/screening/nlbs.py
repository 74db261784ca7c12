"""NLBS: screening mammograms of Newfoundland and Labrador, with a cancer or none of each breast."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target
from medtransfer.errors import plural

FILE, CANCER = "File Path", "Cancer"
READINGS = {"normal": "normal", "abnormal": "abnormal", "false positive": "false-positive"}
"""Folder at the top, in small letters → what became of the woman."""
SICK = r"(?i)[\\/](?:left|right)-c[\\/]"
PARTS = r"(?i)^[\\/]*(normal|abnormal|false positive)[\\/](p_\d+)[\\/]([^\\/]+)[\\/]([^\\/]+)[\\/]"
PATTERN = r"(?i)(p_\d+/[^/]+/[^/]+/[^/]+)\.(?:dcm|png|jpe?g)$"


def read(download: Download) -> ImportedSource:
    """Rows of the table with their files; the images of a woman are one exam."""
    path = pl.col(FILE).str.replace_all(r"\\", "/")
    stem = path.str.extract(r"([^/]+?)(?:\.\w+)?$")
    side = pl.col("Image Laterality").str.strip_chars().str.to_uppercase().str.extract("^([LR])")
    patient = path.str.extract(r"(?i)/(p_\d+)/")
    rows = download.tables["images"].with_columns(
        path.str.extract(r"(?i)(p_\d+/[^/]+/[^/]+/[^/]+?)(?:\.\w+)?$").alias(KEY),
        _top().replace(READINGS).alias("reading"),
        side.alias("laterality"),
        pl.col("View Position").str.strip_chars().str.to_uppercase().alias("view"),
        mammography.whole(CANCER).alias("malignant"),
        patient.alias(EXAM),
        patient_id=patient,
    )
    name = ("patient_id", "laterality", "view")
    parts = [*(pl.col(part).fill_null("U") for part in name), stem]
    rows = rows.with_columns(pl.concat_str(parts, separator="_").alias("image_id"))
    rows, ages = _with_age(rows)
    rows, join = locate(rows, download, PATTERN, "images")
    rows = mammography.with_cases(rows, ["malignant"], download.options["case"])
    return ImportedSource(rows, (join,), (), (*coverage(join), *ages))


def _top() -> pl.Expr:
    """The folder at the top of a row's path, in small letters; null for any other."""
    return pl.col(FILE).str.extract(PARTS).str.to_lowercase()


def _with_age(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Ages, left empty for a woman with images of several; and notes."""
    rows, notes = cells.with_age(rows, mammography.whole("Age"))
    several = pl.col("age").drop_nulls().n_unique().over("patient_id") > 1
    women = rows.filter(several)["patient_id"].n_unique()
    if women:
        notes.append(f"{plural(women, 'patient')} with images of several ages: age is left empty.")
    return rows.with_columns(
        pl.when(~several).then(pl.col(name)).alias(name) for name in ("age", "age_band")
    ), notes


SOURCE = Source(
    name="nlbs",
    title="NLBS (NL-Breast-Screening)",
    domain="breast",
    read=read,
    tables=(
        Table(
            "images",
            ("NLBSD_Metadata.csv",),
            (FILE, "Image Laterality", "View Position", "Age", CANCER),
            (FILE,),
            rules=(
                odd_rows.one_of(CANCER, ("0", "1"), mammography.whole),
                odd_rows.shaped(FILE, PARTS, "is no path such as normal\\p_1024\\left\\MLO\\…"),
                odd_rows.where(
                    (mammography.whole(CANCER) == "1") != pl.col(FILE).str.contains(SICK),
                    (FILE, CANCER),
                    "'Cancer' is not as the folder (left-c, right-c: 1)",
                ),
            ),
            holds="one row per image: path, side, view, age, cancer of the breast",
        ),
    ),
    targets=(
        Target(
            "malignant",
            "cancer of this breast, found at the exam and confirmed by biopsy",
            "malignant",
        ),
    ),
    access="open",
    licence="Not known: see its address",
    facts_from="columns and cells: NLBSD_Metadata.csv in github.com/ibechimaraoke/nlbsd_analyser; "
    "counts: Phase1_DL/DOCS.md of github.com/sanjai002/Multi-View-Breast-Cancer-Classification; "
    "exams and biopsies: https://arxiv.org/abs/2411.02710",
    url="https://arxiv.org/abs/2411.02710",
    citation="Kendall et al., Full field digital mammography dataset from a population screening "
    "program, arXiv 2411.02710, 2024",
    images=26_988,
    patients=5_997,
    layout=("NLBSD_Metadata.csv", "normal/p_1024/left/MLO/IM-0100-0004-0001.dcm"),
    splits="None.",
    tells_label=("reading",),
    attributes={
        **cells.AGE_COLUMNS,
        **mammography.EXAMS,
        "reading": "Folder of the woman: `normal`, `false-positive` (recalled, no cancer) or "
        "`abnormal` (cancer). It tells the label.",
    },
    confounders=(
        (
            "149 women with cancer, 1,516 with a false alarm and 4,332 others: a quarter recalled, "
            "far more than in screening."
        ),
        "Exams have no date: all images of a woman are one exam, also those at another age.",
        "3,172 images show a side and view a second time.",
        "Files of women with cancer lie in a folder `abnormal`: ids here do not repeat it.",
    ),
    options=(mammography.CASE,),
)
