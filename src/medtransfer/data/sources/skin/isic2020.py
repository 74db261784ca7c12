"""ISIC 2020 (SIIM-ISIC): dermatoscopic images with patients, melanoma or not."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
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

SITE = "anatom_site_general_challenge"
COLUMNS = (
    "image_name",
    "patient_id",
    "sex",
    "age_approx",
    SITE,
    "diagnosis",
    "benign_malignant",
    "target",
)
FILES = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv")
PAIRS = "ISIC_2020_Training_Duplicates.csv"
WORDS = {"benign": "0", "malignant": "1"}
CLASSES = {
    "melanoma": "MEL",
    "nevus": "NV",
    "seborrheic keratosis": "BKL",
    "solar lentigo": "BKL",
    "lichenoid keratosis": "BKL",
    "cafe-au-lait macule": "OTHER",
}


def read(download: Download) -> ImportedSource:
    """Rows of the ground truth with their files, and what the list of duplicates says of them."""
    rows = download.tables["truth"]
    if "lesion_id" not in rows.columns:
        rows = rows.with_columns(lesion_id=pl.lit(None, pl.String))
    rows = rows.with_columns(pl.col("image_name").alias("image_id"))
    rows, notes = skin.with_lesions(rows, pl.col("lesion_id"), pl.col("patient_id"))
    joins: list[Join] = []
    kept: tuple[str, ...] = ()
    if "duplicates" in download.tables:
        rows, join, kept, more = _with_pairs(rows, download)
        joins.append(join)
        notes += more
    elif download.options["duplicates"] == "first":
        download.refuse([f"{PAIRS} is not below the folder, and duplicates=first needs it"])
    rows, ages = cells.with_age(rows, pl.col("age_approx"))
    diagnosis = pl.col("diagnosis").str.to_lowercase()
    rows = rows.with_columns(
        pl.col("image_name").alias(KEY),
        pl.when(diagnosis != "unknown").then(diagnosis).alias(skin.CLASS),
        pl.col("target").alias("malignant"),
        cells.sex("sex"),
        skin.body_site(SITE),
    )
    rows, image_join = locate(rows, download, r"([^/]+)\.(?:jpg|dcm)$")
    return ImportedSource(rows, (image_join, *joins), kept, (*coverage(image_join), *notes, *ages))


def _with_pairs(
    rows: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, Join, tuple[str, ...], list[str]]:
    """The rows less the second of each pair, if that is asked for; else a word on the pairs."""
    pairs = download.tables["duplicates"]
    owner = rows.select("image_name", "patient_id")
    first = owner.rename({"image_name": "image_name_1", "patient_id": "_one"})
    second = owner.rename({"image_name": "image_name_2", "patient_id": "_two"})
    both = pairs.join(first, on="image_name_1").join(second, on="image_name_2")
    strange = len(pairs) - len(both)
    join = Join(
        left="pairs of the list of duplicates",
        right="images",
        key="name",
        matched=len(both),
        left_only=strange,
        right_only=0,
    )
    if download.options["duplicates"] == "first":
        left = rows.join(both.select(image_name="image_name_2"), on="image_name", how="anti")
        return left, join, (kept_text(len(left), len(rows), "duplicates = first"),), []
    across = both.filter(pl.col("_one") != pl.col("_two")).height
    note = (
        f"{plural(len(both), 'pair')} of images listed as duplicates, {across:,} of two patients: "
        "duplicates=first leaves the second of each out."
    )
    return rows, join, (), [note] if len(both) else []


SOURCE = Source(
    name="isic-2020",
    title="ISIC 2020",
    domain="skin",
    read=read,
    tables=(
        Table(
            "truth",
            FILES,
            COLUMNS,
            ("image_name",),
            optional=("lesion_id",),
            rules=(
                odd_rows.one_of("target", ("0", "1")),
                odd_rows.one_of("benign_malignant", tuple(WORDS)),
                odd_rows.where(
                    pl.col("target").is_in(["0", "1"])
                    & (pl.col("target") != pl.col("benign_malignant").replace(WORDS)),
                    ("target", "benign_malignant"),
                    "'target' and 'benign_malignant' disagree",
                ),
            ),
            holds="patients, diagnoses, labels",
        ),
        Table(
            "duplicates",
            (PAIRS,),
            ("image_name_1", "image_name_2"),
            needed=False,
            holds="pairs of images that are the same",
        ),
    ),
    targets=(Target("malignant", "melanoma, proven by histology", "malignant"),),
    access="open",
    licence="CC BY-NC 4.0",
    facts_from="columns and values: ISIC_2020_Training_GroundTruth_v2.csv in "
    "github.com/AlvaroFloresR/ISIC-Image-Classification",
    url="https://doi.org/10.34970/2020-ds01",
    citation="Rotemberg et al., A patient-centric dataset of images and metadata for identifying "
    "melanomas using clinical context, Scientific Data 2021",
    images=33_126,
    patients=2_056,
    layout=(
        f"{FILES[0]} (or {FILES[1]}, or train.csv of Kaggle)",
        f"{PAIRS} (if you have it)",
        "train/ISIC_2637011.jpg",
    ),
    splits="None: labels of its test images are not published.",
    attributes=skin.COMMON,
    confounders=(
        "1.8 % of the images (584) are melanomas, and a fifth of the patients have one.",
        "The diagnosis of most benign images is unknown: classes are for a part only.",
        "The archive lists pairs of duplicates: leave them out, or keep them in one split.",
        "Images come from several centres, and sizes and borders tell which.",
    ),
    known_as=("isic2020",),
    overlaps=(
        Overlap(
            "isic2020",
            "isic2019",
            "both are drawn from the ISIC archive",
            "Look for copies before one tests the other.",
        ),
    ),
    options=(
        Option(
            "duplicates",
            "Whether images listed as second of a pair are kept.",
            "keep",
            ("keep", "first"),
        ),
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
