"""Messidor-2: fundus photographs of both eyes, with the grades that Google published."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.retina import retina
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Source,
    Table,
    Target,
)
from medtransfer.data.sources.vocabulary import GRADES
from medtransfer.errors import plural

ENDING = r"\.[A-Za-z]+$"
"""Tables and files differ in it (``.jpg``, ``.JPG``), so names are compared without it."""
ALONE = (
    "Each image counts as a patient of its own, though the set has both eyes of each: use it to "
    "test, or name the patients with `import csv`. Its list of pairs is not read."
)


def read(download: Download) -> ImportedSource:
    """Rows of the grades with their files."""
    name = pl.col("image_id").str.replace(ENDING, "")
    gradable = pl.col("adjudicated_gradable") != "0"
    rows = download.tables["grades"].with_columns(
        name.alias("image_id"),
        pl.when(gradable).then("adjudicated_dr_grade").alias("adjudicated_dr_grade"),
        pl.when(gradable).then("adjudicated_dme").alias("macular_edema"),
    )
    rows = rows.with_columns(
        pl.col("image_id").alias(KEY),
        *retina.graded("adjudicated_dr_grade"),
        case_id="image_id",
        patient_id="image_id",
    )
    notes = [ALONE]
    if ungraded := rows["dr_grade"].null_count():
        notes.append(f"{plural(ungraded, 'image')} without a grade: labels empty.")
    rows, image_join = locate(rows, download, r"([^/]+)\.[A-Za-z]+$")
    return ImportedSource(rows, (image_join,), (), (*coverage(image_join), *notes))


SOURCE = Source(
    name="messidor-2",
    title="Messidor-2",
    domain="retina",
    read=read,
    tables=(
        Table(
            "grades",
            ("messidor_data.csv",),
            ("image_id", "adjudicated_dr_grade", "adjudicated_dme", "adjudicated_gradable"),
            ("image_id",),
            rules=(
                odd_rows.one_of("adjudicated_dr_grade", GRADES),
                odd_rows.one_of("adjudicated_dme", ("0", "1")),
                odd_rows.one_of("adjudicated_gradable", ("0", "1")),
            ),
            holds="one row per image: the grades of Google's adjudication",
        ),
    ),
    targets=(
        retina.REFERABLE,
        Target("macular_edema", "diabetic macular edema, adjudicated"),
    ),
    class_column=retina.CLASS,
    classes=retina.CLASSES,
    access="registration",
    licence="Terms of the Messidor programme for the images, of Kaggle for the grades",
    facts_from="columns: src/datasets/fundus/messidor2.py of github.com/rajpurkarlab/BenchMD and a "
    "copy of the table, messidor_data.csv of github.com/Shivanivbn/Final-Project; numbers: "
    "Messidor-2/README.md of github.com/Healthcare-Group-IIIT/Medical-Databank",
    url="https://www.adcis.net/en/third-party/messidor2",
    citation="Abràmoff et al., Automated analysis of retinal images for detection of referable "
    "diabetic retinopathy, JAMA Ophthalmology 2013; Krause et al., Grader variability and the "
    "importance of reference standards for evaluating machine learning models for diabetic "
    "retinopathy, Ophthalmology 2018",
    images=1_748,
    patients=874,
    layout=(
        "messidor_data.csv (grades, from Kaggle)",
        "IMAGES/20051020_43808_0100_PP.png",
    ),
    splits="None.",
    attributes=retina.GRADE,
    confounders=(
        "Both eyes of each of the 874 patients are there, and nothing read here pairs them.",
        "The images themselves come without grades: the table of grades is another download.",
        "It is used as a test set by many: published models may have been chosen on it.",
    ),
    known_as=("messidor2",),
)
