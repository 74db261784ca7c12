"""RSNA Pneumonia Detection Challenge: boxes of lung opacity on films of the NIH set."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.header_table import read_headers
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Join,
    Overlap,
    Source,
    Table,
    Target,
)
from medtransfer.errors import plural

ID = "patientId"
BOX = (ID, "x", "y", "width", "height", "Target")
CLASSES = {
    "Lung Opacity": "opacity",
    "Normal": "normal",
    "No Lung Opacity / Not Normal": "other",
}
NOTE = (
    "The ids of the challenge are of images, not of patients: each image counts as a patient of "
    "its own, though some patients have several. Put RSNA's mapping to the NIH set "
    "(pneumonia-challenge-dataset-mappings_2018.json) beside the tables: it names the patients."
)
PEOPLE = {"PatientSex": "_sex", "PatientAge": "_age", "ViewPosition": "view"}
"""Entries of the DICOM headers."""
NIH_FILE = r"^0*(\d+)_\d+\.png$"
"""Name of a film in the NIH set, which begins with the patient."""


def read(download: Download) -> ImportedSource:
    """One row per image: any box is a positive."""
    boxes = download.tables["labels"]
    rows = boxes.group_by(ID).agg(pneumonia=pl.col("Target").max()).sort(ID)
    joins: list[Join] = []
    if (details := download.tables.get("classes")) is not None:
        single = details.select(ID, cells.renamed("class", CLASSES, "kind")).unique()
        rows, join = join_tables(rows, single, ID, ("images", "images of the class info"))
        joins.append(join)
    rows, more, notes = _with_patients(rows, download)
    joins += more
    rows = rows.with_columns(pl.col(ID).alias(KEY), image_id=pl.col(ID), case_id=pl.col(ID))
    rows, image_join = locate(rows, download, r"([^/]+)\.(?:dcm|png|jpg)$", "images")
    rows, people, headers = _with_people(rows, download)
    return ImportedSource(
        rows, (image_join, *joins, *people), (), (*coverage(image_join), *notes, *headers)
    )


def _with_patients(
    rows: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, list[Join], list[str]]:
    """`patient_id`: the patient's number in the NIH set by RSNA's mapping, else the image's id."""
    mapping = download.tables.get("mapping")
    if mapping is None:
        return rows.with_columns(patient_id=pl.col(ID)), [], [NOTE]
    number = pl.col("img_id").str.extract(NIH_FILE)
    named = mapping.select(pl.col("subset_img_id").alias(ID), _patient=number)
    rows, join = join_tables(rows, named, ID, ("images", "images of the mapping"))
    rows = rows.with_columns(patient_id=pl.coalesce("_patient", ID))
    patients = rows["patient_id"].n_unique()
    note = f"Patients by RSNA's mapping to the NIH set: {plural(patients, 'patient')}."
    return rows, [join], [note]


def _with_people(
    rows: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, list[Join], list[str]]:
    """Sex, age and view from the table of headers if it is there, else from the headers."""
    joins: list[Join] = []
    if (table := download.tables.get("headers")) is not None:
        named = table.select(
            pl.col("PatientID").alias(ID),
            *(pl.col(tag).alias(name) for tag, name in PEOPLE.items()),
        )
        rows, join = join_tables(rows, named, ID, ("images", "images of the table of headers"))
        joins, notes = [join], list[str]()
    else:
        headers = read_headers(download, rows[PATH], PEOPLE)
        rows = rows.join(headers.frame, on=PATH, how="left", maintain_order="left")
        notes = headers.notes
    rows, ages = cells.with_age(rows, pl.col("_age"))
    return rows.with_columns(cells.sex("_sex")), joins, [*notes, *ages]


SOURCE = Source(
    name="rsna-pneumonia",
    title="RSNA Pneumonia Detection Challenge",
    domain="chest",
    read=read,
    tables=(
        Table(
            "labels",
            ("stage_2_train_labels.csv",),
            BOX,
            rules=(odd_rows.one_of("Target", ("0", "1")), odd_rows.single("Target", (ID,))),
            unit=(ID,),
            holds="one row per box",
        ),
        Table(
            "classes",
            ("stage_2_detailed_class_info.csv",),
            (ID, "class"),
            rules=(odd_rows.one_of("class", tuple(CLASSES)), odd_rows.single("class", (ID,))),
            unit=(ID,),
            needed=False,
            holds="normal, opacity or something else",
        ),
        Table(
            "mapping",
            ("pneumonia-challenge-dataset-mappings_2018.json",),
            ("subset_img_id", "img_id"),
            ("subset_img_id",),
            rules=(odd_rows.shaped("img_id", NIH_FILE, "is no film of the NIH set"),),
            needed=False,
            holds="RSNA's mapping to the films of the NIH set, which names the patients",
        ),
        Table(
            "headers",
            ("*stage_2_train_images_dicom_headers.csv",),
            ("PatientID", *PEOPLE),
            ("PatientID",),
            needed=False,
            holds="sex, age and view of the headers, where the images are no DICOM files",
        ),
    ),
    targets=(
        Target(
            "pneumonia", "a box of suspicious opacity was drawn by the radiologists", "Lung Opacity"
        ),
    ),
    access="registration",
    licence="Competition rules of Kaggle and RSNA; the films are the NIH's",
    url="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
    citation="Shih et al., Augmenting the National Institutes of Health Chest Radiograph Dataset "
    "with Expert Annotations of Possible Pneumonia, Radiology: AI 2019",
    images=26_684,
    layout=(
        "stage_2_train_labels.csv",
        "pneumonia-challenge-dataset-mappings_2018.json of RSNA (if you have it)",
        "stage_2_train_images/0004cfab-14fd-4e49.dcm",
    ),
    facts_from="tables in torchxrayvision 1.5.7; the challenge's page at rsna.org has the mapping",
    splits="None: the test part has no public labels.",
    tells_label=("kind",),
    attributes={
        **cells.SEX,
        **cells.AGE_COLUMNS,
        "kind": "normal, opacity or other: it holds the answer, never a group to report by.",
    },
    confounders=("`kind` tells the label.", "AP films are of patients who cannot stand."),
    known_as=("rsna",),
    overlaps=(
        Overlap("rsna", "google", "both took their films from NIH ChestX-ray14"),
        Overlap("rsna", "chestmnist", "both took their films from NIH ChestX-ray14"),
    ),
)
