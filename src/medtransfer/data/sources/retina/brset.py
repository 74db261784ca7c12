"""BRSET: photographs of both eyes from three centres in São Paulo, by two cameras."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.retina import retina
from medtransfer.data.sources.source import Download, ImportedSource, Source, Table, Target
from medtransfer.data.sources.vocabulary import GRADES

GRADE = "DR_ICDR"
SEXES = {"1": "M", "2": "F"}
EYES = {"1": "R", "2": "L"}
DRUSEN = ("drusen", "drusens")
"""Column of drusen in version 1.0.2 and in those before."""
DISEASES = {
    "diabetic_retinopathy": "diabetic retinopathy of any grade",
    "macular_edema": "diabetic macular edema",
    "scar": "a scar",
    "nevus": "a nevus",
    "amd": "age-related macular degeneration",
    "vascular_occlusion": "occlusion of a vessel",
    "hypertensive_retinopathy": "hypertensive retinopathy",
    "drusen": "drusen",
    "hemorrhage": "hemorrhage",
    "retinal_detachment": "retinal detachment",
    "myopic_fundus": "myopic fundus",
    "increased_cup_disc": "an increased ratio of cup to disc",
}
"""Diseases and what 1 means; `other` has none."""
COLUMNS = (
    "image_id",
    "patient_id",
    "camera",
    "patient_age",
    "patient_sex",
    "exam_eye",
    GRADE,
    *(name for name in DISEASES if name != "drusen"),
)
EARLIER = (
    "The table is of a version before 1.0.2, which mended the column of the eye and labels of "
    "diabetic retinopathy: download it again if you report by eye."
)


def read(download: Download) -> ImportedSource:
    """Rows of the labels with their files."""
    table = download.tables["labels"]
    there = [name for name in DRUSEN if name in table.columns]
    download.refuse([] if there else [f"'{DRUSEN[0]}' is missing from labels.csv"])
    rows = table.rename({there[0]: "drusen"})
    name = pl.col("image_id").str.replace(r"\.[A-Za-z]+$", "")
    rows = cells.labels(rows, tuple(DISEASES)).with_columns(
        name.alias(KEY),
        *retina.graded(GRADE),
        cells.renamed("patient_sex", SEXES, "sex"),
        cells.renamed("exam_eye", EYES, "laterality"),
        image_id=name,
        case_id=name,
    )
    rows = rows.drop("patient_sex", "exam_eye")  # figures, read above
    rows, ages = cells.with_age(rows, pl.col("patient_age"))
    rows, join = locate(rows, download, r"([^/]+)\.(?:jpe?g|png)$")
    notes = [EARLIER] if there[0] != DRUSEN[0] else []
    return ImportedSource(rows, (join,), (), (*coverage(join), *notes, *ages))


SOURCE = Source(
    name="brset",
    title="BRSET (Brazilian Multilabel Ophthalmological Dataset)",
    domain="retina",
    read=read,
    tables=(
        Table(
            "labels",
            ("labels.csv", "labels_brset.csv"),
            COLUMNS,
            ("image_id",),
            optional=DRUSEN,
            rules=(
                odd_rows.one_of(GRADE, GRADES),
                odd_rows.one_of("patient_sex", tuple(SEXES)),
                odd_rows.one_of("exam_eye", tuple(EYES)),
                *odd_rows.labels((*DISEASES, "drusens")),
            ),
            holds="one row per photograph: patient, eye, camera, grades, diseases",
        ),
    ),
    targets=(
        retina.REFERABLE,
        *(Target(name, f"{meaning}, seen by a specialist") for name, meaning in DISEASES.items()),
    ),
    class_column=retina.CLASS,
    classes=retina.CLASSES,
    access="credentialed",
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    facts_from="columns, values and numbers: README.md and labels.csv of "
    "github.com/luisnakayama/BRSET, and a digest of the data description on its PhysioNet page "
    "(the page itself could not be read): 1 is the right eye, 1 is male, what version 1.0.2 "
    "renamed",
    url="https://physionet.org/content/brazilian-ophthalmological/",
    citation="Nakayama et al., BRSET: A Brazilian Multilabel Ophthalmological Dataset of Retina "
    "Fundus Photos, PLOS Digital Health 2024",
    images=16_266,
    patients=8_524,
    layout=("labels.csv", "fundus_photos/img00001.jpg"),
    splits="None.",
    attributes={
        **retina.GRADE,
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "camera": "Camera, in the set's own words: Canon CR or NIKON NF5050.",
    },
    confounders=(
        "Two cameras took 65 % and 35 % of the photographs, of different patients.",
        "An eye may have several photographs: they share the patient, and each is a case.",
        "Diabetes, insulin and comorbidities are close to the label, and are not imported.",
        "All labels are by a retinal specialist; no outcome is known.",
    ),
)
