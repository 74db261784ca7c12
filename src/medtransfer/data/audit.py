"""A gate before any training: leaks, contradictions and classes that are not there.

Every finding has a code with a section in ``docs/reference/checks.md``. Errors stop a study; each
can be waived by its code with a reason, and the waiver is printed in the report.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from medtransfer.data.config import DataConfig
from medtransfer.data.labels import case_labels, label_columns, raw_labels, targets_of
from medtransfer.data.splits import internal_rows
from medtransfer.errors import plural
from medtransfer.tables.manifest import SPLITS, Manifest
from medtransfer.tables.schema import ROW

Level = Literal["error", "warning", "info"]
PLACE, DIGEST = "_place", "_sha256"
"""Columns that the audit adds; no manifest column is likely to be called so."""
SIDE = re.compile(r"(?<![a-z])(left|right|laterality)(?![a-z])", re.IGNORECASE)
"""A word for a side of the body in the name of a target."""
FEW = 10
"""Fewer positive or negative cases than this in a split make its numbers weak."""

CHECKS: dict[str, tuple[Level, str]] = {
    "A001": ("error", "A patient is in more than one split or cohort"),
    "A002": ("error", "The same image file is in more than one split or cohort"),
    "A003": ("error", "The images of one case carry contradicting labels"),
    "A005": ("error", "A value of a grouping column is in more than one split"),
    "A006": ("warning", "The same image file stands under several patients of one split"),
    "A007": ("warning", "The same image file carries contradicting labels"),
    "A009": ("error", "Images are mirrored in training though left and right matter"),
    "B001": ("error", "The training split holds only one class of a target"),
    "B005": ("error", "A split holds no labelled case"),
    "B002": ("warning", "A split holds few positive or few negative cases of a target"),
    "B003": ("info", "Labels are uncertain or empty, differently between cohorts"),
    "B004": ("warning", "An attribute differs between the images of one case"),
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


def audit(
    manifest: Manifest, frame: pl.DataFrame, facts: pl.DataFrame, data: DataConfig
) -> list[Finding]:
    """Look for what would make the study's numbers wrong.

    Args:
        manifest: The images.
        frame: Its rows with their splits, from `assign_splits`.
        facts: Digest of each image, from `scan_images`.
        data: Targets, attributes and grouping columns.

    Returns:
        Findings, errors first.
    """
    internal = internal_rows(frame, data.split)
    place = pl.when(internal).then(pl.col("split")).otherwise(pl.col("cohort"))
    placed = frame.with_columns(place.alias(PLACE), facts["sha256"].alias(DIGEST))
    findings = [
        *_torn_patients(placed),
        *_same_images(placed),
        *_contradictions(placed, data),
        *_torn_groups(placed.filter(internal), data.split.group_columns),
        *_mirrored_sides(frame, data),
        *_missing_classes(frame, data),
        *_label_gaps(manifest.frame, data),
        *_mixed_attributes(frame, data),
    ]
    return sorted(findings, key=lambda f: (["error", "warning", "info"].index(f.level), f.code))


def _torn_patients(placed: pl.DataFrame) -> list[Finding]:
    findings: list[Finding] = []
    for owner, what in ((PLACE, "split"), ("cohort", "cohort")):
        torn = placed.filter(pl.col(owner).n_unique().over("patient_id") > 1)
        if not torn.is_empty():
            count = plural(torn["patient_id"].n_unique(), "patient")
            findings.append(_finding("A001", f"{count} in more than one {what}", torn))
    return findings[:1]


def _same_images(placed: pl.DataFrame) -> list[Finding]:
    across = placed.filter(pl.col(PLACE).n_unique().over(DIGEST) > 1)
    within = placed.filter(
        (pl.col(PLACE).n_unique().over(DIGEST) == 1)
        & (pl.col("patient_id").n_unique().over(DIGEST) > 1)
    )
    findings: list[Finding] = []
    if not across.is_empty():
        count = plural(across[DIGEST].n_unique(), "image")
        findings.append(_finding("A002", f"{count} in more than one split or cohort", across))
    if not within.is_empty():
        count = plural(within[DIGEST].n_unique(), "image")
        findings.append(_finding("A006", f"{count} under several patients of one split", within))
    return findings


def _contradictions(placed: pl.DataFrame, data: DataConfig) -> list[Finding]:
    findings: list[Finding] = []
    for code, owner, what in (("A003", "case_id", "case"), ("A007", DIGEST, "image")):
        labels = placed.select(ROW, owner).hstack(raw_labels(placed, data))
        for name in label_columns(data):
            torn = labels.filter(pl.col(name).drop_nulls().n_unique().over(owner) > 1)
            if not torn.is_empty():
                count = plural(torn[owner].n_unique(), what)
                findings.append(_finding(code, f"{count} with contradicting '{name}'", torn))
    return findings


def _torn_groups(placed: pl.DataFrame, columns: Sequence[str]) -> list[Finding]:
    findings: list[Finding] = []
    for name in columns:
        known = placed.filter(pl.col(name).is_not_null())
        torn = known.filter(pl.col(PLACE).n_unique().over(name) > 1)
        if not torn.is_empty():
            values = plural(torn[name].n_unique(), "value")
            findings.append(_finding("A005", f"{values} of '{name}' in more than one split", torn))
    return findings


def _missing_classes(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """Positives and negatives of each target in each split and cohort."""
    cases = frame.unique("case_id").sort("case_id")
    targets = targets_of(case_labels(frame, data), data)
    internal = internal_rows(cases, data.split).to_numpy()
    places = {name: internal & (cases["split"] == name).to_numpy() for name in SPLITS}
    for cohort in cases.filter(~internal)["cohort"].unique().sort():
        places[f"cohort {cohort}"] = (cases["cohort"] == cohort).to_numpy() & ~internal
    bare = [name for name in SPLITS if np.isnan(targets[places[name]]).all()]
    if bare:
        return [Finding("B005", ", ".join(bare))]
    empty: list[str] = []
    few: list[str] = []
    for column, name in enumerate(data.names):
        for place, rows in places.items():
            known = targets[rows, column]
            positive, negative = int((known > 0.5).sum()), int((known <= 0.5).sum())
            text = f"{name} in {place}: {positive} positive, {negative} negative"
            if place == "train" and min(positive, negative) == 0:
                empty.append(text)
            elif min(positive, negative) < FEW:
                few.append(text)
    findings = [Finding("B001", _enumerated(empty))] if empty else []
    return findings + ([Finding("B002", _enumerated(few))] if few else [])


def _mirrored_sides(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """Flips left to right where a side is named by a column, a target or a class."""
    if data.image.flip not in ("horizontal", "both"):
        return []
    said: list[str] = []
    if "laterality" in frame.columns and (count := frame["laterality"].count()):
        said.append(f"'laterality' is known of {plural(count, 'image')}")
    columns = [*data.names, *label_columns(data)]
    sided = [name for name in dict.fromkeys(columns) if SIDE.search(name)]
    said += [f"target '{name}' names a side" for name in sided]
    return [Finding("A009", f"flip: {data.image.flip}, and {_enumerated(said)}")] if said else []


def _label_gaps(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    labels = frame.select("cohort").hstack(raw_labels(frame, data))
    findings: list[Finding] = []
    for name in label_columns(data):
        for mark, word in (("-1", "uncertain"), (None, "empty")):
            hit = pl.col(name).is_null() if mark is None else pl.col(name).eq_missing(mark)
            shares = labels.group_by("cohort").agg(hit.mean().alias("share")).sort("cohort")
            if shares["share"].max():
                text = ", ".join(f"{share:.0%} of {cohort}" for cohort, share in shares.iter_rows())
                findings.append(Finding("B003", f"'{name}' is {word} in {text}"))
    return findings


def _mixed_attributes(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    findings: list[Finding] = []
    for name in data.attributes:
        mixed = frame.filter(pl.col(name).drop_nulls().n_unique().over("case_id") > 1)
        if not mixed.is_empty():
            cases = plural(mixed["case_id"].n_unique(), "case")
            sentence = f"{cases} with several values of '{name}'; counted in none of its groups"
            findings.append(_finding("B004", sentence, mixed))
    return findings


def _enumerated(texts: Sequence[str], most: int = 8) -> str:
    more = f"; and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more


def _finding(code: str, sentence: str, frame: pl.DataFrame) -> Finding:
    return Finding(code, sentence, tuple(frame[ROW].sort().to_list()))
