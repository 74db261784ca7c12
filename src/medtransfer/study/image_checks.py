"""The second half of the audit: what the images give away once they are unpacked.

The pictures are those of the caches that the runs read anyhow: training images at the size of the
test, as the runs look at them to tell foreign inputs.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.audit.findings import errors_first
from medtransfer.data.audit.perceptual_hash import TURNS
from medtransfer.data.audit.privacy import disagreeing_decoders
from medtransfer.data.audit.run import (
    Finding,
    Pictures,
    audit,
    audit_ids,
    audit_pictures,
    compared_pictures,
    placed_rows,
)
from medtransfer.data.audit.tables import PLACE
from medtransfer.data.audit.thumbnails import Cached, sketch_folder, sketch_images
from medtransfer.data.config import DataConfig
from medtransfer.data.images.cache import PixelRecipe
from medtransfer.data.images.scan import Progress, scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.errors import TableError
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import CacheRequest
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun, StudyData, splits_of
from medtransfer.study.template import Draft, draft_of
from medtransfer.tables.manifest import Manifest, read_manifest

SIDE = 128
"""Side of the pictures of a manifest that is checked without a study, in pixels."""
PIXEL_LIMIT = 100_000_000


def look_at_pictures(
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
    if not planned:
        return data
    run = min(planned, key=lambda r: (r.needs[1].recipe.size, r.needs[1].recipe.interpolation))
    _, others, seen = run.needs
    needs = [need for need in (seen, others) if len(need.indices)]
    limit = study.data.pixel_limit
    pictures = _compared(data.manifest, data.facts, needs, folder.cache, limit, on_event)
    side = max(r.needs[1].recipe.size for r in planned)
    findings = {(f.code, f.sentence): f for f in data.findings}
    for finding in disagreeing_decoders(data.manifest, data.facts, limit):
        findings[finding.code, finding.sentence] = finding
    tables: list[pl.DataFrame] = []
    for part in splits_of(study, data.manifest):
        placed = placed_rows(assign_splits(data.manifest, part), data.facts, part)
        found, pairs = audit_pictures(pictures, placed, part, side)
        findings |= {(f.code, f.sentence): f for f in found}
        tables.append(pairs)
    pairs = pl.concat(tables).unique(maintain_order=True)
    return replace(data, findings=tuple(errors_first(findings.values())), pairs=pairs)


def check_manifest(
    path: Path,
    folder: StudyFolder,
    on_event: OnEvent = ignore_progress,
    image_root: Path | None = None,
) -> tuple[StudyData, Draft | None]:
    """Audit a manifest without a study: ids, files, images, and labels as far as they are guessed.

    Without a `split` column the split is drawn as a study would by default.

    Args:
        path: ``.csv`` or ``.parquet``.
        folder: For what is remembered of the images.
        on_event: Called with every progress event.
        image_root: Folder that `path` cells are relative to; the manifest's own if left out.

    Returns:
        What was read and found, and the guess; None where no column looks like a target.

    Raises:
        TableError: The manifest does not keep its contract.
        ImageError: Images are missing, damaged or unusable; all of them are listed by row.
    """
    manifest = read_manifest(path, image_root=image_root)
    facts = scan_images(
        manifest,
        PIXEL_LIMIT,
        folder.images,
        lambda done, total: on_event(Preparing("reading images", done, total)),
    )
    try:
        draft = draft_of(manifest)
    except TableError:
        draft = None
    if draft is None:
        asked = None
        placed = manifest.frame.with_columns(pl.col("cohort").alias(PLACE))
        if "split" in manifest.frame.columns:
            placed = placed.with_columns(
                pl.concat_str("cohort", "split", separator="/").alias(PLACE)
            )
        found = audit_ids(manifest, facts)
    else:
        asked = _question(draft)
        frame = assign_splits(manifest, asked)
        placed = placed_rows(frame, facts, asked)
        found = audit(manifest, frame, facts, asked)
    need = CacheRequest(np.arange(len(manifest)), PixelRecipe(SIDE, "bilinear", PIXEL_LIMIT))
    pictures = _compared(manifest, facts, [need], folder.cache, PIXEL_LIMIT, on_event)
    seen, pairs = audit_pictures(pictures, placed, asked)
    apart = disagreeing_decoders(manifest, facts, PIXEL_LIMIT)
    findings: list[Finding] = errors_first([*found, *seen, *apart])
    return StudyData(manifest, facts, "", tuple(findings), pairs), draft


def _question(draft: Draft) -> DataConfig:
    """What the draft of a study would ask."""
    return DataConfig.model_validate(
        {
            "manifest": draft.manifest.path,
            "task": draft.task,
            "targets": list(draft.targets),
            "class_column": draft.class_column,
            "attributes": draft.attributes,
        }
    )


def _compared(
    manifest: Manifest,
    facts: pl.DataFrame,
    needs: Sequence[CacheRequest],
    parent: Path,
    pixel_limit: int,
    on_event: OnEvent,
) -> Pictures:
    """Sketches of all images and their pairs, from caches that are made if they are not there."""
    recipe = needs[0].recipe

    def hear(what: str, share: int = 1) -> Progress:
        return lambda done, total: on_event(Preparing(what, done // share, total // share))

    caches = [
        Cached(
            need.indices,
            lambda need=need: need.make(
                manifest, facts, parent, hear(f"preparing images at {recipe.size} px")
            ),
        )
        for need in needs
    ]
    sketches = sketch_images(facts, caches, recipe, parent, hear("sketching images"))
    memory = sketch_folder(facts, recipe, parent)
    return compared_pictures(
        manifest, facts, sketches, pixel_limit, memory, hear("looking for copies", len(TURNS))
    )
