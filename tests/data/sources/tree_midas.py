"""MIDAS as released: three photographs of a lesion, a control without pathology, names that differ
from their files by ending and by case, pathologies with and without a blank."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    *("_unnamed_var", "midas_record_id", "midas_file_name", "midas_iscontrol", "midas_distance"),
    *("midas_location", "midas_path", "midas_pathreport", "midas_gender", "midas_age"),
    *("midas_fitzpatrick", "midas_melanoma", "clinical_impression_1", "length__mm_"),
)
# record, name in the table, name on disk, control, distance, pathology, sex, age, skin type
PHOTOGRAPHS = [
    (1, "s-prd-400.jpg", "s-prd-400.jpg", "no", "dscope", "malignant- bcc", "male", 71, 2),
    (1, "s-prd-401.jpeg", "s-prd-401.jpg", "no", "6in", "malignant- bcc", "male", 71, 2),
    (1, "s-prd-402.jpg", "S-PRD-402.JPG", "no", "1ft", "malignant- bcc", "male", 71, 2),
    (2, "s-prd-403.jpg", "s-prd-403.jpg", "yes", "dscope", "", "female", 35, 0),
    (3, "s-prd-404.jpg", "s-prd-404.jpg", "no", "dscope", "malignant-ak", "female", 64, 3),
    (3, "s-prd-405.jpg", "s-prd-405.jpg", "no", "n/a - virtual", "benign-other", "female", 64, 3),
    (4, "s-prd-406.jpg", "s-prd-406.jpg", "no", "6in", "other- melanocytic lesion", "", "", 1),
    (5, "s-prd-407.jpg", "s-prd-407.jpg", "no", "1ft", "benign-melanocytic nevus", "male", 28, 4),
    (5, "s-prd-408.jpg", None, "no", "6in", "benign-melanocytic nevus", "male", 28, 4),
]
TYPES = ("", "i always burns", "ii usually burns, tans minimally", "III", "vi never burns")


def write(folder: Path) -> None:
    """The table and the photographs."""
    rows = [
        (
            *(number, record, name, control, distance, "left cheek", pathology, "in words"),
            *(sex, age, TYPES[skin], "no", "7-malignant-bcc", 4),
        )
        for number, (record, name, _, control, distance, pathology, sex, age, skin) in enumerate(
            PHOTOGRAPHS
        )
    ]
    table(folder / "release_midas.csv", HEADER, rows)
    for number, (_, _, name, *_) in enumerate(PHOTOGRAPHS):
        if name is not None:
            picture(folder / "images" / name, number)
