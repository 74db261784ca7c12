"""BRAX as PhysioNet gives it out: paths of two formats, ages in steps with an open last group,
films without a view, a strip that is no film."""

from pathlib import Path

from tests.data.sources.tree_chexpert import LABELS
from tests.data.sources.trees import picture, table

HEADER = (
    "DicomPath",
    "PngPath",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "AccessionNumber",
    "StudyDate",
    *LABELS,
    "ViewPosition",
    "Rows",
    "Columns",
    "Manufacturer",
)
# patient, study, image, sex, age, view, rows, columns, maker
FILMS = [
    ("0a1f", "1001", "11", "F", "60", "PA", "2022", "2022", "Maker A"),
    ("0a1f", "1001", "12", "F", "60", "L", "2430", "1994", "Maker A"),
    ("0a1f", "1002", "13", "F", "65", "", "2022", "2022", "Maker B"),
    ("0b2e", "1003", "14", "M", "85 or more", "AP", "3480", "4240", "Maker B"),
    ("0c3d", "1004", "15", "", "", "RL", "2430", "1994", "Maker B"),
    ("0c3d", "1004", "16", "", "", "AP", "57", "2430", "Maker B"),
]
FOUND = {
    "1001": {"No Finding": "1.0"},
    "1002": {"Edema": "-1.0", "Pleural Effusion": "1.0", "Cardiomegaly": "0.0"},
    "1003": {"Pneumonia": "1.0", "Lung Opacity": "1.0"},
    "1004": {"Support Devices": "1.0"},
}


def path_of(patient: str, study: str, image: str, series: str = "9.1") -> str:
    """The tail that both formats share."""
    return f"id_{patient}/Study_{study}.5/Series_{study}.{series}/image-{image}"


def write(folder: Path) -> None:
    """The table, and the films as PNG."""
    rows = [
        (
            f"Anonymized_DICOMs/{path_of(patient, study, image)}.dcm",
            f"images/{path_of(patient, study, image)}.png",
            f"id_{patient}",
            sex,
            age,
            study,
            "20120101",
            *(FOUND[study].get(name, "") for name in LABELS),
            view,
            height,
            width,
            maker,
        )
        for patient, study, image, sex, age, view, height, width, maker in FILMS
    ]
    table(folder / "master_spreadsheet_update.csv", HEADER, rows)
    for number, (patient, study, image, *_) in enumerate(FILMS):
        picture(folder / "images" / f"{path_of(patient, study, image)}.png", number)
