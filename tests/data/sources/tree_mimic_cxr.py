"""MIMIC-CXR-JPG as published: gzip tables, labels per study, a study without labels, races that
disagree between admissions, `validate` for the tuning part."""

from pathlib import Path

from tests.data.sources.tree_chexpert import LABELS
from tests.data.sources.trees import picture, table

METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
# dicom, subject, study, view, date, split
IMAGES = [
    ("02aa804e-a1", "10000032", "50414267", "PA", "21800506", "train"),
    ("174413ec-b2", "10000032", "50414267", "LATERAL", "21800506", "train"),
    ("2a2277a9-c3", "10000032", "53189527", "AP", "21840626", "train"),
    ("e084de3b-d4", "10000764", "57375967", "LL", "21321015", "validate"),
    ("68b5c4b1-e5", "10000898", "50771383", "PA", "21880320", "test"),
    ("99999999-f6", "10000935", "50578979", "", "21830629", "test"),
]
LABELLED = {
    "50414267": {"No Finding": "1.0"},
    "53189527": {"Edema": "-1.0", "Pleural Effusion": "1.0"},
    "57375967": {"Consolidation": "1.0", "Pneumonia": "0.0"},
    "50771383": {"No Finding": "1.0", "Support Devices": "1.0"},
    "59999999": {"Edema": "1.0"},
}
READ = {
    "50771383": {"No Finding": "0.0", "Lung Opacity": "1.0", "Support Devices": "1.0"},
    "50578979": {"No Finding": "-1.0", "Edema": "0.0"},
    "58888888": {"Fracture": "1.0"},
}
"""What the radiologist found in test reports, one of a study that is not there."""


def write(folder: Path) -> None:
    """Tables in gzip, images in folders by patient and study."""
    start = "mimic-cxr-2.0.0"
    table(
        folder / f"{start}-metadata.csv.gz",
        METADATA,
        [
            (d, p, s, "CHEST", v, "8", "8", date, "0.1", "CHEST", "", "Erect")
            for d, p, s, v, date, _ in IMAGES
        ],
    )
    owner = {study: subject for _, subject, study, *_ in IMAGES}
    rows = [
        (owner.get(study, "19999999"), study, *(labels.get(name, "") for name in LABELS))
        for study, labels in LABELLED.items()
    ]
    table(folder / f"{start}-chexpert.csv.gz", ("subject_id", "study_id", *LABELS), rows)
    table(folder / f"{start}-negbio.csv.gz", ("subject_id", "study_id", *LABELS), rows[:3])
    table(
        folder / "mimic-cxr-2.1.0-test-set-labeled.csv",
        ("study_id", *(name.replace("Lung Opacity", "Airspace Opacity") for name in LABELS)),
        [(study, *(found.get(name, "") for name in LABELS)) for study, found in READ.items()],
    )
    table(
        folder / f"{start}-split.csv.gz",
        ("dicom_id", "study_id", "subject_id", "split"),
        [(d, s, p, split) for d, p, s, _, _, split in IMAGES],
    )
    table(
        folder / "patients.csv.gz",
        ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
        [
            ("10000032", "F", "52", "2180", "2014 - 2016", ""),
            ("10000764", "M", "86", "2132", "2014 - 2016", ""),
            ("10000898", "F", "79", "2188", "2014 - 2016", ""),
        ],
    )
    table(
        folder / "admissions.csv.gz",
        ("subject_id", "hadm_id", "race"),
        [
            ("10000032", "1", "WHITE"),
            ("10000032", "2", "WHITE - RUSSIAN"),
            ("10000764", "3", "WHITE"),
            ("10000764", "4", "BLACK/AFRICAN AMERICAN"),
            ("10000898", "5", "UNKNOWN"),
            ("10000898", "6", "ASIAN"),
        ],
    )
    for number, (dicom, subject, study, *_) in enumerate(IMAGES):
        picture(
            folder / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}" / f"{dicom}.jpg",
            number,
        )
