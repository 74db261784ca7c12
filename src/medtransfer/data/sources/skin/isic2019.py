"""ISIC 2019: dermatoscopic images of three collections, HAM10000 among them."""

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
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
from medtransfer.tables.schema import ROW

NAMED = {
    "MEL": "MEL",
    "NV": "NV",
    "BCC": "BCC",
    "AK": "AKIEC",
    "BKL": "BKL",
    "DF": "DF",
    "VASC": "VASC",
    "SCC": "AKIEC",
    "UNK": "OTHER",
}
CLASSES = tuple(NAMED)
MALIGNANT = {
    "MEL": "1",
    "BCC": "1",
    "SCC": "1",
    "AK": "-1",
    "NV": "0",
    "BKL": "0",
    "DF": "0",
    "VASC": "0",
}
ABOUT = ("image", "age_approx", "anatom_site_general", "sex")
TRUTH, METADATA = "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Metadata.csv"
TEST, TEST_METADATA = "ISIC_2019_Test_GroundTruth.csv", "ISIC_2019_Test_Metadata.csv"
COPY = r"_downsampled$"
COLLECTION = r"^(BCN|HAM|MSK)"
"""Start of a lesion's id → the collection it comes from."""


def read(download: Download) -> ImportedSource:
    """Rows of the ground truth with their metadata and files; the test set if it is there."""
    rows, join = _part(download, "truth", "metadata")
    joins = [join]
    if "test" in download.tables:
        later, join = _part(download, "test", "test metadata")
        twice = rows.join(later, on="image_id", how="semi").height
        download.refuse([f"{plural(twice, 'image')} in both ground truths"] if twice else [])
        rows = pl.concat(
            [rows.with_columns(split=pl.lit("train")), later.with_columns(split=pl.lit("test"))]
        )
        joins.append(join)
    rows, kept = _without_ham(rows) if download.options["collections"] != "all" else (rows, ())
    rows, notes = _grouped(rows)
    rows, ages = cells.with_age(rows, pl.col("age_approx"), zero_is_missing=True)
    rows = rows.with_columns(
        pl.col("image_id").alias(KEY),
        skin.malignant(MALIGNANT),
        cells.sex("sex"),
        skin.body_site("anatom_site_general"),
    )
    rows, image_join = locate(rows, download, r"([^/]+)\.jpg$")
    return ImportedSource(rows, (image_join, *joins), kept, (*coverage(image_join), *notes, *ages))


def _part(download: Download, truth: str, about: str) -> tuple[pl.DataFrame, Join]:
    """Images of one ground truth with their class and what the metadata says of them."""
    table = download.tables[truth]
    rows = table.select(pl.col("image"), ROW).with_columns(skin.one_hot(table, CLASSES))
    people = download.tables.get(about, pl.DataFrame(schema=dict.fromkeys(ABOUT, pl.String)))
    if "lesion_id" not in people.columns:
        people = people.with_columns(lesion_id=pl.lit(None, pl.String))
    names = ("images of the ground truth", "rows of the metadata")
    rows, join = join_tables(rows, people.select(*ABOUT, "lesion_id"), "image", names)
    return rows.rename({"image": "image_id"}), join


def _without_ham(rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    ham = pl.col("lesion_id").str.starts_with("HAM").fill_null(value=False)
    kept = rows.filter(~ham)
    return kept, (kept_text(len(kept), len(rows), "collections = without-ham10000"),)


def _grouped(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Cases: the lesion; without one, an image and its smaller copy are one."""
    base = pl.col("image_id").str.replace(COPY, "")
    lesion = pl.col("lesion_id").min().over(base)
    rows = rows.with_columns(collection=lesion.str.extract(COLLECTION))
    rows, notes = skin.with_lesions(rows.with_columns(_lesion=lesion), pl.col("_lesion"))
    single = pl.col("_lesion").is_null()
    rows = rows.with_columns(
        pl.when(single).then(base).otherwise(name).alias(name) for name in ("case_id", "patient_id")
    )
    copies = int(rows["image_id"].str.contains(COPY).sum())
    if copies:
        notes.append(
            f"{plural(copies, 'image')} made smaller (`_downsampled`): of the case of its "
            "larger copy, if that is there."
        )
    return rows, notes


SOURCE = Source(
    name="isic-2019",
    title="ISIC 2019",
    domain="skin",
    read=read,
    tables=(
        Table(
            "truth",
            (TRUTH,),
            ("image", *CLASSES),
            ("image",),
            rules=(skin.marks_one(CLASSES),),
            holds="a column per diagnosis",
        ),
        Table("metadata", (METADATA,), (*ABOUT, "lesion_id"), ("image",), holds="lesions, people"),
        Table(
            "test",
            (TEST,),
            ("image", *CLASSES),
            ("image",),
            rules=(skin.marks_one(CLASSES),),
            needed=False,
            holds="diagnoses of the test images",
        ),
        Table(
            "test metadata",
            (TEST_METADATA,),
            ABOUT,
            ("image",),
            optional=("lesion_id",),
            needed=False,
            holds="people of the test images",
        ),
    ),
    targets=(
        Target(
            "malignant",
            f"melanoma, basal or squamous cell carcinoma; {skin.PRECANCER}; UNK is empty",
            "malignant",
        ),
    ),
    access="open",
    licence="CC BY-NC 4.0",
    facts_from="columns and values: ISIC_2019_Training_GroundTruth.csv and "
    "ISIC_2019_Training_Metadata.csv in github.com/ToreGore/AI-Health",
    url="https://challenge.isic-archive.com/data/#2019",
    citation="Tschandl et al., HAM10000, Scientific Data 2018; Codella et al., Skin Lesion "
    "Analysis Toward Melanoma Detection, ISBI 2018; Combalia et al., BCN20000, 2019",
    images=25_331,
    layout=(
        f"{TRUTH}, {METADATA}",
        f"{TEST}, {TEST_METADATA} (if you have them)",
        "ISIC_2019_Training_Input/ISIC_0000000.jpg",
    ),
    splits="The training images are train, the test images (8,238) are test if their ground truth "
    "is there. It has no tuning part.",
    attributes={
        **skin.COMMON,
        "collection": "BCN, HAM or MSK, by the lesion's id; empty without one.",
    },
    confounders=(
        "Several images show one lesion: split by lesion.",
        "Some images have no lesion's id: look for near duplicates.",
        "The collections differ in cameras, cropping and diagnoses.",
        "Names that end in `_downsampled` are of images that were made smaller.",
        "Age 0 stands for a missing age, as in HAM10000.",
        "UNK marks only test images: what is none of the other classes.",
    ),
    known_as=("isic", "bcn"),
    overlaps=(
        Overlap("bcn", "isic", "the ISIC challenge of 2019 holds BCN20000"),
        Overlap(
            "bcn",
            "ham",
            "what is passed on as BCN20000 is often all of ISIC 2019 (25,331 "
            "images), with HAM10000 in it",
        ),
        Overlap("isic", "dermamnist", "DermaMNIST is HAM10000, which ISIC holds"),
    ),
    options=(
        Option(
            "collections",
            "All images, or those that are not of HAM10000.",
            "all",
            ("all", "without-ham10000"),
        ),
    ),
    class_column=skin.CLASS,
    classes=NAMED,
)
