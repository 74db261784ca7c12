"""Predictions tables of a network in use, as `predict` or `validate` wrote them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.predict_files import ENDINGS_OUT
from medtransfer.deploy.inference.sources import UNNAMED
from medtransfer.errors import TableError, fault_list, listed, plural
from medtransfer.tables.predictions import OOD_PREFIX, PREDICTIONS_CONTRACT
from medtransfer.tables.schema import ROW, read_noted_frame

PREDICTIONS = "predictions.parquet"
"""Table of a folder of `validate`."""
TEXTS = ("case_id", "patient_id", "cohort", "month", "device", "reason")
STATISTICS = ("brightness", "contrast")
Kinds = dict[str, pl.DataType]


@dataclass(frozen=True, eq=False)
class PredictionRows:
    """Rows of several predictions tables, one below the other.

    Attributes:
        frame: `case_id`, `patient_id`, `cohort`, `member`, `file` (number of the file, from 1),
            `month`, `device`, `logit_<target>`, and `target_<name>`, `ood_<detector>`,
            `brightness`, `contrast` where every file has them. Of ensembles a row per member.
        unpredicted: Cases without a prediction, by number of the file.
        notes: Sentences on what was left out.
    """

    frame: pl.DataFrame
    unpredicted: dict[int, int]
    notes: tuple[str, ...]


def listed_tables(paths: Sequence[Path]) -> list[Path]:
    """Tables that a user names, and those in folders.

    Raises:
        TableError: A path does not exist, or a folder holds no table.
    """
    tables: list[Path] = []
    faults: list[str] = []
    for path in paths:
        if path.is_file():
            tables.append(path)
        elif not path.is_dir():
            faults.append(f'"{path}" does not exist')
        elif (path / PREDICTIONS).is_file():
            tables.append(path / PREDICTIONS)
        else:
            inside = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in ENDINGS_OUT and not file.stem.endswith(".refused")
            )
            tables += inside
            faults += [] if inside else [f'folder "{path}" holds no table of predictions']
    if faults:
        advice = f"Name tables that `medtransfer predict` wrote ({', '.join(ENDINGS_OUT)})."
        raise TableError(fault_list("The predictions cannot be read", faults, advice))
    return tables


def read_prediction_rows(paths: Sequence[Path], facts: BundleFacts) -> PredictionRows:
    """Rows of predictions tables of a bundle.

    Args:
        paths: Tables and folders, in the order of time if they name no months.
        facts: Of the bundle.

    Raises:
        TableError: A table does not exist or is not of this bundle.
    """
    tables = listed_tables(paths)
    frames: list[pl.DataFrame] = []
    unpredicted: dict[int, int] = {}
    faults: list[str] = []
    notes: list[str] = []
    for number, path in enumerate(tables, start=1):
        frame, of_table = _as_read(path)
        notes += of_table
        of_file = _faults(frame, facts)
        faults += [f"table {number}: {fault}" for fault in of_file]
        if of_file:
            continue
        frame = _typed(frame, facts).with_columns(pl.lit(number, pl.Int64).alias("file"))
        has_score = pl.all_horizontal(pl.col(f"logit_{name}").is_finite() for name in facts.names)
        kept = frame.filter(has_score.fill_null(value=False))
        unpredicted[number] = frame["case_id"].n_unique() - kept["case_id"].n_unique()
        frames.append(kept)
    if faults:
        advice = "Give tables that `medtransfer predict` wrote with this bundle."
        raise TableError(fault_list("The predictions cannot be used", faults, advice))
    optional = {n for frame in frames for n in frame.columns}
    shared = {name for name in optional if all(name in frame.columns for frame in frames)}
    columns = [name for name in frames[0].columns if name in shared]
    notes += [
        f"'{name}' is not in every table and is not used." for name in sorted(optional - shared)
    ]
    together = pl.concat([frame.select(columns) for frame in frames])
    # a member of an ensemble has a row of its own; the first file that has a case counts
    first = pl.col("file") == pl.col("file").min().over("case_id")
    once = together.filter(first).unique(["case_id", "member"], keep="first", maintain_order=True)
    repeated = len(together) - len(once)
    if repeated:
        notes.append(f"{plural(repeated, 'row')} of cases that came before: the first counts.")
    if once.is_empty():
        raise TableError("No case of the predictions has a score, so nothing can be watched.")
    return PredictionRows(once, unpredicted, tuple(notes))


def _as_read(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    if path.suffix.lower() != ".jsonl":
        table = read_noted_frame(path, PREDICTIONS_CONTRACT)
        return table.frame.drop(ROW), table.notes
    try:
        return pl.read_ndjson(path), ()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(
            f'"{path.name}" cannot be read as JSON lines ({type(error).__name__}).'
        ) from error


def _faults(frame: pl.DataFrame, facts: BundleFacts) -> list[str]:
    wanted = ["case_id", *(f"logit_{name}" for name in facts.names)]
    faults: list[str] = []
    if missing := [name for name in wanted if name not in frame.columns]:
        faults.append(f"column {listed(map(repr, missing))} is missing")
    for name in _numbers(frame, facts):
        cells = frame[name]
        wrong = cells.is_not_null() & cells.cast(pl.Float64, strict=False).is_null()
        if wrong.any():
            rows = plural(int(wrong.sum()), "row")
            faults.append(f"column '{name}' holds what is no number in {rows}")
    return faults


def _numbers(frame: pl.DataFrame, facts: BundleFacts) -> list[str]:
    """Columns of numbers that are there."""
    wanted = [
        *(f"logit_{name}" for name in facts.names),
        *(f"target_{name}" for name in facts.names),
        *(f"{OOD_PREFIX}{detector.name}" for detector in facts.detectors),
        *STATISTICS,
    ]
    return [name for name in wanted if name in frame.columns]


def _typed(frame: pl.DataFrame, facts: BundleFacts) -> pl.DataFrame:
    texts = {name: _text(frame, name) for name in TEXTS if name != "reason"}
    return frame.select(
        *texts.values(),
        (
            pl.col("member").cast(pl.Int64, strict=False).fill_null(0)
            if "member" in frame.columns
            else pl.lit(0, pl.Int64).alias("member")
        ),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in _numbers(frame, facts)),
    )


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column of text; ids that are missing are `UNNAMED`, as `predict` writes them."""
    default = UNNAMED if name in ("patient_id", "cohort") else None
    if name not in frame.columns:
        return pl.lit(default, pl.String).alias(name)
    return pl.col(name).cast(pl.String, strict=False).fill_null(pl.lit(default, pl.String))
