"""Fitzpatrick17k as published: files named by a hash, -1 for an unknown skin type, images that
could not be fetched, two rows with one picture, a label that was called wrong."""

from hashlib import md5
from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    "md5hash",
    "fitzpatrick_scale",
    "fitzpatrick_centaur",
    "label",
    "nine_partition_label",
    "three_partition_label",
    "qc",
    "url",
    "url_alphanum",
)
# scale, centaur, label, nine parts, three parts, quality
ROWS = [
    ("3", "3", "drug induced pigmentary changes", "inflammatory", "non-neoplastic", ""),
    ("-1", "1", "melanoma", "malignant melanoma", "malignant", ""),
    ("6", "5", "kaposi sarcoma", "malignant dermal", "malignant", ""),
    ("2", "3", "dermatofibroma", "benign dermal", "benign", ""),
    ("5", "3", "actinic keratosis", "malignant epidermal", "malignant", ""),
    ("4", "2", "acne vulgaris", "inflammatory", "non-neoplastic", "1 Diagnostic"),
    ("1", "1", "basal cell carcinoma", "malignant epidermal", "malignant", "3 Wrongly labelled"),
    ("1", "1", "basal cell carcinoma", "malignant epidermal", "malignant", ""),
    ("1", "1", "psoriasis", "inflammatory", "non-neoplastic", ""),
]
DEAD = 8
"""The row whose image is no longer there."""


def name(number: int) -> str:
    return md5(f"image {number}".encode(), usedforsecurity=False).hexdigest()


def write(folder: Path) -> None:
    """The table, and the images that were found."""
    rows = [(name(i), *row, f"https://example.org/{i}.jpg", "") for i, row in enumerate(ROWS)]
    table(folder / "fitzpatrick17k.csv", HEADER, rows)
    for number in range(len(ROWS)):
        if number != DEAD:  # the last two pictures are one
            picture(folder / "images" / f"{name(number)}.jpg", min(number, 6))
