"""HAM10000: dermatoscopic images of Vienna and Queensland, and the test images of ISIC 2018."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.download import missing_columns
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Option,
    Overlap,
    Source,
    Table,
    Target,
)
from medtransfer.errors import plural
from medtransfer.tables.schema import ROW

COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
CLASSES = {
    "mel": "MEL",
    "nv": "NV",
    "bcc": "BCC",
    "akiec": "AKIEC",
    "bkl": "BKL",
    "df": "DF",
    "vasc": "VASC",
}
MALIGNANT = {"mel": "1", "bcc": "1", "akiec": "-1", "nv": "0", "bkl": "0", "df": "0", "vasc": "0"}
"""`akiec` holds actinic keratosis and carcinoma in situ: which of them is not said."""
MARKS = tuple(CLASSES.values())
METADATA, TEST = "HAM10000_metadata.csv", "ISIC2018_Task3_Test_GroundTruth.csv"
TAKEN = ("image_id", "lesion_id", "dx", "age", "sex", "localization", "dataset")


def read(download: Download) -> ImportedSource:
    """Rows of the metadata and, if they are there, of the test images, with their files."""
    table, test = download.tables["metadata"], download.tables.get("test")
    rows = _taken(table)
    if test is not None:
        later = _test_rows(test, download)
        twice = rows.join(later, on="image_id", how="semi").height
        download.refuse([f"{plural(twice, 'image')} in both tables"] if twice else [])
        rows = pl.concat(
            [rows.with_columns(split=pl.lit("train")), later.with_columns(split=pl.lit("test"))]
        )
    if download.options["cohorts"] == "collections":
        rows = rows.with_columns(cohort=pl.col("dataset").fill_null("unknown"))
    rows, notes = skin.with_lesions(rows, pl.col("lesion_id"))
    rows, ages = cells.with_age(rows, pl.col("age"), zero_is_missing=True)
    rows = rows.with_columns(
        pl.col("image_id").alias(KEY),
        pl.col("dx").alias(skin.CLASS),
        pl.col("dataset").alias("collection"),
        cells.sex("sex"),
        skin.body_site("localization"),
        skin.malignant(MALIGNANT, "dx"),
    )
    rows, join = locate(rows, download, r"(ISIC_\d+)\.jpg$")
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes, *ages))


def _taken(table: pl.DataFrame) -> pl.DataFrame:
    """The columns that are used; those a table lacks are empty. `dx_type` is not among them."""
    empty = [pl.lit(None, pl.String).alias(c) for c in TAKEN if c not in table.columns]
    return table.with_columns(empty).select(*TAKEN, ROW)


def _test_rows(test: pl.DataFrame, download: Download) -> pl.DataFrame:
    """The test table in either of its forms: like the metadata, or a column per class."""
    if "dx" in test.columns:
        download.refuse(missing_columns(test, ("image_id", "dx"), TEST))
        return _taken(test)
    download.refuse(missing_columns(test, ("image", *MARKS), TEST))
    named = skin.one_hot(test, MARKS)
    ours = {theirs: name for name, theirs in CLASSES.items()}
    return _taken(test.with_columns(named.replace_strict(ours).alias("dx"), image_id="image"))


SOURCE = Source(
    name="ham10000",
    title="HAM10000",
    domain="skin",
    read=read,
    tables=(
        Table(
            "metadata",
            (METADATA, "HAM10000_metadata"),
            COLUMNS,
            ("image_id",),
            optional=TAKEN,
            rules=(odd_rows.one_of("dx", tuple(CLASSES)),),
            holds="lesions, diagnoses, people",
        ),
        Table(
            "test",
            (TEST,),
            (),
            optional=("image", *TAKEN, *MARKS),
            rules=(odd_rows.one_of("dx", tuple(CLASSES)), skin.marks_one(MARKS)),
            needed=False,
            holds="diagnoses of the ISIC 2018 test images",
        ),
    ),
    targets=(
        Target(
            "malignant",
            "melanoma or basal cell carcinoma; `akiec` is uncertain (-1): it holds "
            "actinic keratosis and carcinoma in situ together",
            "malignant",
        ),
    ),
    access="open",
    licence="CC BY-NC 4.0",
    facts_from="columns and values: HAM10000_metadata.csv in "
    "github.com/patink/Skin-cancer-classification-using-CNN; size: its paper",
    url="https://doi.org/10.7910/DVN/DBW86T",
    citation="Tschandl et al., The HAM10000 dataset, a large collection of multi-source "
    "dermatoscopic images of common pigmented skin lesions, Scientific Data 2018",
    images=10_015,
    layout=(
        f"{METADATA} (or without its ending)",
        f"{TEST} (if you have it)",
        "HAM10000_images_part_1/ISIC_0024306.jpg",
    ),
    splits="HAM10000 is train, the test images of ISIC 2018 (1,512) are test if their table is "
    "there. It has no tuning part.",
    attributes={
        **skin.COMMON,
        "collection": "Which of the collections it was put together from "
        "(column `dataset`); empty where the table has no such column.",
    },
    confounders=(
        "One lesion has up to six photographs (7,470 lesions): split by lesion.",
        "How a diagnosis was confirmed (`dx_type`) gives it away, and is not taken over.",
        "The collections differ in cameras and diagnoses: `cohorts=collections` parts them.",
        "Age 0 stands for a missing age.",
    ),
    known_as=("ham",),
    overlaps=(
        Overlap(
            "ham",
            "isic",
            "the ISIC challenges of 2018 and 2019 hold HAM10000",
            "Import isic-2019 with collections=without-ham10000 to test on it.",
        ),
        Overlap("ham", "dermamnist", "DermaMNIST is HAM10000, resized"),
    ),
    options=(
        Option(
            "cohorts",
            "Whether the set is one cohort, or each of its collections.",
            "one",
            ("one", "collections"),
        ),
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
