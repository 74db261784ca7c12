"""A hospital's own table: other names, findings in one text, a file missing."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("PatID", "File", "Part", "Edema", "Cancer", "Findings", "Sex")
ROWS = [
    ("007", "img/a.png", "Training", "1", "1.0", "Edema|Effusion", "female"),
    ("007", "img/b.png", "Training", "0.0", "0", "", "female"),
    ("08", "img/c.png", "Val", "-1", "0.0", "Mass", "male"),
    ("09", "img/d.png", "Test", "", "1", "Edema | Mass", "other"),
]
OPTIONS = {
    "columns": "patient_id=PatID,path=File,split=Part,sex=Sex,cohort:=north",
    "targets": "Edema,Cancer",
}


def write(folder: Path) -> None:
    """A table and its images."""
    table(folder / "images.csv", HEADER, ROWS)
    for number, row in enumerate(ROWS):
        picture(folder / row[1], number)
