"""An image folder with split folders, a loose file and what a Mac leaves behind."""

from pathlib import Path

from tests.data.sources.trees import picture

FILES = (
    "train/NORMAL/p1_a.png",
    "train/NORMAL/p1_b.png",
    "train/PNEUMONIA/p2_a.png",
    "train/PNEUMONIA/p3_a.jpg",
    "val/NORMAL/p4_a.png",
    "val/PNEUMONIA/p5_a.png",
    "test/NORMAL/p6_a.png",
    "test/PNEUMONIA/p6_b.png",
)


def write(folder: Path) -> None:
    """ImageFolder's layout."""
    for number, name in enumerate(FILES):
        picture(folder / name, number)
    picture(folder / "train" / "NORMAL" / "._p1_a.png")
    picture(folder / "__MACOSX" / "train" / "NORMAL" / "p9_a.png")
