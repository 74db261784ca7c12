"""ISIC 2024 (SLICE-3D): crops of lesions from photographs of the whole body, malignant or not."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Source,
    Table,
    Target,
)

SITE = "anatom_site_general"
LIGHT = "tbp_tile_type"


def read(download: Download) -> ImportedSource:
    """Rows of ``train-metadata.csv`` with their files; each crop is of another lesion."""
    name = pl.col("isic_id")
    rows, notes = cells.with_age(download.tables["train"], pl.col("age_approx"))
    rows = rows.with_columns(
        name.alias(KEY),
        cells.sex("sex"),
        skin.body_site(SITE),
        image_id=name,
        case_id=name,
        malignant=pl.col("target"),
        light=pl.col(LIGHT),
    )
    rows, join = locate(rows, download, r"([^/]+)\.(?:jpe?g|png)$")
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes))


SOURCE = Source(
    name="isic-2024",
    title="ISIC 2024 (SLICE-3D)",
    domain="skin",
    read=read,
    tables=(
        Table(
            "train",
            ("train-metadata.csv",),
            ("isic_id", "target", "patient_id", "age_approx", "sex", SITE, LIGHT),
            ("isic_id",),
            rules=(odd_rows.one_of("target", ("0", "1")),),
            holds="one row per crop: patient, label, age, sex, site",
        ),
    ),
    targets=(Target("malignant", "malignant, confirmed by histology", "malignant"),),
    access="registration",
    licence="Creative Commons, by image: column `copyright_license` of the table",
    facts_from="the data descriptor, https://doi.org/10.1038/s41597-024-03743-w; columns in "
    "data/data_description.md of github.com/mat126/skin-cancer-classification; counts in "
    "https://junaidaliop.github.io/isic2024-tbp/data.html",
    url="https://www.kaggle.com/competitions/isic-2024-challenge",
    citation="Kurtansky et al., The SLICE-3D dataset: 400,000 skin lesion image crops extracted "
    "from 3D TBP for skin cancer detection, Scientific Data 2024",
    images=401_059,
    patients=1_042,
    layout=("train-metadata.csv", "train-image/image/ISIC_0015670.jpg"),
    splits="None: labels of its test images are not published.",
    attributes={**skin.COMMON, "light": "Light of the photograph: `3D: white` or `3D: XP`."},
    confounders=(
        "1 crop in 1,000 is malignant (393 of 401,059), in a quarter of the patients.",
        "Most benign lesions were never biopsied: a missed cancer counts as benign.",
        "Centres differ in light and in prevalence; the column with their names is not imported.",
        "Diagnoses, thickness and the maker's scores tell the label, and are not imported.",
    ),
    known_as=("isic2024", "slice3d"),
)
