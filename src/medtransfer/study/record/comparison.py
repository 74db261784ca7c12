"""Comparison of two runs to the bit: predictions, weights, validations."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.errors import plural
from medtransfer.runs.folders import RunFolder

KEY = ["member", "case_id"]
OUTPUTS = ("logit_", "ood_")
"""Starts of the columns of predictions that a network makes."""


@dataclass(frozen=True)
class ComparedPart:
    """One part of a run beside the same part of its repetition.

    Attributes:
        name: Predictions, weights or validations.
        is_equal: To the bit; None if it could not be compared.
        then: SHA-256 of the part in the run.
        now: In the repetition.
        detail: Place and size of the difference, in words; empty if there is none.
    """

    name: str
    is_equal: bool | None
    then: str | None = None
    now: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class LogitDifference:
    """The largest difference of a logit between two runs.

    Attributes:
        value: Its size.
        column: The column.
        split: Split of the case.
        cohort: Cohort of the case.
        cases: Cases with any difference.
    """

    value: float
    column: str
    split: str
    cohort: str
    cases: int


def compare_predictions(
    then: pl.DataFrame, now: pl.DataFrame
) -> tuple[ComparedPart, LogitDifference | None]:
    """Compare what two runs predict for the same cases; labels are no part of it.

    Args:
        then: Predictions table of the run.
        now: Of the repetition.
    """
    names = [name for name in then.columns if name.startswith(OUTPUTS)]
    missing = [name for name in names if name not in now.columns]
    keys = [table.select(*KEY).sort(KEY) for table in (then, now)]
    if missing or not keys[0].equals(keys[1]):
        lost = then.join(now, on=KEY, how="anti").height
        added = now.join(then, on=KEY, how="anti").height
        detail = f"{plural(lost, 'case')} missing, {added:,} more"
        detail += f"; columns missing: {', '.join(missing)}" if missing else ""
        return ComparedPart("predictions", is_equal=False, detail=detail), None
    first, second = then.sort(KEY), now.sort(KEY)
    digests = [_values_digest(table, names) for table in (first, second)]
    if digests[0] == digests[1]:
        return ComparedPart("predictions", True, *digests), None
    gaps = np.stack([_gaps(first[name], second[name]) for name in names], axis=1)
    row, column = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
    largest = LogitDifference(
        value=float(gaps[row, column]),
        column=names[column],
        split=str(first["split"][int(row)]),
        cohort=str(first["cohort"][int(row)]),
        cases=int((gaps > 0).any(axis=1).sum()),
    )
    detail = (
        f"{largest.cases:,} of {plural(len(first), 'case')} differ, at most by "
        f"{largest.value:.3g} ({largest.column}, {largest.split} of {largest.cohort})"
    )
    return ComparedPart("predictions", False, *digests, detail=detail), largest


def compare_weights(then: RunFolder, now: RunFolder) -> ComparedPart:
    """Compare the selected weights of two runs."""
    files = [_weight_files(run) for run in (then, now)]
    if not files[0] or not files[1]:
        detail = "the run has no weights: they are deleted with `keep: predictions`"
        return ComparedPart("weights", is_equal=None, detail=detail)
    digests = [_content_digest(paths) for paths in files]
    is_equal = digests[0] == digests[1]
    return ComparedPart("weights", is_equal, *digests, detail="" if is_equal else "they differ")


def compare_histories(then: RunFolder, now: RunFolder) -> ComparedPart:
    """Compare the validations of two runs, and name the first step that differs."""
    rows = [run.history_rows() for run in (then, now)]
    files = [[run.path / "history.jsonl"] for run in (then, now)]
    digests = [_content_digest(paths) for paths in files]
    if rows[0] == rows[1]:
        return ComparedPart("validations", True, *digests)
    pairs = zip(*rows, strict=False)
    steps = [int(a.get("step", 0)) for a, b in pairs if a != b]
    detail = f"they differ from step {steps[0]} on" if steps else "their number differs"
    return ComparedPart("validations", False, *digests, detail=detail)


def _gaps(then: pl.Series, now: pl.Series) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Absolute differences; infinite where one alone is undefined. [N]"""
    first, second = (series.cast(pl.Float64).to_numpy() for series in (then, now))
    gaps = np.abs(first - second)
    is_alike = (np.isnan(first) & np.isnan(second)) | (first == second)
    return np.where(is_alike, 0.0, np.nan_to_num(gaps, nan=np.inf))


def _values_digest(table: pl.DataFrame, names: Sequence[str]) -> str:
    """SHA-256 of the bits of some columns, in the table's order."""
    hashed = hashlib.sha256()
    for name in names:
        hashed.update(f"{name}\0".encode())
        hashed.update(table[name].cast(pl.Float64).to_numpy().astype("<f8").tobytes())
    return hashed.hexdigest()


def _weight_files(run: RunFolder) -> list[Path]:
    return sorted(run.checkpoint.glob("selected-*/*.safetensors"))


def _content_digest(paths: Sequence[Path]) -> str:
    """SHA-256 of the content of files, one after the other."""
    hashed = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while part := stream.read(1 << 20):
                hashed.update(part)
    return hashed.hexdigest()
