"""One side of a comparison of studies: predictions of a study, or a table of another framework."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from medtransfer.data.cases import reported_groups
from medtransfer.data.config import Task
from medtransfer.data.splits import assign_splits
from medtransfer.errors import MedTransferError, StudyError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.report.content import ReportData, RungInfo
from medtransfer.report.reading import load_study_data, require_sealed
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.study.config import Study
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.imported.score_cells import Scores
from medtransfer.tables.other_predictions import Completion, read_other_predictions
from medtransfer.tables.predictions import target_names

PREDICTIONS = "predictions.parquet"
IDS = ("case_id", "patient_id", "cohort", "split")


@dataclass(frozen=True)
class Side:
    """Networks that are compared with those of other sides.

    Attributes:
        name: Of the study, or of the file.
        source: The file of its predictions.
        frame: Predictions with `rung` and `seed`, in the order of the file.
        first_row: Number of the file's first row of cells in messages.
        trained: Patients whose cases trained or selected a network of this side.
        knows_training: False if the patients it was trained on are not known.
        label_fraction: Share of them that its networks were trained on.
        run_ids: Ids of a study's runs: the same id is the same network.
        rungs: Facts about its rungs.
        notes: Assumptions, in sentences.
    """

    name: str
    source: Path
    frame: pl.DataFrame
    first_row: int
    trained: pl.Series
    knows_training: bool = True
    label_fraction: float = 1.0
    run_ids: frozenset[str] = frozenset()
    rungs: tuple[RungInfo, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str]:
        """Names of its targets."""
        return target_names(self.frame)

    @property
    def tested(self) -> pl.DataFrame:
        """`case_id`, `patient_id` and `cohort` of its test cases."""
        rows = self.frame.filter(pl.col("split") == "test")
        return rows.select("case_id", "patient_id", "cohort").unique("case_id").sort("case_id")


@dataclass(frozen=True)
class StudySide:
    """A study as a side, with the settings that a comparison takes from it.

    Attributes:
        side: Its predictions.
        task: What its targets are to each other.
        config: Of its evaluation.
        reference: Its reference rung.
        attributes: `case_id` and the columns it reports by; None without its manifest.
        manifest: The rows of its manifest as far as they could be read.
    """

    side: Side
    task: Task
    config: EvaluationConfig
    reference: str
    attributes: pl.DataFrame | None = None
    manifest: pl.DataFrame | None = None


@dataclass(frozen=True)
class OwnTable:
    """A predictions table of another framework, and how it is read.

    Attributes:
        path: ``.csv``, ``.tsv``, ``.xlsx`` or ``.parquet``.
        columns: Our column names to theirs.
        scores: Content of the score columns, if their names do not say it.
        cohort: Cohort of its rows if it has no column of them.
        values: Values to read in place of others, by its own column names.
    """

    path: Path
    columns: dict[str, str] = field(default_factory=dict[str, str])
    scores: Scores | None = None
    cohort: str | None = None
    values: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


def study_side(path: Path) -> StudySide:
    """Read a finished study: its runs with the most labels, without those of retraining.

    Raises:
        StudyError: It is no study, has no finished run, was edited, or left each cohort out in
            turn.
    """
    folder = StudyFolder(path)
    data = load_study_data(folder)
    require_sealed(folder, (PREDICTIONS,))
    if data.leave_cohort_out:
        raise StudyError(
            f"Study '{data.name}' left each cohort out of training in turn: its networks have no "
            "test set in common. `medtransfer rank` and `medtransfer leaderboard` compare such "
            "studies by their results."
        )
    study = read_study(path / "study.yaml")
    frame = _full_runs(data, pl.read_parquet(path / PREDICTIONS))
    manifest = _manifest_rows(study, frame)
    side = Side(
        name=data.name,
        source=path / PREDICTIONS,
        frame=frame,
        first_row=1,
        trained=_patients(frame if manifest is None else manifest),
        knows_training=manifest is not None,
        label_fraction=data.full_fraction,
        run_ids=frozenset(frame["run_id"].unique()),
        rungs=data.rung_infos,
        notes=tuple(_fraction_notes(data)),
    )
    attributes = None if manifest is None else reported_groups(manifest, study.data.attributes)
    return StudySide(
        side,
        task=data.task,
        config=data.evaluation,
        reference=data.reference,
        attributes=attributes,
        manifest=manifest,
    )


def own_side(table: OwnTable, cases: pl.DataFrame, *, single_label: bool) -> Side:
    """Read a predictions table of another framework beside studies.

    Args:
        table: The file.
        cases: From `known_cases`: what the table may leave out.
        single_label: True if the targets are classes that exclude each other.

    Raises:
        TableError: As for `read_other_predictions`.
    """
    read = read_other_predictions(
        table.path,
        table.columns,
        table.scores,
        single_label=single_label,
        completion=Completion(cases, table.cohort, table.values),
    )
    frame, name = read.frame, table.path.stem
    if "rung" not in frame.columns:
        several = frame["run_id"].n_unique() > 1
        frame = frame.with_columns(rung=pl.col("run_id") if several else pl.lit(name))
    if "seed" not in frame.columns:
        frame = frame.with_columns(seed=pl.lit(None, dtype=pl.Int64))
    rungs = tuple(RungInfo(rung) for rung in frame["rung"].unique(maintain_order=True))
    return Side(
        name=name,
        source=table.path,
        frame=frame,
        first_row=1 if table.path.suffix.lower() == ".parquet" else 2,
        trained=_patients(frame),
        knows_training=frame["split"].is_in(["train"]).any(),
        rungs=rungs,
        notes=tuple(f"{name}: {note}" for note in read.notes),
    )


def known_cases(studies: Sequence[Side]) -> pl.DataFrame:
    """`case_id`, `patient_id`, `cohort`, `split` and targets of the cases that studies predicted.

    A case of several studies has the split of the first: in a comparison it tests only if it does
    in all.
    """
    names = [name for name in studies[0].targets if all(name in s.targets for s in studies)]
    columns = [*IDS, *(f"target_{name}" for name in names)]
    frames = [side.frame.select(columns) for side in studies]
    return pl.concat(frames).unique("case_id", keep="first", maintain_order=True)


def named_apart(sides: Sequence[Side]) -> list[Side]:
    """Sides whose names, run ids and rungs differ; a rung that two sides have names its side."""
    names = [side.name for side in sides]
    named = [
        replace(side, name=f"{side.name} {names[: i + 1].count(side.name)}")
        if names.count(side.name) > 1
        else side
        for i, side in enumerate(sides)
    ]
    rungs = [rung.name for side in sides for rung in side.rungs]
    shared = {rung for rung in rungs if rungs.count(rung) > 1}
    return [_renamed(side, i, shared) for i, side in enumerate(named)]


def rung_name(side: Side, rung: str, shared: set[str]) -> str:
    """Name of a side's rung in a comparison."""
    return f"{rung} ({side.name})" if rung in shared else rung


def _renamed(side: Side, number: int, shared: set[str]) -> Side:
    """A side with the names that its runs and rungs have in the comparison."""
    names = {rung.name: rung_name(side, rung.name, shared) for rung in side.rungs}
    frame = side.frame.with_columns(
        run_id=pl.format("{}-{}", pl.lit(number + 1), pl.col("run_id")),
        rung=pl.col("rung").replace(names),
    )
    rungs = tuple(replace(rung, name=names[rung.name]) for rung in side.rungs)
    return replace(side, frame=frame, rungs=rungs)


def _full_runs(data: ReportData, predictions: pl.DataFrame) -> pl.DataFrame:
    """Predictions of the finished runs with the most labels, with rung and seed."""
    if data.runs is None:  # a study has runs; an evaluation is read elsewhere
        raise StudyError(f"Study '{data.name}' has no list of runs.")
    runs = data.runs.filter(
        pl.col("retrain_fraction").is_null() & (pl.col("label_fraction") == data.full_fraction)
    )
    places = runs.select(
        pl.col("run_id").cast(pl.String), pl.col("rung"), pl.col("seed").cast(pl.Int64)
    )
    return predictions.join(places, on="run_id", how="inner", maintain_order="left")


def _fraction_notes(data: ReportData) -> list[str]:
    if data.full_fraction == 1:
        return []
    return [f"{data.name}: compared at {data.full_fraction:g} of its training patients, its most."]


def _manifest_rows(study: Study, predictions: pl.DataFrame) -> pl.DataFrame | None:
    """Rows of a study's manifest with their splits; None if it is not the one that was trained on.

    Args:
        study: As it was run.
        predictions: Its predictions: the manifest must give their cases the same splits.
    """
    try:
        manifest = read_run_manifest(study.data, images=False)
        frame = assign_splits(manifest, study.data).with_columns(pl.col("split").cast(pl.String))
    except (MedTransferError, OSError):
        return None
    cases = predictions.select(*IDS).unique("case_id")
    same = cases.join(frame.unique("case_id"), on=list(IDS), how="semi")
    return frame if len(same) == len(cases) else None


def _patients(frame: pl.DataFrame) -> pl.Series:
    """Patients whose cases train or select."""
    return frame.filter(pl.col("split") != "test")["patient_id"].unique()
