"""The second half of the audit: what the images give away once they are unpacked.

The pictures are those of the caches that the runs read anyhow: training images at the size of the
test, as the runs look at them to tell foreign inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.audit.findings import Level, errors_first
from medtransfer.data.audit.perceptual_hash import TURNS
from medtransfer.data.audit.pixels import disagreeing_decoders
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
from medtransfer.data.config import DataConfig
from medtransfer.data.images.cache import PixelRecipe
from medtransfer.data.images.scan import Progress, scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.errors import MedTransferError, TableError
from medtransfer.files import remove
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.inputs import CacheRequest
from medtransfer.study.caches import cache_states, make_caches, unmet_needs
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun, StudyData, plan_runs, read_data, splits_of
from medtransfer.study.template import Draft, draft_of, name_of, other_spellings
from medtransfer.study.yaml_file import resolve_paths
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import write_frame

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
    images = _compared(data.manifest, data.facts, needs, folder.cache, limit, on_event=on_event)
    side = max(r.needs[1].recipe.size for r in planned)
    findings = {(f.code, f.sentence): f for f in data.findings}
    for finding in disagreeing_decoders(data.manifest, data.facts, limit):
        findings[finding.code, finding.sentence] = finding
    tables: list[pl.DataFrame] = []
    for part in splits_of(study, data.manifest):
        placed = add_usage(assign_splits(data.manifest, part), data.facts, part)
        image_findings, pairs = audit_images(images, placed, part, side)
        findings |= {(f.code, f.sentence): f for f in image_findings}
        tables.append(pairs)
    pairs = pl.concat(tables).unique(maintain_order=True)
    return replace(data, findings=tuple(errors_first(findings.values())), pairs=pairs)


@dataclass(frozen=True)
class CheckReport:
    """Findings of the audit, of a study's data or of a manifest.

    Attributes:
        findings: Errors first.
        waived: Codes that the study waives, with the reason.
        notes: Content of a manifest, in sentences; empty for a study.
        runs: Runs that the study would make; empty for a manifest.
        rows_file: ``findings.csv``, every row of every finding; None without any.
        pairs_file: ``pairs.csv``, rows of images that look the same; None without any.
        fault: Error that ended the check early, after the findings; None if there was none.
    """

    findings: tuple[Finding, ...]
    waived: Mapping[str, str]
    notes: tuple[str, ...] = ()
    runs: tuple[PlannedRun, ...] = ()
    rows_file: Path | None = None
    pairs_file: Path | None = None
    fault: MedTransferError | None = None

    def open_findings(self, level: Level) -> list[Finding]:
        """Findings of a level that are not waived."""
        return [f for f in self.findings if f.level == level and f.code not in self.waived]

    @property
    def passed(self) -> bool:
        """Nothing would stop the study: no open error and no fault."""
        return self.fault is None and not self.open_findings("error")


def check_study(
    study: Study, out: Path | None = None, on_event: OnEvent = ignore_progress
) -> CheckReport:
    """Audit a study's data before anything is run.

    Args:
        study: From `read_study`, or made in Python.
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with progress events.

    Returns:
        Findings, planned runs, and the files that list all rows.

    Raises:
        TableError: The manifest does not keep its contract.
        ImageError: Images are missing.
        StudyError: The folder holds something else.
    """
    study = resolve_paths(study, Path.cwd())
    folder = StudyFolder(out or Path("studies") / study.name)
    folder.claim(study.name)
    data = read_data(
        study, folder.images, lambda done, total: on_event(Preparing("reading images", done, total))
    )
    planned: list[PlannedRun] = []
    fault: MedTransferError | None = None
    try:
        planned = plan_runs(study, data)
        data = _look_unless_running(study, folder, data, planned, on_event)
    except MedTransferError as error:
        fault = error  # the findings so far are reported all the same
    return CheckReport(
        findings=data.findings,
        waived=study.waive,
        runs=tuple(planned),
        rows_file=_write_rows(folder.path / "findings.csv", data.findings),
        pairs_file=_write_pairs(folder.path / "pairs.csv", data.pairs),
        fault=fault,
    )


def _look_unless_running(
    study: Study,
    folder: StudyFolder,
    data: StudyData,
    planned: Sequence[PlannedRun],
    on_event: OnEvent,
) -> StudyData:
    """Decode the images and audit them; a process that runs the study has done so already."""
    lease = Lease(folder)
    if lease.holder() is not None:
        return data
    lease.take()
    try:
        states = cache_states(folder, data, unmet_needs(folder, planned))
        make_caches(folder, data, states, on_event)
        return look_at_pictures(study, folder, data, planned, on_event)
    finally:
        lease.drop()


def _write_rows(path: Path, findings: Sequence[Finding]) -> Path | None:
    """Write every row of every finding, by number; no identifiers."""
    rows = [(f.code, f.level, row) for f in findings for row in f.rows]
    if not rows:
        remove(path)
        return None
    schema = {"code": pl.String, "level": pl.String, "row": pl.Int64}
    write_frame(pl.DataFrame(rows, schema=schema, orient="row"), path)
    return path


def _write_pairs(path: Path, pairs: pl.DataFrame | None) -> Path | None:
    """Write every pair of rows that look the same; no identifiers."""
    if pairs is None or pairs.is_empty():
        remove(path)
        return None
    write_frame(pairs, path)
    return path


def check_manifest(
    path: Path,
    out: Path | None = None,
    image_root: Path | None = None,
    on_event: OnEvent = ignore_progress,
) -> CheckReport:
    """Audit a manifest before there is a study.

    Args:
        path: ``.csv`` or ``.parquet``.
        out: Folder for the findings; ``checks/<name>`` by default.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        on_event: Called with progress events.

    Returns:
        Findings, the content of the manifest, and the files that list all rows.

    Raises:
        TableError: The manifest does not keep its contract.
        ImageError: Images are missing, damaged or unusable; all of them are listed by row.
        StudyError: The folder holds something else.
    """
    name = name_of(path) or "manifest"
    folder = StudyFolder(out or Path("checks") / name)
    if path.is_file():
        folder.claim(name)
    data, draft = audit_manifest(path, folder, on_event, image_root)
    content = ["No column looks like a target."] if draft is None else draft.found()
    return CheckReport(
        findings=data.findings,
        waived={},
        notes=(*content, *other_spellings(data.manifest)),
        rows_file=_write_rows(folder.path / "findings.csv", data.findings),
        pairs_file=_write_pairs(folder.path / "pairs.csv", data.pairs),
    )


def audit_manifest(
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
        placed = manifest.frame.with_columns(pl.col("cohort").alias(USAGE))
        if "split" in manifest.frame.columns:
            placed = placed.with_columns(
                pl.concat_str("cohort", "split", separator="/").alias(USAGE)
            )
        table_findings = audit_ids(manifest, facts)
    else:
        asked = _question(draft)
        frame = assign_splits(manifest, asked)
        placed = add_usage(frame, facts, asked)
        table_findings = audit(manifest, frame, facts, asked)
    need = CacheRequest(np.arange(len(manifest)), PixelRecipe(SIDE, "bilinear", PIXEL_LIMIT))
    images = _compared(manifest, facts, [need], folder.cache, PIXEL_LIMIT, on_event=on_event)
    image_findings, pairs = audit_images(images, placed, asked)
    decoder_findings = disagreeing_decoders(manifest, facts, PIXEL_LIMIT)
    findings: list[Finding] = errors_first([*table_findings, *image_findings, *decoder_findings])
    return StudyData(manifest, facts, "", tuple(findings), pairs), draft


def _question(draft: Draft) -> DataConfig:
    """Data settings that the draft of a study would have."""
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
) -> ComparedImages:
    """Sketches of all images and their pairs, from caches that are made if they are not there."""
    recipe = needs[0].recipe

    def hear(what: str, share: int = 1) -> Progress:
        return lambda done, total: on_event(Preparing(what, done // share, total // share))

    caches = [
        CacheSource(
            need.indices,
            lambda need=need: need.make(
                manifest, facts, parent, hear(f"preparing images at {recipe.size} px")
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
