"""EyePACS (Kaggle 2015): fundus photographs of both eyes, graded for diabetic retinopathy."""

import polars as pl

from medtransfer.data.sources import odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.retina import retina
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table
from medtransfer.data.sources.vocabulary import GRADES

IMAGE = r"^(\d+)_(left|right)$"
"""Name of an image: the patient and the eye."""


def read(download: Download) -> ImportedSource:
    """Rows of ``trainLabels.csv`` with their files; an eye is a case."""
    name = pl.col("image")
    rows = download.tables["train"].with_columns(
        name.alias(KEY),
        *retina.graded("level"),
        image_id=name,
        case_id=name,
        patient_id=name.str.extract(IMAGE, 1),
        laterality=name.str.extract(IMAGE, 2).replace({"left": "L", "right": "R"}),
    )
    rows = rows.drop("image")  # the manifest's column of that name holds pictures
    rows, join = locate(rows, download, r"([^/]+)\.(?:jpe?g|png)$")
    return ImportedSource(rows, (join,), (), coverage(join))


SOURCE = Source(
    name="eyepacs",
    title="EyePACS (Diabetic Retinopathy Detection 2015)",
    domain="retina",
    read=read,
    tables=(
        Table(
            "train",
            ("trainLabels.csv",),
            ("image", "level"),
            ("image",),
            rules=(
                odd_rows.one_of("level", GRADES),
                odd_rows.shaped("image", IMAGE, "is no patient and eye (expected: 10_left)"),
            ),
            holds="one row per image: its grade",
        ),
    ),
    targets=(retina.REFERABLE,),
    class_column=retina.CLASS,
    classes=retina.CLASSES,
    access="registration",
    licence="Competition rules of Kaggle",
    url="https://www.kaggle.com/c/diabetic-retinopathy-detection",
    citation="EyePACS, Diabetic Retinopathy Detection, Kaggle 2015",
    facts_from="trainLabels.csv in public copies of the competition",
    images=35_126,
    patients=17_563,
    layout=("trainLabels.csv", "train/10_left.jpeg"),
    splits="None: the grades of the test part are in another archive.",
    attributes=retina.GRADE,
    confounders=(
        "Both eyes of a patient are there: the patient is the number before the eye.",
        "Grades are noisy, and many photographs are blurred or dark.",
        "Some images are inverted, as through an indirect lens.",
    ),
)
