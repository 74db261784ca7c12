"""APTOS 2019 as Kaggle gives it out: grades from 0 to 4, no patients."""

from pathlib import Path

from tests.data.sources.trees import picture, table

ROWS = [("000c1434d8d7", "2"), ("001639a390f0", "4"), ("0024cdab0c1e", "1"), ("002c21358ce6", "0")]


def write(folder: Path) -> None:
    """The table and the photographs."""
    table(folder / "train.csv", ("id_code", "diagnosis"), ROWS)
    for number, (name, _) in enumerate(ROWS):
        picture(folder / "train_images" / f"{name}.png", number)
