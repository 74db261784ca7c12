"""CXR-LT 2024 beside films of MIMIC-CXR-JPG: three parts of task 1, radiologists' labels of task 2
without the rare findings, a film without a view."""

from pathlib import Path

from tests.data.sources.trees import picture, table

from medtransfer.data.sources.chest.cxr_lt import READ, SHARED

HEADER = ("dicom_id", "subject_id", "study_id", "ViewPosition", "ViewCodeSequence_CodeMeaning")
# dicom, subject, study, view, part
FILMS = [
    ("02aa804e-a1", "10000032", "50414267", "PA", "train_labeled"),
    ("174413ec-b2", "10000032", "50414267", "LATERAL", "train_labeled"),
    ("2a2277a9-c3", "10000764", "57375967", "LL", "development_labeled_task1"),
    ("e084de3b-d4", "10000898", "50771383", "", "test_labeled_task1"),
    ("68b5c4b1-e5", "10000935", "50578979", "AP", "test_labeled_task1"),
]
FOUND = {
    "50414267": ("Azygos Lobe", "Round(ed) Atelectasis"),
    "57375967": ("Pleural Effusion", "Mass"),
    "50771383": ("Normal",),
}
GOLD = ("68b5c4b1-e5", "Nodule")
"""The film that radiologists read, and what they found."""


def path_of(dicom: str, subject: str, study: str) -> str:
    return f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg"


def write(folder: Path) -> None:
    """The tables, and the films below MIMIC-CXR-JPG's own folders."""
    tables = folder / "cxr-lt-2024"
    for part in dict.fromkeys(film[-1] for film in FILMS):
        rows = [
            (
                *(dicom, subject, f"s{study}", view, "", path_of(dicom, subject, study)),
                *(int(name in FOUND.get(study, ())) for name in SHARED),
            )
            for dicom, subject, study, view, of_part in FILMS
            if of_part == part
        ]
        table(tables / f"{part}.csv", (*HEADER, "fpath", *SHARED), rows)
    gold = [
        (path_of(dicom, subject, study), *(int(name == GOLD[1]) for name in READ))
        for dicom, subject, study, *_ in FILMS
        if dicom == GOLD[0]
    ]
    table(tables / "test_labeled_task2.csv", ("fpath", *READ), gold)
    for number, (dicom, subject, study, *_) in enumerate(FILMS):
        picture(folder / path_of(dicom, subject, study), number)
