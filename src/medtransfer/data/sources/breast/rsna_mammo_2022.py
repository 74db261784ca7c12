"""RSNA Screening Mammography 2022: breasts of two sites, cancer proven or ruled out."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import Download, ImportedSource, Option, Source, Table, Target
from medtransfer.errors import plural
from medtransfer.tables.manifest import LABEL_CELLS, label_text
from medtransfer.tables.schema import rows_of

FILE = "train.csv"
FLAGS = ("cancer", "biopsy", "invasive", "difficult_negative_case")
TRUTH = {"True": "1", "TRUE": "1", "true": "1", "False": "0", "FALSE": "0", "false": "0"}
COLUMNS = (
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    *FLAGS,
    "BIRADS",
    "implant",
    "density",
    "machine_id",
)
ATTRIBUTES = {"site": "site_id", "machine": "machine_id", "implant": "implant", "birads": "BIRADS"}


def _truth(column: str) -> pl.Expr:
    """A truth value as a label cell."""
    return label_text(column).replace(TRUTH)


def read(download: Download) -> ImportedSource:
    """Rows of ``train.csv`` with their files."""
    table = download.tables["train"].with_columns(pl.col(FLAGS).replace(TRUTH))
    chosen = download.options["cohorts"]
    torn = table.filter(pl.col("site_id").n_unique().over("patient_id") > 1)
    if chosen == "site" and not torn.is_empty():
        many = plural(torn["patient_id"].n_unique(), "patient")
        fault = f"{FILE}: {many} of several sites, {rows_of(torn)}; cohorts=site cannot be"
        download.refuse([fault])
    rows = cells.labels(table, FLAGS).with_columns(
        mammography.whole(theirs).alias(ours) for ours, theirs in ATTRIBUTES.items()
    )
    rows = rows.with_columns(
        mammography.dense(),
        pl.col("image_id").alias(KEY),
        pl.col("patient_id").alias(EXAM),
        *([pl.concat_str(pl.lit("site-"), "site").alias("cohort")] if chosen == "site" else []),
    )
    rows, ages = cells.with_age(rows, pl.col("age"))
    rows, join = locate(rows, download, r"(?:^|[/_])([^/_]+)\.(?:dcm|png|jpe?g)$")
    rows = mammography.with_cases(rows, (*FLAGS, "dense"), download.options["case"])
    return ImportedSource(rows, (join,), (), (*coverage(join), *ages))


SOURCE = Source(
    name="rsna-mammo-2022",
    title="RSNA Screening Mammography Breast Cancer Detection 2022",
    domain="breast",
    read=read,
    tables=(
        Table(
            "train",
            (FILE,),
            COLUMNS,
            ("image_id",),
            rules=(
                *(
                    odd_rows.one_of(name, LABEL_CELLS[:3], _truth, shown=LABEL_CELLS)
                    for name in FLAGS
                ),
                odd_rows.one_of("laterality", ("L", "R")),
                odd_rows.one_of("density", ("A", "B", "C", "D")),
            ),
            unit=("patient_id",),
            holds="one row per image; labels are of the breast",
        ),
    ),
    targets=(
        Target("cancer", "the breast was found to have cancer", "malignant"),
        Target("biopsy", "the breast was biopsied afterwards: it follows from the reading"),
        Target("invasive", "the cancer is invasive"),
        Target("difficult_negative_case", "no cancer, and hard to tell"),
        mammography.DENSE,
    ),
    class_column="density",
    classes=mammography.DENSITY_CLASSES,
    access="registration",
    licence="Competition rules of Kaggle and RSNA: not for commercial use",
    facts_from="columns and values: the code of github.com/dangnh0611/kaggle_rsna_breast_cancer, "
    "which won the competition",
    url="https://www.kaggle.com/competitions/rsna-breast-cancer-detection",
    citation="Carr et al., RSNA Screening Mammography Breast Cancer Detection, Kaggle 2022",
    images=54_706,
    patients=11_913,
    layout=("train.csv", "train_images/10006/462822612.dcm"),
    splits="None: the test part has no public outcome.",
    tells_label=("birads",),
    attributes={
        **mammography.EXAMS,
        **mammography.DENSITY,
        **mammography.BIRADS,
        **cells.AGE_COLUMNS,
        "site": "The site, 1 or 2; a patient is of one.",
        "machine": "The machine; none is shared between the sites.",
        "implant": "Whether the patient has breast implants, 1 or 0.",
    },
    confounders=(
        "About one image in fifty is positive, and its share differs between sites and machines.",
        "Machine 49 alone took 43 % of the images.",
        "`biopsy` and `birads` follow from the reading: they tell the label.",
        "BI-RADS and density are empty in many rows: whether they are may tell the site.",
        "A few images are of rare views (AT, LM, ML, LMO).",
    ),
    options=(
        mammography.CASE,
        Option(
            "cohorts",
            "Whether all images are one cohort, or each site is one.",
            "one",
            ("one", "site"),
        ),
    ),
)
