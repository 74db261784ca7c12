"""EyePACS as Kaggle gives it out: both eyes of a patient, one of them without its file."""

from pathlib import Path

from tests.data.sources.trees import picture, table

ROWS = [
    ("10_left", "0"),
    ("10_right", "1"),
    ("13_left", "2"),
    ("13_right", "4"),
    ("15_left", "3"),
    ("15_right", ""),
]


def write(folder: Path) -> None:
    """The table and the photographs."""
    table(folder / "trainLabels.csv", ("image", "level"), ROWS)
    for number, (name, _) in enumerate(ROWS):
        picture(folder / "train" / f"{name}.jpeg", number)
