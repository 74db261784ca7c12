"""What the audit may find: every check by its code, and one finding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from medtransfer.tables.schema import ROW

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")

CHECKS: dict[str, tuple[Level, str]] = {
    "A001": ("error", "A patient is in more than one split or cohort"),
    "A002": ("error", "The same image file is in more than one split or cohort"),
    "A003": ("error", "The images of one case carry contradicting labels"),
    "A004": ("warning", "Images of different patients look the same across splits or cohorts"),
    "A005": ("error", "A value of a grouping column is in more than one split"),
    "A006": ("warning", "The same image file stands under several patients of one split"),
    "A007": ("warning", "The same image file carries contradicting labels"),
    "A008": ("error", "Different files with the same pixels are in more than one split or cohort"),
    "A009": ("warning", "Images of different patients look the same within one split"),
    "A010": ("warning", "Images that look the same carry contradicting labels"),
    "A011": ("warning", "A column beside the image predicts a target nearly alone"),
    "A012": ("warning", "The frame of the images gives a target away"),
    "A013": ("info", "The frame of the images gives the cohort away"),
    "A014": ("warning", "The same image name stands in several splits or cohorts"),
    "A015": ("warning", "Cohorts that by their names are public sets with images in common"),
    "A016": ("error", "Images are mirrored in training though left and right matter"),
    "A017": ("error", "A rung was pre-trained on images that are tested on"),
    "B001": ("error", "The training split holds only one class of a target"),
    "B005": ("error", "A split holds no labelled case"),
    "B002": ("warning", "A split holds few positive or few negative cases of a target"),
    "B003": ("info", "Labels are uncertain or empty, differently between cohorts"),
    "B004": ("warning", "An attribute differs between the images of one case"),
    "B006": ("warning", "Two targets are the same column, or each other's opposite"),
    "B007": ("info", "A target is more or less frequent in another cohort"),
    "B008": ("info", "An attribute is spread differently in another cohort"),
    "B009": ("info", "A group of an attribute has few cases in a test split or cohort"),
    "B010": ("info", "An age is 0 or less, or over 120, among adults"),
    "C001": ("warning", "An image shows nothing: it is one value all over, or nearly"),
    "C002": ("warning", "An image may be inverted: its frame is bright where the others' is dark"),
    "C003": ("info", "An image is more than three times as long as it is wide, or as wide"),
    "C004": ("info", "An image is much smaller than the network's input"),
    "C005": ("info", "There may be writing in the corners of the images"),
    "C006": ("error", "Two decoders give different pixels for a compressed DICOM file"),
    "P001": ("warning", "A column looks like personal data"),
    "P002": ("warning", "Ages over 89 are in the manifest"),
    "P003": ("warning", "Ids or paths look as if they named a person or a date"),
    "P004": ("warning", "DICOM files may have a name or a date written into their pixels"),
}
"""Every check: its level and what it finds."""


@dataclass(frozen=True)
class Finding:
    """One result of the audit.

    Attributes:
        code: Key of `CHECKS`.
        sentence: What was found, with counts; no identifiers.
        rows: Rows of the manifest concerned.
    """

    code: str
    sentence: str
    rows: tuple[int, ...] = ()

    @property
    def level(self) -> Level:
        """``error`` stops a study; ``warning`` and ``info`` are printed."""
        return CHECKS[self.code][0]


def about_rows(code: str, sentence: str, frame: pl.DataFrame) -> Finding:
    """A finding about the rows of a frame."""
    return Finding(code, sentence, tuple(frame[ROW].unique().sort().to_list()))


def errors_first(findings: Iterable[Finding]) -> list[Finding]:
    """In order of level, then of code."""
    return sorted(findings, key=lambda finding: (LEVELS.index(finding.level), finding.code))


def enumerated(texts: Sequence[str], most: int = 8) -> str:
    """``a; b; and 3 more``."""
    more = f"; and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
