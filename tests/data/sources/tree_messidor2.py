"""Messidor-2 as published: grades from Kaggle beside the images, two endings, an image that cannot
be graded."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("image_id", "adjudicated_dr_grade", "adjudicated_dme", "adjudicated_gradable")
ROWS = [
    ("20051020_43808_0100_PP.png", "0", "0", "1"),
    ("20051020_43832_0100_PP.png", "2", "1", "1"),
    ("IM000123.jpg", "3", "0", "1"),
    ("IM000124.jpg", "", "", "0"),
    ("IM000125.jpg", "1", "0", "1"),
]


def write(folder: Path) -> None:
    """The table and the photographs."""
    table(folder / "messidor_data.csv", HEADER, ROWS)
    for number, (name, *_) in enumerate(ROWS):
        picture(folder / "IMAGES" / name, number)
