"""Predictions of another framework: other column names, probabilities instead of logits.

Nothing is guessed that could change a number: what is not said is refused with what to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from medtransfer.errors import TableError, fault_list, listed, plural, suggestion
from medtransfer.tables.predictions import CONTRACT, check_predictions, target_names
from medtransfer.tables.schema import ROW, check_columns, read_frame, refuse, typed

Scores = Literal["logits", "probabilities"]
PROBABILITY, LOGIT, TARGET = "prob_", "logit_", "target_"
CLOSEST = 1e-12
"""Probabilities keep this distance from 0 and 1, so that their logits are finite."""
DEFAULTS = {"run_id": "run", "member": "0", "cohort": "internal"}
"""Columns of the contract that may be missing, with what they then hold."""


@dataclass(frozen=True)
class Imported:
    """A predictions table that keeps its contract, and what was done to it.

    Attributes:
        frame: The table.
        said: What was assumed, in sentences for the user and the report.
    """

    frame: pl.DataFrame
    said: tuple[str, ...]


def read_borrowed(
    path: Path,
    columns: dict[str, str] | None = None,
    scores: Scores | None = None,
    *,
    single_label: bool = False,
) -> Imported:
    """Read predictions that another framework wrote.

    Args:
        path: ``.csv`` or ``.parquet``.
        columns: Our name to theirs, e.g. ``{"case_id": "study", "prob_x": "p"}``. A column
            ``prob_<name>`` holds the probability of ``target_<name>`` instead of ``logit_<name>``.
        scores: What the score columns hold, if their names do not say it.
        single_label: Probabilities are of classes that exclude each other.

    Raises:
        TableError: A column is missing, scores are neither, or the contract is not kept; all
            faults at once.
    """
    frame = _renamed(read_frame(path, CONTRACT), columns or {}, path)
    said = [f"'{name}' is not there: '{value}' was taken." for name, value in DEFAULTS.items()
            if name not in frame.columns]  # fmt: skip
    missing = [pl.lit(v).alias(n) for n, v in DEFAULTS.items() if n not in frame.columns]
    frame = frame.with_columns(missing)
    if "split" not in frame.columns:
        frame = frame.with_columns(split=pl.lit("test"))
        said.append(
            "'split' is not there: all cases were taken as test cases. Without tuning cases there "
            "are no operating points and no calibration."
        )
    faults = _score_faults(frame, scores)
    if not faults:
        frame, converted = _with_logits(frame, scores, single_label=single_label)
        said += converted
        faults = check_columns(frame, CONTRACT)
    if not faults:
        frame = typed(frame, CONTRACT)
        faults = check_predictions(frame) + _cohort_faults(frame)
    refuse(CONTRACT, path, faults)
    return Imported(frame.drop(ROW), tuple(said))


def read_columns(text: Sequence[str]) -> dict[str, str]:
    """Our names to theirs from ``ours=theirs`` entries.

    Raises:
        TableError: An entry is not of that form, or a name is given twice.
    """
    entries = [entry.strip() for part in text for entry in part.split(",") if entry.strip()]
    pairs = [tuple(part.strip() for part in entry.split("=", 1)) for entry in entries]
    wrong = [entry for entry, pair in zip(entries, pairs, strict=True) if len(pair) != 2]
    ours = [pair[0] for pair in pairs]
    twice = sorted({name for name in ours if ours.count(name) > 1})
    if wrong or twice:
        said = [f"'{entry}' is not ours=theirs" for entry in wrong]
        said += [f"'{name}' is given twice" for name in twice]
        raise TableError(fault_list("--columns cannot be used", said))
    return dict(pairs)  # type: ignore[arg-type]


def _renamed(frame: pl.DataFrame, columns: dict[str, str], path: Path) -> pl.DataFrame:
    faults: list[str] = []
    for ours, theirs in columns.items():
        known = CONTRACT.column_of(ours) is not None or ours.startswith(PROBABILITY)
        if not known:
            names = [c.name for c in CONTRACT.columns] + ["prob_<name>"]
            faults.append(f"'{ours}' is not a column of ours (allowed: {listed(names, 20)})")
        if theirs not in frame.columns:
            hint = suggestion(theirs, frame.columns)
            faults.append(f"column '{theirs}' is not in the table. {hint}".rstrip())
    refuse(CONTRACT, path, faults)
    taken = {theirs: ours for ours, theirs in columns.items()}
    beside = [name for name in frame.columns if name in columns and name not in taken]
    return frame.drop(beside).rename(taken)


def _families(frame: pl.DataFrame, prefix: str) -> list[str]:
    return [name for name in frame.columns if name.startswith(prefix)]


def _numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return frame.select(text.cast(pl.Float64, strict=False)).to_series()


def _score_faults(frame: pl.DataFrame, scores: Scores | None) -> list[str]:
    """Scores that are not what their name says: detected by their range."""
    faults: list[str] = []
    logits = _families(frame, LOGIT)
    values = [_numbers(frame, name) for name in logits]
    inside = [bool(v.is_between(0, 1).fill_null(value=False).all()) for v in values]
    if logits and all(inside) and scores is None:
        faults.append(
            f"{listed(logits)} lie within 0 and 1 in all rows and look like probabilities. Name "
            "them prob_<name>, or say --scores logits"
        )
    for name in _families(frame, PROBABILITY) + (logits if scores == "probabilities" else []):
        outside = frame.filter(~_numbers(frame, name).is_between(0, 1))
        if not outside.is_empty():
            faults.append(
                f"'{name}' is outside 0 to 1 in {plural(len(outside), 'row')}, first in row "
                f"{outside[ROW][0]}: these are no probabilities. Name it logit_<name> if they are "
                "logits"
            )
    for target in _families(frame, TARGET):
        name = target.removeprefix(TARGET)
        there = [p + name for p in (LOGIT, PROBABILITY) if p + name in frame.columns]
        if len(there) != 1:
            what = "both of" if there else "neither of"
            faults.append(f"'{target}' has {what} '{LOGIT}{name}' and '{PROBABILITY}{name}'")
    return faults


def _with_logits(
    frame: pl.DataFrame, scores: Scores | None, *, single_label: bool
) -> tuple[pl.DataFrame, list[str]]:
    given = _families(frame, PROBABILITY)
    given += _families(frame, LOGIT) if scores == "probabilities" else []
    if not given:
        return frame, []
    chances = np.stack([_numbers(frame, name).to_numpy().astype(np.float64) for name in given], 1)
    said = ["Probabilities were turned into logits."]
    kept = np.clip(chances, CLOSEST, 1 - CLOSEST)
    moved = int((kept != chances).any(axis=1).sum())
    if moved:
        said.append(f"{plural(moved, 'row')} with a probability of 0 or 1: kept {CLOSEST:g} away.")
    found = np.log(kept) if single_label else np.log(kept) - np.log1p(-kept)
    if single_label and len(given) == len(target_names(frame)):
        off = int((np.abs(chances.sum(axis=1) - 1) > 1e-3).sum())
        if off:
            said.append(f"Probabilities of {plural(off, 'row')} do not sum to 1; they were scaled.")
    columns = [
        pl.Series(LOGIT + name.removeprefix(PROBABILITY).removeprefix(LOGIT), found[:, i])
        for i, name in enumerate(given)
    ]
    return frame.drop(given).with_columns(columns), said


def _cohort_faults(frame: pl.DataFrame) -> list[str]:
    """A patient in two cohorts would be resampled as two."""
    torn = frame.filter(pl.col("cohort").n_unique().over("run_id", "patient_id") > 1)
    if torn.is_empty():
        return []
    count = plural(torn["patient_id"].n_unique(), "patient")
    return [f"{count} in more than one cohort, first in row {torn[ROW][0]}"]
