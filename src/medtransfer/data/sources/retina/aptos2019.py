"""APTOS 2019: fundus photographs of rural India, graded for diabetic retinopathy."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.retina import retina
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table
from medtransfer.data.sources.vocabulary import GRADES

NOTE = (
    "It has no patient ids: each image counts as a patient of its own, though some patients have "
    "several. `medtransfer check` finds equal and similar files."
)


def read(download: Download) -> ImportedSource:
    """Rows of ``train.csv`` with their files."""
    name = pl.col("id_code")
    rows = download.tables["train"].with_columns(
        name.alias(KEY), *retina.graded("diagnosis"), image_id=name, case_id=name, patient_id=name
    )
    rows, join = locate(rows, download, r"([^/]+)\.(?:png|jpe?g)$")
    return ImportedSource(rows, (join,), (), (*coverage(join), NOTE))


SOURCE = Source(
    name="aptos-2019",
    title="APTOS 2019 Blindness Detection",
    domain="retina",
    read=read,
    tables=(
        Table(
            "train",
            ("train.csv",),
            ("id_code", "diagnosis"),
            ("id_code",),
            rules=(odd_rows.one_of("diagnosis", GRADES),),
            holds="one row per image: its grade",
        ),
    ),
    targets=(retina.REFERABLE,),
    class_column=retina.CLASS,
    classes=retina.CLASSES,
    access="registration",
    licence="Competition rules of Kaggle",
    url="https://www.kaggle.com/c/aptos2019-blindness-detection",
    citation="Asia Pacific Tele-Ophthalmology Society, APTOS 2019 Blindness Detection, Kaggle 2019",
    facts_from="the competition's page on Kaggle",
    images=3_662,
    layout=("train.csv", "train_images/000c1434d8d7.png"),
    splits="None: the test part has no public grades.",
    attributes=retina.GRADE,
    confounders=(
        "Size, crop and camera differ between clinics, and grades do too.",
        "The set is known to hold copies of one photograph, some with different grades.",
    ),
)
