"""PadChest as published: findings as a Python list in a text, lists that are missing, say that
a film was not judged, compare it with another or contradict themselves, images in numbered folders,
an empty file, a study of two patients."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "",
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "ViewPosition_DICOM",
    "Projection",
    "MethodProjection",
    "Pediatric",
    "ReportID",
    "Report",
    "MethodLabel",
    "Labels",
    "Localizations",
)
# image, folder, date, study, patient, birth, sex, projection, method, labels
ROWS = [
    (
        "2168_01.png",
        "0",
        "20140915",
        "20140915S1",
        "8468",
        "1962.0",
        "F",
        "PA",
        "RNN_model",
        "['pulmonary fibrosis', 'chronic changes', ' kyphosis']",
    ),
    (
        "2168_02.png",
        "0",
        "20140915",
        "20140915S1",
        "8468",
        "1962.0",
        "F",
        "L",
        "RNN_model",
        "['pulmonary fibrosis', 'chronic changes', ' kyphosis']",
    ),
    (
        "2168_03.png",
        "1",
        "20140824",
        "20140824S2",
        "8823",
        "2010.0",
        "M",
        "AP_horizontal",
        "Physician",
        "['normal']",
    ),
    ("2168_04.png", "1", "20140824", "20140824S3", "8900", "1950.0", "M", "PA", "Physician", ""),
    (
        "2168_05.png",
        "2",
        "20120101",
        "20120101S4",
        "8901",
        "1930.0",
        "M",
        "PA",
        "Physician",
        "['exclude']",
    ),
    (
        "2168_06.png",
        "2",
        "20120102",
        "20120102S5",
        "8902",
        "1940.0",
        "O",
        "EXCLUDE",
        "Physician",
        "['pleural effusion', 'air bronchogram', \"Nodule \", 'unchanged']",
    ),
    (
        "2168_07.png",
        "2",
        "20120103",
        "20120103S6",
        "8903",
        "1945.0",
        "M",
        "PA",
        "Physician",
        "['pseudonodule', '']",
    ),
    (
        "2168_08.png",
        "3",
        "20120104",
        "20120104S7",
        "8904",
        "1945.0",
        "F",
        "PA",
        "RNN_model",
        "['unchanged', '']",
    ),
    (
        "2168_09.png",
        "3",
        "20120105",
        "20120105S8",
        "8905",
        "1945.0",
        "F",
        "UNK",
        "RNN_model",
        "['normal', 'cardiomegaly']",
    ),
    # one study, two patients
    (
        "2168_10.png",
        "3",
        "20120106",
        "20120106S9",
        "8906",
        "1945.0",
        "F",
        "PA",
        "RNN_model",
        "['unchanged', 'normal']",
    ),
    (
        "2168_11.png",
        "3",
        "20120106",
        "20120106S9",
        "8907",
        "1945.0",
        "F",
        "L",
        "RNN_model",
        "['unchanged', 'normal']",
    ),
]


def write(folder: Path) -> None:
    """The table and the numbered folders."""
    rows = [
        (
            str(n),
            image,
            place,
            date,
            study,
            patient,
            born,
            sex,
            "",
            view,
            "Manual DICOM",
            "No",
            "1",
            'sin cambios, "ya" visto',
            method,
            labels,
            "",
        )
        for n, (image, place, date, study, patient, born, sex, view, method, labels) in enumerate(
            ROWS
        )
    ]
    table(folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz", HEADER, rows)
    for number, row in enumerate(ROWS):
        picture(folder / row[1] / row[0], number)
