"""Plan of a study: data read and audited, runs named. No torch.

Listing is its own step, so `check` and `status` can say what a study is without running it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.audit.covariates import covariate_findings
from medtransfer.data.audit.run import CHECKS, Finding, audit
from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import DataConfig
from medtransfer.data.images.input_spec import InputSpec
from medtransfer.data.images.scan import no_progress, scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError, fault_list
from medtransfer.evaluation.comparison.readers.table import Readings
from medtransfer.models.ladder import find_rung
from medtransfer.models.rungs.start import control_of
from medtransfer.pretraining.leakage import pretrained_on
from medtransfer.pretraining.seen_sets import seen_test_sets
from medtransfer.runs.config import Transfer, run_id
from medtransfer.runs.embedded.features import coverage_findings
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import (
    CacheRequest,
    PlannedInputs,
    cache_requests,
    data_digest,
    input_spec,
    known_architecture,
    read_run_manifest,
    training_digest,
)
from medtransfer.runs.tested.cases import PredictedCases
from medtransfer.runs.tested.earlier import FolderName, RunNames
from medtransfer.settings import ScopeMemo
from medtransfer.study.beside.readings import study_readings
from medtransfer.study.config import Study
from medtransfer.study.grid import (
    Cell,
    check_budgets_differ,
    expand,
    share_of_shots,
    start_numbers,
)
from medtransfer.study.rungs.weights import weights_of
from medtransfer.tables.manifest import Manifest
from medtransfer.training.bit_hyperrule import make_schedule
from medtransfer.training.heads.settings import head_steps


@dataclass(frozen=True)
class StudyData:
    """The data of a study, read and looked at.

    Attributes:
        manifest: Its images.
        facts: Header facts and digests of the images.
        digest: Of all rows and images.
        findings: Of the audit.
        pairs: Rows of images that look the same, once the images were compared; no identifiers.
        readings: Of its cases by several readers; None if the study names none.
    """

    manifest: Manifest
    facts: pl.DataFrame
    digest: str
    findings: tuple[Finding, ...]
    pairs: pl.DataFrame | None = None
    readings: Readings | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on cells of the data that were read otherwise than they were written."""
        return (*self.manifest.notes, *(() if self.readings is None else self.readings.notes))

    def without_images(self, config: DataConfig) -> "StudyData":
        """The data as runs see them that read no image."""
        manifest = self.manifest.without_images()
        facts = scan_images(manifest, config.pixel_limit, Path())
        return replace(
            self, manifest=manifest, facts=facts, digest=data_digest(manifest, facts, config)
        )


@dataclass(frozen=True)
class PlannedRun:
    """A run with its name and size.

    Attributes:
        run_id: Its name.
        cell: Its place in the grid.
        needs: The image caches it reads; empty if its features come from a file.
        steps: Of training; of a linear probe the penalties it tries.
        num_images: It will train on, counted as often as they are seen. Of a linear probe all
            images, if it is the first that needs their features.
        num_cases: Of training.
        predicted: Cases that it predicts.
        inputs: Digests of its data and weights.
        identity: Its present id, if an earlier version named its folder otherwise.
        earlier: Such a folder that is not marked yet.
        start: Id of the run whose weights it goes on from.
    """

    run_id: str
    cell: Cell
    needs: tuple[CacheRequest, ...]
    steps: int
    num_images: int
    num_cases: int
    predicted: PredictedCases
    inputs: PlannedInputs | None = None
    identity: str = ""
    earlier: FolderName | None = None
    start: str | None = None


def read_data(
    study: Study,
    memory: Path,
    progress: Callable[[int, int], None] = no_progress,
    *,
    looking: Callable[[int, int], None] = no_progress,
    deep: bool = False,
) -> StudyData:
    """Read the manifest, look at every image, audit.

    Args:
        study: Names the manifest.
        memory: Parquet file that remembers image facts between calls.
        progress: Called as images are done.
        looking: Called as files are looked for.
        deep: Read every image again, also where size and times are as they were.

    Raises:
        TableError: The manifest, or the table of readings, does not keep its contract.
        ImageError: Images are missing or unusable.
    """
    images = any(find_rung(entry.rung).reads_images for entry in study.rungs)
    manifest = read_run_manifest(study.data, images=images)
    readings = study_readings(study, manifest)
    limit = study.data.pixel_limit
    facts = scan_images(manifest, limit, memory, progress, looking=looking, deep=deep)
    parts = splits_of(study, manifest)
    contents, least = facts if images else None, study.evaluation.minimum_group
    findings = {
        (finding.code, finding.sentence): finding
        for part in parts
        for finding in audit(manifest, assign_splits(manifest, part), contents, part, least)
    }

    def frames() -> Iterator[pl.DataFrame]:
        return (assign_splits(manifest, part) for part in parts)

    of_rungs = [
        *pretrained_on((entry.rung for entry in study.rungs), frames(), facts),
        *seen_test_sets(
            {e.rung: (*find_rung(e.rung).seen, *e.seen) for e in study.rungs}, frames()
        ),
        *coverage_findings(map(study.model_of, study.rungs), manifest),
        *covariate_findings(study.covariates, frames(), study.data),
    ]
    findings |= {(finding.code, finding.sentence): finding for finding in of_rungs}
    of_data = data_digest(manifest, facts, study.data)
    return StudyData(manifest, facts, of_data, tuple(findings.values()), readings=readings)


def splits_of(study: Study, manifest: Manifest) -> list[DataConfig]:
    """The splits of a study, each to be audited; rungs, seeds and label fractions share one.

    Rungs and axes that mirror images otherwise than the study are audited for themselves.
    """
    first = study.model_copy(update={"seeds": study.seeds[:1]})
    cells = expand(first, manifest.frame)
    return list({(*c.split_key, c.run.data.image.flip): c.run.data for c in cells}.values())


def check_findings(study: Study, findings: tuple[Finding, ...]) -> None:
    """Stop on audit errors that are not waived.

    Raises:
        StudyError: There are such errors.
    """
    open_errors = [f for f in findings if f.level == "error" and f.code not in study.waive]
    if open_errors:
        messages = [f"{f.code} {CHECKS[f.code][1].lower()}: {f.sentence}" for f in open_errors]
        raise StudyError(
            fault_list(
                "The data cannot be used as they are",
                messages,
                "`medtransfer check` lists the rows. Mend the manifest, or waive a code with a "
                "reason in study.yaml (waive: {CODE: reason}).",
            )
        )


@dataclass(frozen=True, eq=False)
class SplitData:
    """The data of a study under one split.

    Attributes:
        frame: Manifest rows with their splits.
        cases: Of these rows.
        digest: Of the rows that train and select.
        predicted: Cases that are predicted.
    """

    frame: pl.DataFrame
    cases: CaseTable
    digest: str
    predicted: PredictedCases

    @classmethod
    def of(cls, data: StudyData, run: Transfer) -> "SplitData":
        """Split the data as a run does."""
        config = run.data
        frame = assign_splits(data.manifest, config)
        return cls(
            frame,
            CaseTable(frame, config),
            training_digest(frame, data.facts, config, run.training_columns),
            PredictedCases(frame, data.facts, config, run.model.covariates),
        )


def plan_runs(
    study: Study,
    data: StudyData,
    folder: StudyFolder | None = None,
    *,
    draw_seeds: bool = True,
) -> list[PlannedRun]:
    """Name and size every run of a study.

    Args:
        study: What is compared.
        data: From `read_data`.
        folder: Of the study; runs that an earlier version made in it keep their names.
        draw_seeds: Draw the training cases of every seed. Otherwise all seeds are as large as the
            first: numbers of cases and steps may be a little off, and nothing else.

    Raises:
        WeightsError: Weights of a rung are missing or altered; all such rungs are named.
        StudyError: A few-shot budget takes in every patient, or is a label fraction too.
    """
    cells = expand(study, data.manifest.frame)
    weights = weights_of(study)
    names = RunNames(folder, data.manifest, data.facts, study.data, data.digest)
    memo = _Memo(study, data, names, study.seeds[0] if not draw_seeds else None)
    shares: dict[tuple[int, str | None], float] = {}
    planned: list[PlannedRun] = []
    for cell in cells:
        split, placed = memo.split(cell), cell
        if cell.shots:
            place = cell.shots, cell.held_out
            if place not in shares:
                shares[place] = share_of_shots(cell, split.cases)
            placed = replace(cell, key=replace(cell.key, label_fraction=shares[place]))
        planned.append(_plan_run(placed, weights[cell.rung], split, memo))
    check_budgets_differ([run.cell for run in planned])
    planned = _with_extraction(planned, len(data.manifest))
    starts = start_numbers(cells, leave_cohort_out=study.leave_cohort_out)
    return [
        run if number is None else replace(run, start=planned[number].run_id)
        for run, number in zip(planned, starts, strict=True)
    ]


@dataclass(frozen=True)
class _Draw:
    """Size of a training set: its cases, and the mean of their images."""

    cases: int
    images_per_case: float


class _Memo:
    """Parts of a plan that runs share, each worked out once."""

    def __init__(
        self, study: Study, data: StudyData, names: RunNames, only_seed: int | None
    ) -> None:
        self._data, self.names = data, names
        self.scopes: ScopeMemo = {}
        self._unread = data.without_images(study.data) if data.manifest.has_images else data
        self._reads = {entry.rung: find_rung(entry.rung).reads_images for entry in study.rungs}
        self._only_seed = only_seed
        self._digests: dict[tuple[object, ...], str] = {}
        self._splits: dict[tuple[object, ...], SplitData] = {}
        self._specs: dict[tuple[object, ...], InputSpec] = {}
        self._needs: dict[tuple[object, ...], tuple[CacheRequest, ...]] = {}
        self._draws: dict[tuple[int, int, bool], _Draw] = {}

    def inputs(self, cell: Cell) -> StudyData:
        """The data as the run sees them: with images, or without."""
        return self._data if self._reads[cell.rung] else self._unread

    def digest(self, cell: Cell) -> str:
        """Digest of the data as the run sees them, with the columns that it learns from."""
        inputs, columns = self.inputs(cell), cell.run.training_columns
        if not columns:
            return inputs.digest
        key = self._reads[cell.rung], columns
        if key not in self._digests:
            data = cell.run.data
            self._digests[key] = data_digest(inputs.manifest, inputs.facts, data, columns)
        return self._digests[key]

    def split(self, cell: Cell) -> SplitData:
        """The data of a run, split."""
        columns = cell.run.model.covariates, cell.run.training_columns
        key = (*cell.split_key, self._reads[cell.rung]), columns
        if key not in self._splits:
            self._splits[key] = SplitData.of(self.inputs(cell), cell.run)
        return self._splits[key]

    def needs(self, cell: Cell) -> tuple[CacheRequest, ...]:
        """The images that a run reads; they name every image, so runs share them."""
        if not self.inputs(cell).manifest.has_images:
            return ()
        frame, image = self.split(cell).frame, cell.run.data.image
        place = (*cell.split_key, cell.rung, image.resize, image.crop)
        if place not in self._specs:
            architecture = known_architecture(cell.rung)
            self._specs[place] = input_spec(cell.run, architecture, frame, self._data.facts)
        spec = self._specs[place]
        is_linear = cell.run.training.tuning.mode == "linear"
        key = *cell.split_key, spec, image, control_of(cell.rung), is_linear
        if key not in self._needs:
            self._needs[key] = cache_requests(cell.run, spec, frame)
        return self._needs[key]

    def draw(self, cell: Cell) -> _Draw:
        """Size of the training set of a run."""
        seed = cell.seed if self._only_seed is None else self._only_seed
        # seeds of one training set share its configuration
        key = id(cell.run.data.split), seed, self._reads[cell.rung]
        if key not in self._draws:
            frame, cases = (split := self.split(cell)).frame, split.cases
            images = cases.images[cases.training_rows(frame, cell.run.data, seed)]
            mean = float(np.mean(images)) if len(images) else 1.0
            self._draws[key] = _Draw(len(images), mean)
        return self._draws[key]


def _plan_run(cell: Cell, weights: str | None, split: SplitData, memo: _Memo) -> PlannedRun:
    config = cell.run.training
    draw = memo.draw(cell)
    if not memo.inputs(cell).manifest.has_images:
        steps, num_images = head_steps(cell.run.model.head, config.tuning, draw.cases), 0
    elif config.tuning.mode == "linear":
        steps, num_images = len(config.tuning.penalties), 0
    else:
        steps = make_schedule(draw.cases, config.learning_rate, config.steps).steps
        num_images = round(steps * config.batch_size * draw.images_per_case)
    identity = run_id(cell.run, split.digest, weights, memo=memo.scopes)
    folder = memo.names.find(cell.run, identity, weights)
    return PlannedRun(
        run_id=folder.name,
        cell=cell,
        needs=memo.needs(cell),
        steps=steps,
        num_images=num_images,
        num_cases=draw.cases,
        predicted=split.predicted,
        inputs=PlannedInputs(memo.digest(cell), weights),
        identity=identity,
        earlier=folder if folder.earlier else None,
    )


def _with_extraction(planned: list[PlannedRun], num_images: int) -> list[PlannedRun]:
    """Of the linear probes of one network, the first is the one that extracts the features."""
    sized: list[PlannedRun] = []
    seen: set[tuple[str, str, int]] = set()
    for run in planned:
        if run.cell.run.training.tuning.mode != "linear" or not run.needs:
            sized.append(run)
            continue
        model, seed = run.cell.run.model, run.cell.run.seed
        drawn = seed if find_rung(model.rung).is_random else 0
        key = model.rung, model.pool, drawn
        first = key not in seen
        seen |= {key} if first else set()
        sized.append(replace(run, num_images=num_images) if first else run)
    return sized
