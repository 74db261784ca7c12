"""CDD-CESM as the archive gives it out: a sheet with two images per view, BI-RADS of several
findings in one cell, names with blanks before the ending."""

from pathlib import Path

from tests.data.sources.trees import picture, workbook

HEADER = (
    "Image_name",
    "Patient_ID",
    "Side",
    "Type",
    "Age",
    "Breast density (ACR)",
    "BIRADS",
    "Findings",
    "View",
    "Tags",
    "Machine",
    "Pathology Classification/ Follow up",
)
# patient, side, view, age, BI-RADS, outcome
VIEWS = [
    ("1", "L", "MLO", "54", "4$2", "Malignant"),
    ("1", "L", "CC", "54", "2", "Benign"),
    ("1", "R", "CC", "54", "1", "Normal"),
    ("2", "R", "MLO", "", "3", "Benign"),
    ("2", "L", "CC", "", "5", "Malignant"),
]
FOLDERS = {"DM": "Low energy images of CDD-CESM", "CM": "Subtracted images of CDD-CESM"}
KINDS = {"DM": "DM", "CM": "CESM"}


def write(folder: Path) -> None:
    """The sheet and both kinds of images."""
    rows = [
        (
            f"P{patient}_{side}_{infix}_{view}" + " " * (number == 2),
            *(patient, side, KINDS[infix], age, "_", birads, "", view, "", "1", outcome),
        )
        for number, (patient, side, view, age, birads, outcome) in enumerate(VIEWS)
        for infix in FOLDERS
    ]
    workbook(folder / "Radiology-manual-annotations.xlsx", HEADER, rows)
    for number, (name, *_) in enumerate(rows):
        infix = name.split("_")[2]
        picture(folder / FOLDERS[infix] / f"{name}.jpg", number)
