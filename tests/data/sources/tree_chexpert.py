"""CheXpert as published: paths begin with the archive's name, labels are ``1.0``, lateral rows have
no AP/PA, age 0 is missing, one sex is Unknown, `No Finding` is never 0."""

from pathlib import Path

from tests.data.sources.trees import picture, table, workbook

LABELS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS)
TOP = "CheXpert-v1.0-small"
# path, sex, age, side, view, labels that are not empty
TRAIN = [
    (
        "train/patient00001/study1/view1_frontal.jpg",
        "Female",
        "68",
        "Frontal",
        "AP",
        {"No Finding": "1.0", "Pneumothorax": "0.0"},
    ),
    (
        "train/patient00002/study1/view1_frontal.jpg",
        "Male",
        "0",
        "Frontal",
        "PA",
        {"Edema": "-1.0", "Cardiomegaly": "1.0", "Support Devices": "1.0"},
    ),
    (
        "train/patient00002/study1/view2_lateral.jpg",
        "Male",
        "0",
        "Lateral",
        "",
        {"Edema": "-1.0", "Cardiomegaly": "1.0", "Support Devices": "1.0"},
    ),
    (
        "train/patient00002/study2/view1_frontal.jpg",
        "Male",
        "41",
        "Frontal",
        "AP",
        {"Edema": "1.0", "Pleural Effusion": "1.0"},
    ),
    (
        "train/patient00003/study1/view1_frontal.jpg",
        "Unknown",
        "90",
        "Frontal",
        "LL",
        {"Pleural Other": "1.0", "Fracture": "0.0"},
    ),
    ("train/patient00004/study1/view1_frontal.jpg", "Male", "17", "Frontal", "PA", {}),
    (
        "train/patient00010/study1/view1_frontal.jpg",
        "Female",
        "55",
        "Frontal",
        "PA",
        {"Edema": "0.0", "Pleural Effusion": "0.0", "Cardiomegaly": "0.0"},
    ),
]
VALID = [
    (
        "valid/patient64541/study1/view1_frontal.jpg",
        "Female",
        "73",
        "Frontal",
        "AP",
        {name: "1.0" if name == "Edema" else "0.0" for name in LABELS},
    ),
    (
        "valid/patient64542/study1/view1_frontal.jpg",
        "Male",
        "22",
        "Frontal",
        "PA",
        {name: "1.0" if name == "No Finding" else "0.0" for name in LABELS},
    ),
]
DEMO = [
    ("patient00001", "Female", "68", "White, non-Hispanic", "Non-Hispanic/Non-Latino"),
    ("patient00002", "Male", "40", "Black or African American", "Unknown"),
    ("patient00003", "Male", "90", "Patient Refused", "Hispanic/Latino"),
    ("patient00004", "Male", "17", "Asian", "Non-Hispanic/Non-Latino"),
    ("patient00004", "Male", "18", "White", "Non-Hispanic/Non-Latino"),
    ("patient99999", "Male", "50", "Other", "Not Hispanic"),
]


def write(folder: Path) -> None:
    """The small archive, unpacked."""
    for name, rows in (("train.csv", TRAIN), ("valid.csv", VALID)):
        table(
            folder / name,
            HEADER,
            [
                (f"{TOP}/{p}", *rest, *(labels.get(n, "") for n in LABELS))
                for p, *rest, labels in rows
            ],
        )
        for number, row in enumerate(rows):
            picture(folder / row[0], number)
    head = ("PATIENT", "GENDER", "AGE_AT_CXR", "PRIMARY_RACE", "ETHNICITY")
    workbook(folder / "CHEXPERT DEMO.xlsx", head, DEMO)
