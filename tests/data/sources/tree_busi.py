"""BUSI as its archive unpacks: names with blanks and brackets, outlines beside the images, an
image with two outlines, a stray picture."""

from pathlib import Path

from tests.data.sources.trees import picture

HOME = "Dataset_BUSI_with_GT"
IMAGES = {"benign": (1, 2, 10), "malignant": (1, 2), "normal": (1, 2)}
"""Folder → numbers of its images."""


def write(folder: Path) -> None:
    """All three folders."""
    seed = 0
    for finding, numbers in IMAGES.items():
        for number in numbers:
            name = folder / HOME / finding / f"{finding} ({number}).png"
            picture(name, seed)
            picture(name.with_name(f"{name.stem}_mask.png"), 200)
            seed += 1
    picture(folder / HOME / "benign" / "benign (10)_mask_1.png", 201)
    picture(folder / HOME / "overview.png", 202)
