"""BRSET as PhysioNet gives it out: sexes and eyes as figures, two photographs of one eye, an age
with a comma, an age that is none."""

from pathlib import Path

from tests.data.sources.trees import picture, table

from medtransfer.data.sources.retina.brset import DISEASES

HEADER = (
    "image_id",
    "patient_id",
    "camera",
    "patient_age",
    "comorbidities",
    "patient_sex",
    "exam_eye",
    "diabetes",
    "DR_SDRG",
    "DR_ICDR",
    *DISEASES,
    "other",
    "quality",
)
# image, patient, camera, age, sex, eye, grade, diseases
PHOTOS = [
    ("img00001", "1", "Canon CR", "48", "1", "1", "0", ("increased_cup_disc",)),
    ("img00002", "1", "Canon CR", "48", "1", "2", "2", ("diabetic_retinopathy", "macular_edema")),
    ("img00003", "2", "Canon CR", "71,5", "2", "1", "0", ("drusen", "amd")),
    ("img00004", "2", "Canon CR", "71,5", "2", "1", "0", ("drusen",)),
    ("img00005", "3", "NIKON NF5050", "6O", "2", "2", "4", ("diabetic_retinopathy",)),
    ("img00006", "4", "NIKON NF5050", "", "", "", "1", ("diabetic_retinopathy",)),
]


def write(folder: Path) -> None:
    """The table and the photographs."""
    rows = [
        (
            *(image, patient, camera, age, "", sex, eye, "yes", grade, grade),
            *(str(int(name in found)) for name in DISEASES),
            *("0", "Adequate"),
        )
        for image, patient, camera, age, sex, eye, grade, found in PHOTOS
    ]
    table(folder / "labels.csv", HEADER, rows)
    for number, (image, *_) in enumerate(PHOTOS):
        picture(folder / "fundus_photos" / f"{image}.jpg", number)
