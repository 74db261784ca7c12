"""Findings of the audit: every check by its code, and the findings themselves."""

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
    "A003": ("error", "The images of one case have contradictory labels"),
    "A004": ("warning", "Images of different patients look the same across splits or cohorts"),
    "A005": ("error", "A value of a grouping column is in more than one split"),
    "A006": ("warning", "The same image file is listed under several patients of one split"),
    "A007": ("warning", "The same image file has contradictory labels"),
    "A008": ("error", "Different files with the same pixels are in more than one split or cohort"),
    "A009": ("warning", "Images of different patients look the same within one split"),
    "A010": ("warning", "Images that look the same have contradictory labels"),
    "A011": ("warning", "A column other than the label predicts a target almost alone"),
    "A012": ("warning", "The borders of the images predict a target"),
    "A013": ("info", "The borders of the images predict the cohort"),
    "A014": ("warning", "The same image name occurs in several splits or cohorts"),
    "A015": ("warning", "Cohorts have the names of public sets that share images"),
    "A016": ("error", "Training mirrors images although left and right matter"),
    "A017": ("error", "A rung was pre-trained on test images"),
    "A018": ("error", "Ids that differ only in spelling are in several splits or cohorts"),
    "A019": ("warning", "Ids may be one patient in several spellings, or rounded numbers"),
    "A020": ("warning", "A patient id may belong to several people"),
    "A021": ("warning", "The brightness of the images predicts the cohort"),
    "A022": ("warning", "The features of a rung and the manifest have different ids"),
    "A023": ("error", "A rung was pre-trained on the public set of a test cohort"),
    "B001": ("error", "The training split contains only one class of a target"),
    "B005": ("error", "A split has no labelled case"),
    "A024": ("error", "A covariate predicts a target nearly alone"),
    "A025": ("info", "Covariates of cases outside training count as missing"),
    "A026": ("warning", "Names of cohorts differ in spelling alone"),
    "B002": ("warning", "A split has few positive or few negative cases of a target"),
    "B003": ("info", "Labels are uncertain or empty; the shares are listed by cohort"),
    "B004": ("warning", "An attribute differs between the images of one case"),
    "B006": ("warning", "Two targets are identical or opposite"),
    "B007": ("info", "The prevalence of a target differs in another cohort"),
    "B008": ("info", "The distribution of an attribute differs in another cohort"),
    "B009": ("info", "A group of an attribute has few cases in a test split or cohort"),
    "B010": ("info", "An age among adults is 0 or less, or over 120"),
    "C001": ("warning", "An image is blank: all or nearly all of its pixels are equal"),
    "C002": ("warning", "An image may be inverted: it is the opposite of its cohort's mean image"),
    "C003": ("info", "An image is more than three times as long as it is wide, or the reverse"),
    "C004": ("info", "An image is much smaller than the network's input"),
    "C005": ("info", "There may be text in the corners of the images"),
    "C006": ("error", "Two decoders give different pixels for a compressed DICOM file"),
    "C007": ("warning", "Images of 16 bits use only a part of their range"),
    "C008": ("warning", "Images without a clear breast are taken whole"),
    "C009": ("warning", "The chest wall lies on the unusual side for the laterality"),
    "P001": ("warning", "A column looks like personal data"),
    "P002": ("warning", "The manifest contains ages over 89"),
    "P003": ("warning", "Ids or paths look like names or dates"),
    "P004": ("warning", "DICOM files may have a name or a date burned into their pixels"),
    "P006": ("info", "Values of an attribute that few patients have are not named"),
    "P007": ("info", "A cohort of few patients is named"),
    "P005": ("error", "Results are reported by what looks like personal data"),
}
"""Every check: its level and its title."""


@dataclass(frozen=True)
class Finding:
    """One result of the audit.

    Attributes:
        code: Key of `CHECKS`.
        sentence: Details with counts; no identifiers.
        rows: Rows of the manifest concerned.
    """

    code: str
    sentence: str
    rows: tuple[int, ...] = ()

    @property
    def level(self) -> Level:
        """``error`` stops a study; ``warning`` and ``info`` are printed."""
        return CHECKS[self.code][0]


def finding_for_rows(code: str, sentence: str, frame: pl.DataFrame) -> Finding:
    """A finding that lists the rows of a frame."""
    return Finding(code, sentence, tuple(frame[ROW].unique().sort().to_list()))


def errors_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by level, then by code."""
    return sorted(findings, key=lambda finding: (LEVELS.index(finding.level), finding.code))


def enumerated(texts: Sequence[str], limit: int = 8) -> str:
    """``a; b; and 3 more``."""
    more = f"; and {len(texts) - limit} more" if len(texts) > limit else ""
    return "; ".join(texts[:limit]) + more
