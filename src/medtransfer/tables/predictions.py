"""Table 2, predictions: one row per case and ensemble member.

Every evaluation works from this table alone, ours or one written by another framework; attributes
are joined from the manifest when scoring.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import plural
from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    duplicates,
    raise_faults,
    read_frame,
    rows_of,
    typed,
    write_frame,
)
from medtransfer.tables.values.names import unshowable

PREDICTIONS_CONTRACT = Contract(
    "Predictions",
    (
        Column("run_id", "text", "Run that made the prediction.", shown=True),
        Column("member", "integer", "Member of an ensemble; 0 for a single network."),
        Column("case_id", "text", "The case, once per run and member.", is_id=True),
        Column("patient_id", "text", "The unit that is resampled.", is_id=True),
        Column("cohort", "text", "Source of the case.", shown=True),
        Column("split", "text", "Use of the case.", allowed=("train", "tune", "test")),
        Column(
            "target_<name>",
            "number",
            "Label after the label policy: 0 to 1, empty if masked.",
            filled=False,
        ),
        Column(
            "logit_<name>",
            "number",
            "The network's output before sigmoid (binary, multi-label) or softmax (single-label).",
        ),
        Column(
            "ood_<name>",
            "number",
            "How foreign the case is to what the run was trained on; higher is more foreign.",
            required=False,
        ),
        Column(
            "rung",
            "text",
            "The rung, for tables of several; by default each run is one.",
            required=False,
            shown=True,
        ),
        Column(
            "label_fraction",
            "number",
            "Share of the training patients used; 1 by default.",
            required=False,
        ),
        Column("seed", "integer", "Of the run's training; numbered by default.", required=False),
        Column("held_out", "text", "Cohort left out of training.", required=False, filled=False),
        Column(
            "retrain_fraction",
            "number",
            "Share of a shifted cohort's cases that the run was trained on again; empty for none.",
            required=False,
            filled=False,
        ),
    ),
)
PREDICTION_KEY = ["run_id", "member", "case_id"]
WEIGHT_NAMES = frozenset(
    [
        "w",
        "wt",
        "weight",
        "weights",
        "pweight",
        "fweight",
        "sampleweight",
        "sampleweights",
        "samplingweight",
        "samplingweights",
        "caseweight",
        "caseweights",
        "surveyweight",
        "surveyweights",
        "ipweight",
        "ipweights",
        "iptw",
        "ipcw",
        "ipw",
        "freqweight",
        "frequencyweight",
        "classweight",
        "importanceweight",
        "gewicht",
        "gewichte",
        "gewichtung",
        "fallgewicht",
        "poids",
        "pondération",
        "ponderation",
        "peso",
        "pesos",
        "ponderación",
        "ponderacion",
        "ponderação",
        "gewichten",
        "waga",
        "wagi",
        "ağırlık",
        "vikt",
        "vægt",
        "вес",
        "веса",
        "权重",
        "重み",
        "가중치",
    ]
)
"""Names of columns that other tools take for weights of cases."""
OOD_PREFIX = "ood_"
"""Prefix of the columns of OOD detectors."""


def read_predictions(path: Path | str) -> pl.DataFrame:
    """Read and check a predictions table.

    Args:
        path: ``.csv`` or ``.parquet``.

    Returns:
        The table with its contract's types.

    Raises:
        TableError: A column is missing, a case is repeated, a target is outside 0 to 1, a logit
            or an OOD score is not finite, or a patient is in two splits of one run.
    """
    path = Path(path)
    frame = read_frame(path, PREDICTIONS_CONTRACT)
    faults = check_columns(frame, PREDICTIONS_CONTRACT)
    if not faults:
        frame = typed(frame, PREDICTIONS_CONTRACT)
        faults = check_predictions(frame)
    raise_faults(PREDICTIONS_CONTRACT, path, faults)
    return frame.drop(ROW)


def check_predictions(frame: pl.DataFrame) -> list[str]:
    """Faults of a typed predictions table that carries a `ROW` column."""
    faults = duplicates(frame, PREDICTION_KEY)
    names = target_names(frame)
    faults += unshowable(names)
    for name in names:
        if f"logit_{name}" not in frame.columns:
            faults.append(f"'target_{name}' has no 'logit_{name}'")
            continue
        outside = frame.filter(~pl.col(f"target_{name}").is_between(0, 1))
        if not outside.is_empty():
            faults.append(f"'target_{name}' is outside 0 to 1 in {rows_of(outside)}")
    for column in (c for c in frame.columns if c.startswith(("logit_", "ood_"))):
        not_finite = frame.filter(~pl.col(column).is_finite())
        if not not_finite.is_empty():
            faults.append(f"'{column}' is not finite in {rows_of(not_finite)}")
    faults += _weight_faults(frame)
    faults += _contradictions(frame, ["patient_id", "cohort", *(f"target_{n}" for n in names)])
    conflicting = frame.filter(
        pl.col("split").n_unique().over("run_id", "cohort", "patient_id") > 1
    )
    if not conflicting.is_empty():
        faults.append(
            f"{plural(conflicting['patient_id'].n_unique(), 'patient')} in more than one split of "
            f"a run, {rows_of(conflicting)}"
        )
    return faults


def _weight_faults(frame: pl.DataFrame) -> list[str]:
    """Columns of case weights, which no number honours; weights that are all equal change none."""
    return [
        f"'{name}' holds weights of cases, and every case counts once here. Leave the column out "
        "to have each counted once, or draw a sample by these weights before"
        for name in frame.columns
        if "".join(c for c in name.lower() if c.isalnum()) in WEIGHT_NAMES
        and frame[name].n_unique() > 1
    ]


def _contradictions(frame: pl.DataFrame, names: list[str]) -> list[str]:
    """Cases that have another patient, cohort or label in another run.

    Runs are compared case by case, which takes that one name means one case.
    """
    if frame["run_id"].n_unique() == 1:
        return []
    frame = frame.unique(["run_id", "case_id"], keep="first", maintain_order=True)  # of members
    if frame.select("case_id", *names).unique().height == frame["case_id"].n_unique():
        return []
    faults: list[str] = []
    for name in names:
        different = frame.filter(pl.col(name).n_unique().over("case_id") > 1)
        if not different.is_empty():
            cases = different["case_id"].n_unique()
            faults.append(
                f"'{name}' is not the same in all rows of {plural(cases, 'case_id')}, "
                f"{rows_of(different)}. Rows of one case_id must agree; name different cases apart"
            )
    return faults


def write_predictions(frame: pl.DataFrame, path: Path) -> None:
    """Check and write a predictions table, rows sorted by its key.

    Raises:
        TableError: It violates the contract.
    """
    frame = frame.sort(PREDICTION_KEY)
    raise_faults(PREDICTIONS_CONTRACT, path, check_predictions(frame.with_row_index(ROW, offset=1)))
    write_frame(frame, path)


def target_columns(targets: NDArray[np.float64], names: Sequence[str]) -> dict[str, pl.Series]:
    """Columns of targets, null where masked.

    Args:
        targets: NaN where masked. [N, T]
        names: Of the targets. T
    """
    return {
        f"target_{name}": pl.Series(targets[:, i]).fill_nan(None) for i, name in enumerate(names)
    }


def target_names(frame: pl.DataFrame) -> list[str]:
    """Names of the targets of a predictions table, in column order."""
    return [c.removeprefix("target_") for c in frame.columns if c.startswith("target_")]
