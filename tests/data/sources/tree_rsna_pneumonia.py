"""RSNA pneumonia as published: one row per box, so a positive image has several rows."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("patientId", "x", "y", "width", "height", "Target")
BOXES = [
    ("0004cfab-14fd", "", "", "", "", "0"),
    ("00313ee0-9eaa", "", "", "", "", "0"),
    ("00436515-870c", "264.0", "152.0", "213.0", "379.0", "1"),
    ("00436515-870c", "562.0", "152.0", "256.0", "453.0", "1"),
    ("00704310-78a8", "323.0", "577.0", "160.0", "104.0", "1"),
]
KINDS = [
    ("0004cfab-14fd", "No Lung Opacity / Not Normal"),
    ("00313ee0-9eaa", "Normal"),
    ("00436515-870c", "Lung Opacity"),
    ("00436515-870c", "Lung Opacity"),
    ("00704310-78a8", "Lung Opacity"),
]


def write(folder: Path) -> None:
    """The archive of the second stage."""
    table(folder / "stage_2_train_labels.csv", HEADER, BOXES)
    table(folder / "stage_2_detailed_class_info.csv", ("patientId", "class"), KINDS)
    for number, name in enumerate(sorted({row[0] for row in BOXES})):
        picture(folder / "stage_2_train_images" / f"{name}.dcm", number)
