"""Predictions of another framework: other column names, probabilities instead of logits.

Nothing is guessed that could change a number: what is not said is refused with what to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import TableError, fault_list, listed, plural, suggestion
from medtransfer.tables.predictions import (
    PREDICTION_KEY,
    PREDICTIONS_CONTRACT,
    check_predictions,
    target_names,
)
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
)

Scores = Literal["logits", "probabilities"]
PROBABILITY, LOGIT, TARGET = "prob_", "logit_", "target_"
MIN_PROBABILITY = 1e-12
"""A probability of 0 or 1 is taken to be this far from it, so that its logit is finite."""
DEFAULTS = {"run_id": "run", "member": "0", "cohort": "internal"}
"""Columns of the contract that may be missing, with what they then hold."""
OTHER_CONTRACT = Contract(
    PREDICTIONS_CONTRACT.name,
    (
        *(
            replace(c, required=c.required and c.prefix != LOGIT)
            for c in PREDICTIONS_CONTRACT.columns
        ),
        Column("prob_<name>", "number", "The probability of a target.", required=False),
    ),
)
"""The contract, with probabilities as good as logits."""


@dataclass(frozen=True)
class ImportedPredictions:
    """A predictions table that keeps its contract, and what was done to it.

    Attributes:
        frame: The table.
        said: What was assumed, in sentences for the user and the report.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]


def read_other_predictions(
    path: Path,
    columns: dict[str, str] | None = None,
    scores: Scores | None = None,
    *,
    single_label: bool | None = None,
) -> ImportedPredictions:
    """Read predictions that another framework wrote.

    Args:
        path: ``.csv`` or ``.parquet``.
        columns: Our name to theirs, e.g. ``{"case_id": "study", "prob_x": "p"}``. A column
            ``prob_<name>`` holds the probability of ``target_<name>`` instead of ``logit_<name>``.
        scores: What the score columns hold, if their names do not say it.
        single_label: Probabilities are of classes that exclude each other; by default if the
            targets do.

    Raises:
        TableError: A column is missing, scores are neither, or the contract is not kept; all
            faults at once.
    """
    frame = _renamed(read_frame(path, PREDICTIONS_CONTRACT), columns or {}, path)
    frame, said = _with_defaults(frame)
    faults = check_columns(frame, OTHER_CONTRACT) + _score_faults(frame, scores)
    if not any(name.startswith("target_") for name in frame.columns):
        faults.append("if the truth has another name, say --columns target_<name>=COLUMN")
    if faults:
        raise_faults(
            PREDICTIONS_CONTRACT,
            path,
            [*faults, *duplicates(frame, PREDICTION_KEY), *_cohort_faults(frame)],
        )
    frame = typed(frame, OTHER_CONTRACT)
    single = targets_are_exclusive(frame) if single_label is None else single_label
    faults = _class_faults(frame) if single else []
    frame, converted = _with_logits(frame, scores, single_label=single)
    raise_faults(
        PREDICTIONS_CONTRACT, path, [*faults, *check_predictions(frame), *_cohort_faults(frame)]
    )
    return ImportedPredictions(frame.drop(ROW), (*said, *converted))


def read_columns(text: Sequence[str]) -> dict[str, str]:
    """Our names to theirs from ``ours=theirs`` entries.

    Raises:
        TableError: An entry is not of that form, or a name is given twice.
    """
    pairs: list[tuple[str, str]] = []
    faults: list[str] = []
    for entry in (entry.strip() for part in text for entry in part.split(",")):
        ours, _, theirs = (part.strip() for part in entry.partition("="))
        if ours and theirs:
            pairs.append((ours, theirs))
        elif entry:
            faults.append(f"'{entry}' is not ours=theirs")
    names = [ours for ours, _ in pairs]
    faults += [f"'{name}' is given twice" for name in sorted(set(names)) if names.count(name) > 1]
    if faults:
        raise TableError(fault_list("--columns cannot be used", faults))
    return dict(pairs)


def targets_are_exclusive(frame: pl.DataFrame) -> bool:
    """Whether exactly one of three or more targets is 1 in every case whose targets are known."""
    names = [TARGET + name for name in target_names(frame)]
    known = frame.select(names).drop_nulls()
    return len(names) > 2 and len(known) > 0 and bool((known.sum_horizontal() == 1).all())


def _renamed(frame: pl.DataFrame, columns: dict[str, str], path: Path) -> pl.DataFrame:
    """The table under our names; one of their columns may serve as several of ours."""
    theirs_all = [name for name in frame.columns if name != ROW]
    faults: list[str] = []
    for ours, theirs in columns.items():
        if OTHER_CONTRACT.column_of(ours) is None:
            names = [c.name for c in OTHER_CONTRACT.columns]
            faults.append(f"'{ours}' is not a column of ours (allowed: {listed(names, 20)})")
        if theirs not in theirs_all:
            hint = suggestion(theirs, theirs_all)
            faults.append(f"column '{theirs}' is not in the table. {hint}".rstrip(". "))
    raise_faults(PREDICTIONS_CONTRACT, path, faults)
    taken = {*columns, *columns.values()}
    beside = [name for name in frame.columns if name not in taken]
    return frame.select(*beside, *(pl.col(theirs).alias(o) for o, theirs in columns.items()))


def _with_defaults(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The table with the columns that may be missing, and what was assumed."""
    missing = {name: value for name, value in DEFAULTS.items() if name not in frame.columns}
    said = [f"'{name}' is not there: '{value}' was taken." for name, value in missing.items()]
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in missing.items())
    if "split" not in frame.columns:
        frame = frame.with_columns(split=pl.lit("test"))
        said.append(
            "'split' is not there: all cases were taken as test cases. Without tuning cases there "
            "are no operating points and no calibration."
        )
    return frame, said


def _columns_with(frame: pl.DataFrame, prefix: str) -> list[str]:
    return [name for name in frame.columns if name.startswith(prefix)]


def _numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column as numbers, null where it holds none."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return frame.select(text.cast(pl.Float64, strict=False)).to_series()


def _score_faults(frame: pl.DataFrame, scores: Scores | None) -> list[str]:
    """Scores that are not what their name says: detected by their range."""
    logits, chances = _columns_with(frame, LOGIT), _columns_with(frame, PROBABILITY)
    faults = [
        f"'{name}' is not finite in {rows_of(wild)}"
        for name in [*logits, *chances]
        if not (wild := frame.filter(~_numbers(frame, name).is_finite())).is_empty()
    ]
    values = [_numbers(frame, name).drop_nulls() for name in logits]
    if logits and scores is None and all(len(v) and v.is_between(0, 1).all() for v in values):
        faults.append(
            f"{listed(logits)} lie within 0 and 1 in all rows and look like probabilities. Name "
            "them prob_<name> or say --scores probabilities if they are, --scores logits if not"
        )
    advice = dict.fromkeys(chances, "Name it logit_<name> if they are logits")
    if scores == "probabilities":
        advice |= dict.fromkeys(logits, "Leave --scores probabilities out if they are logits")
    for name, todo in advice.items():
        found = _numbers(frame, name)
        outside = frame.filter(found.is_finite() & ~found.is_between(0, 1))
        if not outside.is_empty():
            faults.append(
                f"'{name}' is outside 0 to 1 in {plural(len(outside), 'row')}, first in row "
                f"{outside[ROW][0]}: these are no probabilities. {todo}"
            )
    for name in target_names(frame):
        there = [p + name for p in (LOGIT, PROBABILITY) if p + name in frame.columns]
        if len(there) != 1:
            what = "both of" if there else "neither of"
            faults.append(f"'{TARGET}{name}' has {what} '{LOGIT}{name}' and '{PROBABILITY}{name}'")
    return faults


def _class_faults(frame: pl.DataFrame) -> list[str]:
    """What classes that exclude each other must keep."""
    names = target_names(frame)
    given = [name for name in names if PROBABILITY + name in frame.columns]
    faults: list[str] = []
    if 0 < len(given) < len(names):
        faults.append(
            f"{listed(PROBABILITY + name for name in given)} are probabilities and the scores of "
            "the other classes are logits; the classes exclude each other and need one kind"
        )
    targets = frame.select(TARGET + name for name in names)
    one = targets.sum_horizontal(ignore_nulls=False) == 1
    wrong = frame.filter(~one)
    if not wrong.is_empty():
        faults.append(
            f"not exactly one class is 1 in {plural(len(wrong), 'row')}, first in row "
            f"{wrong[ROW][0]}, but the task is single-label"
        )
    return faults


def _with_logits(
    frame: pl.DataFrame, scores: Scores | None, *, single_label: bool
) -> tuple[pl.DataFrame, list[str]]:
    """The table with logits for its probabilities, and what was done."""
    given = _columns_with(frame, PROBABILITY)
    given += _columns_with(frame, LOGIT) if scores == "probabilities" else []
    if not given:
        return frame, []
    chances = frame.select(given).to_numpy().astype(np.float64)
    said = ["Probabilities were turned into logits."]
    kept = _inside_bounds(chances)
    moved = int((kept != chances).any(axis=1).sum())
    if moved:
        said.append(f"{plural(moved, 'row')} with a probability of 0 or 1: kept just inside.")
    if single_label and (off := int((np.abs(chances.sum(axis=1) - 1) > 1e-3).sum())):
        said.append(f"Probabilities of {plural(off, 'row')} do not sum to 1; they were scaled.")
    # of exclusive classes the softmax of log p is p again
    found = np.log(kept) if single_label else np.log(kept) - np.log1p(-kept)
    columns = [
        pl.Series(LOGIT + name.removeprefix(PROBABILITY).removeprefix(LOGIT), found[:, i])
        for i, name in enumerate(given)
    ]
    return frame.drop(given).with_columns(columns), said


def _inside_bounds(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities with 0 and 1 moved inside, and no other value passed on the way. [N, T]"""
    between = chances[(chances > 0) & (chances < 1)]
    low = min(MIN_PROBABILITY, between.min(initial=1.0) / 2)
    high = max(1 - MIN_PROBABILITY, between.max(initial=0.0))
    return np.where(chances <= 0, low, np.where(chances >= 1, high, chances))


def _cohort_faults(frame: pl.DataFrame) -> list[str]:
    """A patient in two cohorts would be resampled as two."""
    if "patient_id" not in frame.columns:
        return []
    torn = frame.filter(pl.col("cohort").n_unique().over("run_id", "patient_id") > 1)
    if torn.is_empty():
        return []
    count = plural(torn["patient_id"].n_unique(), "patient")
    return [f"{count} in more than one cohort, first in row {torn[ROW][0]}"]
