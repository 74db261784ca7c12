"""The check of a study or a manifest before anything is run.

Findings of the audit, the runs that are planned, and the files that list every row.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from medtransfer.data.audit.findings import Level
from medtransfer.data.audit.run import Finding
from medtransfer.data.images.corruptions import named_corruptions
from medtransfer.data.images.scan import remembered_contents
from medtransfer.errors import MedTransferError, plural
from medtransfer.files import remove
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.caches import cache_states, make_caches, unmet_needs
from medtransfer.study.config import Study
from medtransfer.study.corruptions.asked import corrupted_needs
from medtransfer.study.execution.requests import runs_to_extend
from medtransfer.study.execution.workers import plan_workers
from medtransfer.study.image_checks import audit_manifest, audit_study_images
from medtransfer.study.plan import PlannedRun, StudyData, plan_runs, read_data
from medtransfer.study.planning.networks import require_networks
from medtransfer.study.planning.study_plan import StudyPlan, make_plan
from medtransfer.study.template import name_of
from medtransfer.study.yaml_file import resolve_paths
from medtransfer.tables.guessed_targets import other_spellings
from medtransfer.tables.schema import rows_of, write_spreadsheet
from medtransfer.tables.values.value_map import ValueMap


@dataclass(frozen=True)
class CheckReport:
    """Findings of the audit, of a study's data or of a manifest.

    Attributes:
        findings: Errors first.
        waived: Codes that the study waives, with the reason.
        notes: Content of a manifest, and cells that were read as something else, in sentences; of
            a study also the outcome of `deep`.
        runs: Runs of the study, finished ones too; empty for a manifest.
        finished: Ids of the runs that are finished.
        unpredicted: Number of finished runs that are still to predict a test cohort, by cohort.
        rows_file: ``findings.csv``, every row of every finding; None without any.
        pairs_file: ``pairs.csv``, rows of images that look the same; None without any.
        plan: Time, memory and disk of a study's runs; None for a manifest, or after a fault.
        fault: Error that ended the check early, after the findings; None if there was none.
    """

    findings: tuple[Finding, ...]
    waived: Mapping[str, str]
    notes: tuple[str, ...] = ()
    runs: tuple[PlannedRun, ...] = ()
    finished: frozenset[str] = frozenset()
    unpredicted: Mapping[str, int] = field(default_factory=dict[str, int])
    rows_file: Path | None = None
    pairs_file: Path | None = None
    plan: StudyPlan | None = None
    fault: MedTransferError | None = None

    def open_findings(self, level: Level) -> list[Finding]:
        """Findings of a level that are not waived."""
        return [f for f in self.findings if f.level == level and f.code not in self.waived]

    @property
    def passed(self) -> bool:
        """Nothing would stop the study: no open error and no fault."""
        return self.fault is None and not self.open_findings("error")


def check_study(
    study: Study,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    deep: bool = False,
) -> CheckReport:
    """Audit a study's data before anything is run.

    Args:
        study: From `read_study`, or made in Python.
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with progress events.
        deep: Read every image again, and say which differ from what was remembered of them.

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
    lease = Lease(folder)
    # a process that runs the study has audited the images already, and seals the folder
    is_ours = lease.try_take()
    try:
        with folder.sealing() if is_ours else contextlib.nullcontext():
            return _check(study, folder, on_event, deep=deep, audit_images=is_ours)
    finally:
        lease.drop()


def _check(
    study: Study, folder: StudyFolder, on_event: OnEvent, *, deep: bool, audit_images: bool
) -> CheckReport:
    """Audit a study in its folder; the images only if no process works on the study."""

    def reading(done: int, total: int) -> None:
        on_event(Preparing("reading images", done, total))

    def looking(done: int, total: int) -> None:
        on_event(Preparing("looking for files", done, total))

    before = remembered_contents(folder.images) if deep else None
    data = read_data(study, folder.images, reading, looking=looking, deep=deep)
    notes = () if before is None else (_changed_note(before, data),)
    planned: list[PlannedRun] = []
    plan: StudyPlan | None = None
    fault: MedTransferError | None = None
    corruptions = named_corruptions(study.corruptions)
    try:
        planned = plan_runs(study, data, folder)
        require_networks(planned)
        plan = make_plan(study, folder, planned, plan_workers(None, planned))
        if audit_images:
            needs = unmet_needs(folder, planned)
            needs += corrupted_needs(folder, data, planned, corruptions)
            states = cache_states(folder, data, needs)
            make_caches(folder, data, states, on_event)
            data = audit_study_images(study, folder, data, planned, on_event)
    except MedTransferError as error:
        fault = error  # the findings so far are reported all the same
    return CheckReport(
        findings=data.findings,
        waived=study.waive,
        notes=(*data.notes, *notes),
        runs=tuple(planned),
        finished=frozenset(r.run_id for r in planned if folder.run(r.run_id).is_done()),
        unpredicted=Counter(
            cohort.cohort
            for _, cohorts in runs_to_extend(folder, planned, corruptions)
            for cohort in cohorts
        ),
        rows_file=_write_rows(folder.path / "findings.csv", data.findings),
        pairs_file=_write_pairs(folder.path / "pairs.csv", data.pairs),
        plan=plan,
        fault=fault,
    )


def _changed_note(before: pl.DataFrame, data: StudyData) -> str:
    """Sentence on the images whose content differs from what was remembered."""
    known = data.facts.join(before, on="image_id", how="semi")
    other = known.join(before, on=["image_id", "sha256"], how="anti")
    rows = data.manifest.frame.join(other, on="image_id", how="semi", maintain_order="left")
    if rows.is_empty():
        return f"{plural(len(known), 'image')} read again: all are as they were remembered."
    return (
        f"{plural(len(known), 'image')} read again: {plural(len(rows), 'image')} differ from what "
        f"was remembered, {rows_of(rows)}. Runs that are finished are of the old content."
    )


def _write_rows(path: Path, findings: Sequence[Finding]) -> Path | None:
    """Write every row of every finding, by number; no identifiers."""
    rows = [(f.code, f.level, row) for f in findings for row in f.rows]
    if not rows:
        remove(path)
        return None
    schema = {"code": pl.String, "level": pl.String, "row": pl.Int64}
    write_spreadsheet(pl.DataFrame(rows, schema=schema, orient="row"), path)
    return path


def _write_pairs(path: Path, pairs: pl.DataFrame | None) -> Path | None:
    """Write every pair of rows that look the same; no identifiers."""
    if pairs is None or pairs.is_empty():
        remove(path)
        return None
    write_spreadsheet(pairs, path)
    return path


def check_manifest(
    path: Path,
    out: Path | None = None,
    image_root: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    values: ValueMap | None = None,
) -> CheckReport:
    """Audit a manifest before there is a study.

    Args:
        path: ``.csv`` or ``.parquet``.
        out: Folder for the findings; ``checks/<name>`` by default.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        on_event: Called with progress events.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.

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
    data, draft = audit_manifest(path, folder, on_event, image_root, values)
    no_target = [*data.manifest.notes, "No column looks like a target."]
    content = no_target if draft is None else draft.found()
    return CheckReport(
        findings=data.findings,
        waived={},
        notes=(*content, *other_spellings(data.manifest)),
        rows_file=_write_rows(folder.path / "findings.csv", data.findings),
        pairs_file=_write_pairs(folder.path / "pairs.csv", data.pairs),
    )
