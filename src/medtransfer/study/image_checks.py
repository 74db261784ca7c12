"""Audit of the images of a study or a manifest, once they are unpacked.

The images are those of the caches that the runs read anyhow: training images at the size of the
test, as the runs read them to recognise out-of-distribution inputs.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.audit.findings import errors_first
from medtransfer.data.audit.hashing.perceptual_hash import TURNS
from medtransfer.data.audit.pixels import disagreeing_decoders, unclear_regions
from medtransfer.data.audit.run import (
    ComparedImages,
    Finding,
    add_usage,
    audit,
    audit_ids,
    audit_images,
    compare_images,
)
from medtransfer.data.audit.tables import USAGE
from medtransfer.data.audit.thumbnails import CacheSource, image_stats, stats_folder
from medtransfer.data.images.cache import found_regions
from medtransfer.data.images.pixel_recipe import PixelRecipe
from medtransfer.data.images.region import Region
from medtransfer.data.images.scan import Progress, scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.models.rungs.start import control_of
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import CacheRequest, by_size, merge_requests
from medtransfer.sizes.image_size import height_width, size_words
from medtransfer.study.config import Study
from medtransfer.study.drafting.draft import Draft, drafted_settings
from medtransfer.study.plan import PlannedRun, StudyData, splits_of
from medtransfer.study.template import NoTargetError, draft_of
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.values.value_map import ValueMap

SIDE = 128
"""Side of the images of a manifest that is checked without a study, in pixels."""
PIXEL_LIMIT = 100_000_000


def audit_study_images(
    study: Study,
    folder: StudyFolder,
    data: StudyData,
    planned: Sequence[PlannedRun],
    on_event: OnEvent = ignore_progress,
) -> StudyData:
    """Audit the images of a study, made small by its caches.

    Args:
        study: Names targets and splits.
        folder: Holds the caches, and sketches of the images beside them.
        data: From `read_data`.
        planned: Its runs; the smallest input decides at which size images are looked at.
        on_event: Called with every progress event.

    Returns:
        The data with the findings of both halves, errors first, and the pairs of rows.

    Raises:
        ImageError: Images are damaged; all of them are listed by row.
    """
    planned = [run for run in planned if run.needs and control_of(run.cell.rung) is None]
    if not planned:
        return data
    run = min(planned, key=lambda r: by_size(r.needs[1].recipe))
    _, others, seen = run.needs
    needs = [need for need in (seen, others) if len(need.indices)]
    limit = study.data.pixel_limit
    images = _compared(data.manifest, data.facts, needs, folder.cache, limit, on_event=on_event)
    side = max(max(height_width(r.needs[1].recipe.size)) for r in planned)
    findings = {(f.code, f.sentence): f for f in data.findings}
    for finding in disagreeing_decoders(data.manifest, data.facts, limit):
        findings[finding.code, finding.sentence] = finding
    for framed in _framed(planned):
        for finding in unclear_regions(data.manifest, _found(framed, data, folder.cache)):
            findings[finding.code, finding.sentence] = finding
    tables: list[pl.DataFrame] = []
    for part in splits_of(study, data.manifest):
        placed = add_usage(assign_splits(data.manifest, part), data.facts, part)
        image_findings, pairs = audit_images(images, placed, part, side)
        findings |= {(f.code, f.sentence): f for f in image_findings}
        tables.append(pairs)
    pairs = pl.concat(tables).unique(maintain_order=True)
    return replace(data, findings=tuple(errors_first(findings.values())), pairs=pairs)


def _framed(planned: Sequence[PlannedRun]) -> list[PlannedRun]:
    """A run of each region that runs cut out of their images, the one with the fewest pixels."""
    runs: dict[Region, PlannedRun] = {}
    for run in sorted(planned, key=lambda r: by_size(r.needs[1].recipe)):
        framing = run.needs[1].recipe.framing
        if not framing.is_whole:
            runs.setdefault(framing.region, run)
    return list(runs.values())


def _found(run: PlannedRun, data: StudyData, parent: Path) -> pl.DataFrame:
    """Regions found in the images of a run, as they are tested: `image_id` and `found`."""
    _, others, seen = run.needs
    caches = [
        need.make(data.manifest, data.facts, parent)
        for need in merge_requests([seen, others])
        if len(need.indices)
    ]
    return pl.concat([found_regions(images) for images in caches])


def audit_manifest(
    path: Path,
    folder: StudyFolder,
    on_event: OnEvent = ignore_progress,
    image_root: Path | None = None,
    values: ValueMap | None = None,
) -> tuple[StudyData, Draft | None]:
    """Audit a manifest without a study: ids, files, images, and labels as far as they are guessed.

    Without a `split` column the split is drawn as a study would by default.

    Args:
        path: ``.csv`` or ``.parquet``.
        folder: For what is remembered of the images.
        on_event: Called with every progress event.
        image_root: Folder that `path` cells are relative to; the manifest's own if left out.
        values: Values to read in place of others, by column.

    Returns:
        What was read and found, and the guess; None where no column looks like a target.

    Raises:
        TableError: The manifest does not keep its contract.
        ImageError: Images are missing, damaged or unusable; all of them are listed by row.
    """
    manifest = read_manifest(path, image_root=image_root, values=values)
    facts = scan_images(
        manifest,
        PIXEL_LIMIT,
        folder.images,
        lambda done, total: on_event(Preparing("reading images", done, total)),
        looking=lambda done, total: on_event(Preparing("looking for files", done, total)),
    )
    try:
        draft = draft_of(manifest, image_root, values)
        manifest = draft.manifest
    except NoTargetError:
        draft = None
    if draft is None:
        asked = None
        placed = manifest.frame.with_columns(pl.col("cohort").alias(USAGE))
        if "split" in manifest.frame.columns:
            placed = placed.with_columns(
                pl.concat_str("cohort", "split", separator="/").alias(USAGE)
            )
        table_findings = audit_ids(manifest, facts)
    else:
        asked = drafted_settings(draft)
        frame = assign_splits(manifest, asked)
        placed = add_usage(frame, facts, asked)
        table_findings = audit(manifest, frame, facts, asked)
    need = CacheRequest(np.arange(len(manifest)), PixelRecipe(SIDE, "bilinear", PIXEL_LIMIT))
    images = _compared(manifest, facts, [need], folder.cache, PIXEL_LIMIT, on_event=on_event)
    image_findings, pairs = audit_images(images, placed, asked)
    decoder_findings = disagreeing_decoders(manifest, facts, PIXEL_LIMIT)
    findings: list[Finding] = errors_first([*table_findings, *image_findings, *decoder_findings])
    return StudyData(manifest, facts, "", tuple(findings), pairs), draft


def _compared(
    manifest: Manifest,
    facts: pl.DataFrame,
    needs: Sequence[CacheRequest],
    parent: Path,
    pixel_limit: int,
    on_event: OnEvent,
) -> ComparedImages:
    """Sketches of all images and their pairs, from caches that are made if they are not there."""
    recipe = needs[0].recipe

    def hear(what: str, share: int = 1) -> Progress:
        return lambda done, total: on_event(Preparing(what, done // share, total // share))

    caches = [
        CacheSource(
            need.indices,
            lambda need=need: need.make(
                manifest, facts, parent, hear(f"preparing images at {size_words(recipe.size)}")
            ),
        )
        for need in needs
    ]
    sketches = image_stats(facts, caches, recipe, parent, hear("sketching images"))
    memory = stats_folder(facts, recipe, parent)
    return compare_images(
        manifest,
        facts,
        sketches,
        pixel_limit,
        memory,
        progress=hear("looking for copies", len(TURNS)),
    )
