"""A gate before any training: leaks, contradictions, shortcuts and classes that are not there.

`audit` looks at the tables, `audit_pictures` at the images once they are unpacked. Every finding
has a code with a section in ``docs/reference/checks.md``. Errors stop a study; each can be waived
by its code with a reason, and the waiver is printed in the report.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.audit.balance import (
    FEW,
    attribute_shift,
    label_gaps,
    missing_classes,
    prevalence_shift,
    same_targets,
    small_groups,
)
from medtransfer.data.audit.duplicates import FLAT, Progress, picture_pairs, row_pairs, same_pixels
from medtransfer.data.audit.findings import CHECKS, Finding, Level, errors_first
from medtransfer.data.audit.pixels import Copies, copied_images, suspicious_images
from medtransfer.data.audit.privacy import burned_in_text, implausible_ages, personal_columns
from medtransfer.data.audit.shortcuts import frame_features, predictive_borders, predictive_columns
from medtransfer.data.audit.tables import (
    DIGEST,
    PLACE,
    conflicting_attributes,
    contradictions,
    files_across_splits,
    groups_across_splits,
    mirrored_sides,
    overlapping_sets,
    patients_across_splits,
    same_names,
)
from medtransfer.data.audit.thumbnails import Sketches
from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import DataConfig
from medtransfer.data.splits import divided_rows
from medtransfer.tables.manifest import SPLITS, Manifest

__all__ = [
    "CHECKS",
    "FEW",
    "Finding",
    "Level",
    "Pictures",
    "audit",
    "audit_ids",
    "audit_pictures",
    "compared_pictures",
    "placed_rows",
]


def audit(
    manifest: Manifest,
    frame: pl.DataFrame,
    facts: pl.DataFrame | None,
    data: DataConfig,
) -> list[Finding]:
    """Look for what would make the study's numbers wrong, in the manifest and the files' digests.

    Args:
        manifest: The images.
        frame: Its rows with their splits, from `assign_splits`.
        facts: Digest of each image, from `scan_images`; None leaves out what needs the files.
        data: Targets, attributes and grouping columns.

    Returns:
        Findings, errors first.
    """
    placed = placed_rows(frame, facts, data)
    findings = [*_of_ids(placed), *contradictions(placed, data)]
    if data.split.group_columns:
        inside = placed.filter(divided_rows(frame, data.split))
        findings += groups_across_splits(inside, data.split.group_columns)
    del placed
    table = CaseTable(frame, data)
    findings += [
        *missing_classes(table, data),
        *label_gaps(manifest.frame, data),
        *conflicting_attributes(frame, data.attributes),
        *mirrored_sides(frame, data),
        *same_targets(table, data),
        *prevalence_shift(table, data),
        *attribute_shift(table, data),
        *small_groups(table, data),
        *predictive_columns(frame, table, data),
        *implausible_ages(manifest.frame),
        *personal_columns(manifest.frame),
        *(burned_in_text(manifest.frame, facts) if facts is not None else []),
    ]
    return errors_first(findings)


def audit_ids(manifest: Manifest, facts: pl.DataFrame | None) -> list[Finding]:
    """What can be said of a manifest in which no target was found.

    Args:
        manifest: The images; its own `split` column is used if it has one.
        facts: Digest of each image; None leaves out what needs the files.

    Returns:
        Findings, errors first.
    """
    place = ["cohort", *(["split"] if "split" in manifest.frame.columns else [])]
    placed = manifest.frame.with_columns(pl.concat_str(place, separator="/").alias(PLACE))
    if facts is not None:
        placed = placed.with_columns(facts["sha256"].alias(DIGEST))
    found = [*_of_ids(placed), *implausible_ages(manifest.frame), *personal_columns(manifest.frame)]
    if facts is not None:
        found += burned_in_text(manifest.frame, facts)
    return errors_first(found)


@dataclass(frozen=True)
class Pictures:
    """Unpacked images and the pairs of them that look the same.

    Attributes:
        manifest: The images.
        facts: From `scan_images`.
        sketches: From `sketch_images`.
        pairs: From `picture_pairs`.
        pixel_limit: Most pixels an image may claim.
        memory: Folder that keeps what was decoded again.
    """

    manifest: Manifest
    facts: pl.DataFrame
    sketches: Sketches
    pairs: pl.DataFrame
    pixel_limit: int
    memory: Path


def compared_pictures(
    manifest: Manifest,
    facts: pl.DataFrame,
    sketches: Sketches,
    pixel_limit: int,
    memory: Path,
    progress: Progress = lambda _done, _total: None,
) -> Pictures:
    """Find the pairs of pictures that look the same, unless they are known already.

    Args:
        manifest: The images.
        facts: From `scan_images`.
        sketches: From `sketch_images`.
        pixel_limit: Most pixels an image may claim.
        memory: Folder of these sketches.
        progress: Called with (done, total).
    """
    pairs = picture_pairs(sketches, memory / "pairs.parquet", progress)
    return Pictures(manifest, facts, sketches, pairs, pixel_limit, memory)


def audit_pictures(
    pictures: Pictures, placed: pl.DataFrame, data: DataConfig | None, side: int | None = None
) -> tuple[list[Finding], pl.DataFrame]:
    """Look for what would make the study's numbers wrong, in the images themselves.

    Args:
        pictures: From `compared_pictures`.
        placed: From `placed_rows`, in the manifest's order.
        data: Targets and training cohorts; None where no target is known.
        side: Of the network's input, if one is known.

    Returns:
        Findings, errors first, and the pairs of rows they speak of.
    """
    facts, sketches = pictures.facts, pictures.sketches
    rows = placed.select(
        "patient_id",
        "case_id",
        index=pl.int_range(pl.len()),
        place=pl.col(PLACE).cast(pl.String),
        sha256=facts["sha256"],
        picture=sketches.looks["pixels"],
    )
    shown = rows.filter(sketches.looks["std"] >= FLAT)
    pairs = row_pairs(shown, pictures.pairs)
    exact = same_pixels(
        pictures.manifest, pairs, pictures.pixel_limit, pictures.memory / "copies.parquet"
    )
    findings, told = copied_images(placed, Copies(pairs, exact), data)
    findings += suspicious_images(placed, facts, sketches.looks, sketches.thumbs, side)
    if data is not None:
        internal = np.asarray(divided_rows(placed, data.split).to_numpy(), dtype=bool)
        features = frame_features(facts, sketches.looks)
        findings += predictive_borders(placed, internal, features, data)
    return errors_first(findings), told


def placed_rows(frame: pl.DataFrame, facts: pl.DataFrame | None, data: DataConfig) -> pl.DataFrame:
    """Rows with where they are used: the split of a training cohort, or another cohort's name."""
    internal = divided_rows(frame, data.split)
    cohorts = frame["cohort"].unique().sort().to_list()
    places = pl.Enum(list(dict.fromkeys([*SPLITS, *cohorts])))
    split, cohort = (pl.col(name).cast(places) for name in ("split", "cohort"))
    placed = frame.with_columns(pl.when(internal).then(split).otherwise(cohort).alias(PLACE))
    return placed if facts is None else placed.with_columns(facts["sha256"].alias(DIGEST))


def _of_ids(placed: pl.DataFrame) -> list[Finding]:
    return [
        *patients_across_splits(placed),
        *(files_across_splits(placed) if DIGEST in placed.columns else []),
        *same_names(placed),
        *overlapping_sets(placed),
    ]
