"""DDI as published: a first column without a name, skin tones in pairs, True and False."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = ("", "DDI_ID", "DDI_file", "skin_tone", "malignant", "disease")
ROWS = [
    ("1", "000001.png", "56", "True", "melanoma-in-situ"),
    ("2", "000002.png", "56", "True", "melanoma-in-situ"),
    ("3", "000003.png", "56", "True", "mycosis-fungoides"),
    ("4", "000004.png", "12", "False", "melanocytic-nevi"),
    ("5", "000005.png", "34", "False", "seborrheic-keratosis"),
    ("6", "000006.png", "34", "False", "actinic-keratosis"),
    ("7", "000007.png", "12", "True", "basal-cell-carcinoma"),
]


def write(folder: Path) -> None:
    """The metadata and the images."""
    table(folder / "ddi_metadata.csv", HEADER, [(i, *row) for i, row in enumerate(ROWS)])
    for number, row in enumerate(ROWS):
        picture(folder / "images" / row[1], number)
