"""CSAW-CC: screening mammograms of women in Stockholm, with cancer later on or without."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Option,
    Source,
    Table,
    Target,
)
from medtransfer.errors import plural

SIDES = {"Left": "L", "Right": "R"}
TIMING = {"1": "screen-detected", "2": "interval", "3": "later"}
"""`rad_timing`: the cancer was found within 60 days of the screening, within 729, or later."""
AGES = {"1": "40-55", "2": "55+"}
SIDE = "x_cancer_laterality"


def read(download: Download) -> ImportedSource:
    """Rows of the table with their files, each breast with the cancer that it had."""
    table = download.tables["screening"]
    rows = table.with_columns(
        mammography.whole(name).alias(name)
        for name in ("anon_patientid", "exam_year", "x_case", "x_age", "rad_timing")
    )
    name = pl.col("anon_filename").str.replace(r"\.\w+$", "")
    patient = pl.col("anon_patientid")
    rows = rows.with_columns(
        name.alias(KEY),
        pl.concat_str(patient, pl.lit("_"), pl.col("exam_year")).alias(EXAM),
        pl.col("imagelaterality").replace(SIDES).alias("laterality"),
        pl.col("rad_timing").replace(TIMING).alias("timing"),
        pl.col("x_age").replace(AGES).alias("age_group"),
        pl.col("viewposition").alias("view"),
        _label(interval=download.options["cancer"] == "two-years").alias("malignant"),
        image_id=name,
        patient_id=patient,
    )
    sides = pl.col(SIDE).is_in(list(SIDES)).fill_null(value=False)
    unsided = rows.filter((pl.col("x_case") == "1") & ~sides)["patient_id"].n_unique()
    notes: list[str] = []
    if unsided:
        notes.append(
            f"{plural(unsided, 'patient')} with a cancer whose side is neither Left nor Right: "
            "labels are uncertain (-1)."
        )
    rows, join = locate(rows, download, r"([^/]+)\.(?:dcm|png|jpe?g)$", "images")
    rows = mammography.with_cases(rows, ["malignant"], download.options["case"])
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes))


def _label(*, interval: bool) -> pl.Expr:
    """`malignant` of an image: by its side, its woman's cancer, and the time between them.

    A breast that had its cancer later is uncertain: whether the image shows it is not known. So is
    each breast of a woman whose cancer has no side.

    Args:
        interval: Whether a cancer of the next two years counts; else it is uncertain too.
    """
    side, timing = pl.col(SIDE), pl.col("rad_timing")
    soon = ["1", "2"] if interval else ["1"]
    sick = pl.when(timing.is_in(soon)).then(pl.lit("1")).otherwise(pl.lit("-1"))
    label = pl.when(pl.col("x_case") == "0").then(pl.lit("0"))
    label = label.when(side == pl.col("imagelaterality")).then(sick)
    return label.when(side.is_in(list(SIDES))).then(pl.lit("0")).otherwise(pl.lit("-1"))


SOURCE = Source(
    name="csaw-cc",
    title="CSAW-CC",
    domain="breast",
    read=read,
    tables=(
        Table(
            "screening",
            ("CSAW-CC_breast_cancer_screening_data.csv",),
            (
                *("anon_patientid", "exam_year", "anon_filename", "x_age", "x_case", SIDE),
                *("rad_timing", "imagelaterality", "viewposition"),
            ),
            ("anon_filename",),
            rules=(
                odd_rows.one_of("x_case", ("0", "1"), mammography.whole),
                odd_rows.one_of("x_age", tuple(AGES), mammography.whole),
                odd_rows.one_of("rad_timing", tuple(TIMING), mammography.whole),
                odd_rows.one_of("imagelaterality", tuple(SIDES)),
                odd_rows.one_of("viewposition", ("CC", "MLO")),
            ),
            holds="one row per image: woman, year, side, view, cancer, its side and its time",
        ),
    ),
    targets=(
        Target(
            "malignant",
            "cancer of this breast within two years of the screening; uncertain (-1) before that, "
            "0 for the other breast and for women without cancer",
            "malignant",
        ),
    ),
    access="agreement",
    licence="CC BY, given out on request, with a condition",
    terms="Who publishes on it invites its curators at Karolinska Institutet as authors.",
    facts_from="columns and cells: CSAW-CC_breast_cancer_screening_data.csv in "
    "github.com/Ibtida01/Breast-Cancer-Risk-Prediction; meaning of `rad_timing` and `x_age`, "
    "counts and the condition, from its owners' list of variables: Phase2_RL/DOCUMENTATION.md of "
    "github.com/sanjai002/Multi-View-Breast-Cancer-Classification",
    url="https://kib.ki.se/node/2734",
    citation="Dembrower et al., A multi-million mammography image dataset and population-based "
    "screening cohort (CSAW), Journal of Digital Imaging 2020",
    images=98_788,
    patients=8_723,
    layout=(
        "CSAW-CC_breast_cancer_screening_data.csv",
        "00002_20990909_L_CC_1.dcm, in any folders",
    ),
    splits="None.",
    tells_label=("timing",),
    attributes={
        **mammography.EXAMS,
        "age_group": "Age as given: 40-55 or 55+.",
        "timing": "Cancer of the woman: `screen-detected` (within 60 days), `interval` (within 729 "
        "days), `later`; empty without cancer. It tells the label.",
    },
    confounders=(
        (
            "873 women with cancer among 8,723: all cases of one uptake area and a sample of the "
            "others, so 10 % and not the 0.5 % of screening."
        ),
        "Women have up to six screenings: split by woman.",
        "A breast before its cancer is uncertain (-1), not healthy.",
        "Two screenings of one year, of which there are three, are one exam.",
        "Machines of one maker (Hologic).",
        "Its curators hold back three women of ten, for tests of their own.",
    ),
    options=(
        mammography.CASE,
        Option(
            "cancer",
            "Cancers that count as 1: those within two years of the screening, or those found by "
            "it; others are uncertain.",
            "two-years",
            ("two-years", "screen-detected"),
        ),
    ),
)
