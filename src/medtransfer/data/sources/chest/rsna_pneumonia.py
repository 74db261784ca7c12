"""RSNA Pneumonia Detection Challenge: boxes of lung opacity on films of the NIH set."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Join,
    Overlap,
    Source,
    Table,
    Target,
)

ID = "patientId"
BOX = (ID, "x", "y", "width", "height", "Target")
CLASSES = {
    "Lung Opacity": "opacity",
    "Normal": "normal",
    "No Lung Opacity / Not Normal": "other",
}
NOTE = (
    "The ids of the challenge are of images, not of patients: each image counts as a patient of "
    "its own. Patients with several films exist; the official mapping to the NIH set names them."
)


def read(download: Download) -> ImportedSource:
    """One row per image: any box is a positive."""
    boxes = download.tables["labels"]
    rows = boxes.group_by("patientId").agg(pneumonia=pl.col("Target").max()).sort("patientId")
    joins: list[Join] = []
    if (details := download.tables.get("classes")) is not None:
        single = details.select("patientId", cells.renamed("class", CLASSES, "kind")).unique()
        rows, join = join_tables(rows, single, "patientId", ("images", "images of the class info"))
        joins.append(join)
    rows = rows.with_columns(
        pl.col("patientId").alias(KEY),
        image_id=pl.col("patientId"),
        case_id=pl.col("patientId"),
        patient_id=pl.col("patientId"),
    )
    rows, image_join = locate(rows, download, r"([^/]+)\.(?:dcm|png|jpg)$", "images")
    return ImportedSource(rows, (image_join, *joins), (), (*coverage(image_join), NOTE))


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
    layout=("stage_2_train_labels.csv", "stage_2_train_images/0004cfab-14fd-4e49.dcm"),
    splits="None: the test part has no public labels.",
    attributes={
        "kind": "normal, opacity or other: it holds the answer, never a group to report by."
    },
    confounders=("`kind` tells the label.", "AP films are of patients who cannot stand."),
    known_as=("rsna",),
    overlaps=(
        Overlap("rsna", "google", "both took their films from NIH ChestX-ray14"),
        Overlap("rsna", "chestmnist", "both took their films from NIH ChestX-ray14"),
    ),
)
