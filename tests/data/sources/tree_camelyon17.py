"""Camelyon17-WILDS as published: an index without a name, patients with leading zeros, patches of
two slides of one patient, five hospitals."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("", "patient", "node", "x_coord", "y_coord", "tumor", "slide", "center", "split")
ROWS = [
    ("0", "004", "4", "3328", "21792", "1", "0", "0", "0"),
    ("1", "004", "4", "3200", "22272", "0", "0", "0", "1"),
    ("2", "004", "2", "3200", "22272", "0", "1", "0", "0"),
    ("3", "020", "1", "896", "512", "1", "10", "1", "0"),
    ("4", "042", "3", "896", "512", "0", "23", "2", "0"),
    ("5", "075", "0", "96", "32", "1", "37", "3", "0"),
    ("6", "096", "0", "64", "32", "0", "47", "4", "1"),
]


def write(folder: Path) -> None:
    """The table and the patches."""
    table(folder / "metadata.csv", HEADER, ROWS)
    for number, (_, patient, node, x, y, *_) in enumerate(ROWS):
        slide = f"patient_{patient}_node_{node}"
        picture(folder / "patches" / slide / f"patch_{slide}_x_{x}_y_{y}.png", number)
