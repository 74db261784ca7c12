"""Audit before any training: leaks, contradictions, shortcuts and missing classes.

`audit` checks the tables, `audit_images` the decoded images. Every finding has a code with a
section in ``docs/reference/checks.md``. Errors stop a study; each can be waived by its code with a
reason, and the waiver is printed in the report.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.audit.balance import (
    MIN_CASES,
    attribute_shift,
    label_gaps,
    missing_classes,
    prevalence_shift,
    same_targets,
    small_groups,
)
from medtransfer.data.audit.duplicates import FLAT, Progress, row_pairs, same_pixels, similar_images
from medtransfer.data.audit.findings import CHECKS, Finding, Level, errors_first
from medtransfer.data.audit.id_spellings import cohort_spellings, id_spellings, shared_ids
from medtransfer.data.audit.pixels import (
    ImageCopies,
    copied_images,
    suspicious_images,
    unused_range,
)
from medtransfer.data.audit.privacy import (
    burned_in_text,
    implausible_ages,
    personal_columns,
    rare_values,
    small_cohorts,
)
from medtransfer.data.audit.shortcuts import (
    border_features,
    predictive_borders,
    predictive_brightness,
    predictive_columns,
)
from medtransfer.data.audit.tables import (
    DIGEST,
    USAGE,
    conflicting_attributes,
    contradictions,
    files_across_splits,
    groups_across_splits,
    mirrored_sides,
    overlapping_sets,
    patients_across_splits,
    same_names,
)
from medtransfer.data.audit.thumbnails import ImageStats
from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import DataConfig
from medtransfer.data.splits import divided_rows
from medtransfer.tables.manifest import SPLITS, Manifest
from medtransfer.tables.values.ages import with_age_groups
from medtransfer.tables.values.personal import MIN_BEHIND

__all__ = [
    "CHECKS",
    "MIN_CASES",
    "ComparedImages",
    "Finding",
    "Level",
    "add_usage",
    "audit",
    "audit_ids",
    "audit_images",
    "compare_images",
]


def audit(
    manifest: Manifest,
    frame: pl.DataFrame,
    facts: pl.DataFrame | None,
    data: DataConfig,
    least: int = MIN_BEHIND,
) -> list[Finding]:
    """Check the manifest and the digests of its files for faults that make results wrong.

    Args:
        manifest: The images.
        frame: Its rows with their splits, from `assign_splits`.
        facts: Digest of each image, from `scan_images`; None skips checks that need the files.
        data: Targets, attributes and grouping columns.
        least: Patients from which a value of an attribute is named.

    Returns:
        Findings, errors first.
    """
    rows = add_usage(frame, facts, data)
    findings = [*_of_ids(rows), *contradictions(rows, data)]
    if data.split.group_columns:
        internal = rows.filter(divided_rows(frame, data.split))
        findings += groups_across_splits(internal, data.split.group_columns)
    del rows
    grouped, _ = with_age_groups(frame, data.attributes)
    table = CaseTable(grouped, data)
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
        *shared_ids(manifest.frame),
        *implausible_ages(manifest.frame),
        *personal_columns(manifest.frame, data),
        *rare_values(manifest.frame, data, least),
        *small_cohorts(manifest.frame, least),
        *(burned_in_text(manifest.frame, facts) if facts is not None else []),
    ]
    return errors_first(findings)


def audit_ids(manifest: Manifest, facts: pl.DataFrame | None) -> list[Finding]:
    """Check a manifest whose targets are not known.

    Args:
        manifest: The images; its own `split` column is used if it has one.
        facts: Digest of each image; None skips checks that need the files.

    Returns:
        Findings, errors first.
    """
    columns = ["cohort", *(["split"] if "split" in manifest.frame.columns else [])]
    rows = manifest.frame.with_columns(pl.concat_str(columns, separator="/").alias(USAGE))
    if facts is not None:
        rows = rows.with_columns(facts["sha256"].alias(DIGEST))
    findings = [
        *_of_ids(rows),
        *shared_ids(manifest.frame),
        *implausible_ages(manifest.frame),
        *personal_columns(manifest.frame),
    ]
    if facts is not None:
        findings += burned_in_text(manifest.frame, facts)
    return errors_first(findings)


@dataclass(frozen=True)
class ComparedImages:
    """Decoded images and the pairs of them that look the same.

    Attributes:
        manifest: The images.
        facts: From `scan_images`.
        stats: From `image_stats`.
        pairs: From `similar_images`.
        pixel_limit: Most pixels an image may claim.
        folder: Folder that keeps digests of images that were decoded again.
    """

    manifest: Manifest
    facts: pl.DataFrame
    stats: ImageStats
    pairs: pl.DataFrame
    pixel_limit: int
    folder: Path


def compare_images(
    manifest: Manifest,
    facts: pl.DataFrame,
    stats: ImageStats,
    pixel_limit: int,
    folder: Path,
    progress: Progress = lambda _done, _total: None,
) -> ComparedImages:
    """Find the pairs of images that look the same, unless they are kept already.

    Args:
        manifest: The images.
        facts: From `scan_images`.
        stats: From `image_stats`.
        pixel_limit: Most pixels an image may claim.
        folder: Folder of these statistics.
        progress: Called with (done, total).
    """
    pairs = similar_images(stats, folder / "pairs.parquet", progress)
    return ComparedImages(
        manifest, facts, stats, pairs=pairs, pixel_limit=pixel_limit, folder=folder
    )


def audit_images(
    images: ComparedImages, placed: pl.DataFrame, data: DataConfig | None, side: int | None = None
) -> tuple[list[Finding], pl.DataFrame]:
    """Check the decoded images for faults that make results wrong.

    Args:
        images: From `compare_images`.
        placed: From `add_usage`, in the manifest's order.
        data: Targets and training cohorts; None if no target is known.
        side: Of the network's input, if one is known.

    Returns:
        Findings, errors first, and the pairs of rows they concern.
    """
    facts, stats = images.facts, images.stats
    rows = placed.select(
        "patient_id",
        "case_id",
        index=pl.int_range(pl.len()),
        usage=pl.col(USAGE).cast(pl.String),
        sha256=facts["sha256"],
        pixels=stats.features["pixels"],
    )
    not_blank = rows.filter(stats.features["std"] >= FLAT)
    pairs = row_pairs(not_blank, images.pairs)
    exact = same_pixels(
        images.manifest, pairs, images.pixel_limit, images.folder / "copies.parquet"
    )
    findings, pair_rows = copied_images(placed, ImageCopies(pairs, exact), data)
    findings += suspicious_images(placed, facts, stats.features, stats.thumbnails, side)
    findings += unused_range(images.manifest, facts, stats.features, images.pixel_limit)
    findings += predictive_brightness(placed, stats.thumbnails)
    if data is not None:
        internal = np.asarray(divided_rows(placed, data.split).to_numpy(), dtype=bool)
        borders = border_features(facts, stats.features)
        findings += predictive_borders(placed, internal, borders, data)
    return errors_first(findings), pair_rows


def add_usage(frame: pl.DataFrame, facts: pl.DataFrame | None, data: DataConfig) -> pl.DataFrame:
    """Add the usage of each row: its split in a training cohort, or the name of another cohort."""
    internal = divided_rows(frame, data.split)
    cohorts = frame["cohort"].unique().sort().to_list()
    usages = pl.Enum(list(dict.fromkeys([*SPLITS, *cohorts])))
    split, cohort = (pl.col(name).cast(usages) for name in ("split", "cohort"))
    with_usage = frame.with_columns(pl.when(internal).then(split).otherwise(cohort).alias(USAGE))
    return with_usage if facts is None else with_usage.with_columns(facts["sha256"].alias(DIGEST))


def _of_ids(placed: pl.DataFrame) -> list[Finding]:
    return [
        *patients_across_splits(placed),
        *id_spellings(placed),
        *cohort_spellings(placed),
        *(files_across_splits(placed) if DIGEST in placed.columns else []),
        *same_names(placed),
        *overlapping_sets(placed),
    ]
