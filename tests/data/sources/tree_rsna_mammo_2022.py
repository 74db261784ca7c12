"""RSNA 2022: several images a breast, labels of the breast, a site without BI-RADS and density."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    "cancer",
    "biopsy",
    "invasive",
    "BIRADS",
    "implant",
    "density",
    "machine_id",
    "difficult_negative_case",
)
ROWS = [
    ("2", "10006", "462822612", "L", "CC", "61.0", "0", "0", "0", "", "0", "", "29", "False"),
    ("2", "10006", "1459541791", "L", "MLO", "61.0", "0", "0", "0", "", "0", "", "29", "False"),
    ("2", "10006", "1864590858", "R", "MLO", "61.0", "1", "1", "1", "", "0", "", "29", "False"),
    ("2", "10006", "1874946579", "R", "CC", "61.0", "1", "1", "1", "", "0", "", "29", "False"),
    ("1", "10011", "220375232", "L", "CC", "55.0", "0", "0", "0", "0.0", "1", "C", "21", "True"),
    ("1", "10011", "541722628", "R", "AT", "", "0", "0", "0", "1.0", "1", "B", "49", "False"),
]


def write(folder: Path) -> None:
    """The training part of the challenge."""
    table(folder / "train.csv", HEADER, ROWS)
    table(folder / "test.csv", (*HEADER[:6], "prediction_id"), [])
    for number, row in enumerate(ROWS):
        picture(folder / "train_images" / row[1] / f"{row[2]}.dcm", number)
