"""Kermany's films as Kaggle packs them: a number under two causes in two folders, two series of
healthy children, a film with a further number, the whole once more further down."""

from pathlib import Path

from tests.data.sources.trees import picture

FILMS = {
    "train/NORMAL": ("IM-0115-0001", "NORMAL2-IM-0115-0001", "IM-0523-0001-0002"),
    "train/PNEUMONIA": (
        *("person1_bacteria_1", "person1_bacteria_2", "person100_virus_184"),
        "person447_virus_921_1",
    ),
    "val/NORMAL": ("NORMAL2-IM-1427-0001",),
    "val/PNEUMONIA": ("person1946_bacteria_4874",),
    "test/NORMAL": ("IM-0001-0001",),
    "test/PNEUMONIA": ("person100_bacteria_475", "person1_virus_6"),
}
NUMBERED = {
    "train/NORMAL": ("NORMAL-28501-0001", "NORMAL-32326-0001"),
    "train/PNEUMONIA": ("BACTERIA-7422-0001", "BACTERIA-7422-0002", "VIRUS-64126-0001"),
    "test/NORMAL": ("NORMAL-1049278-0001",),
    "test/PNEUMONIA": ("BACTERIA-1135262-0004", "VIRUS-1056329-0001"),
}
"""The same in the names of version 3."""


def write(folder: Path, films: dict[str, tuple[str, ...]] = FILMS) -> None:
    """All parts, and a copy of one film in a folder of the same name inside."""
    seed = 0
    for place, names in films.items():
        for name in names:
            picture(folder / "chest_xray" / place / f"{name}.jpeg", seed)
            seed += 1
    place, names = next(iter(films.items()))
    picture(folder / "chest_xray" / "chest_xray" / place / f"{names[0]}.jpeg", 0)
