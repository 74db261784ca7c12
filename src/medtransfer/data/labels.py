"""From label cells (1, 0, -1, empty) to training targets, by a named policy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.case_index import CodeArray
from medtransfer.data.config import DataConfig, LabelPolicy
from medtransfer.errors import plural, printable, suggestion
from medtransfer.tables.chunks import SLICE_ROWS
from medtransfer.tables.manifest import MANIFEST_CONTRACT, free_columns, is_fraction, label_text
from medtransfer.tables.schema import raise_faults, rows_of

STATES = pl.Enum(("-1", "0", "1"))
"""Allowed contents of a label cell, in text order."""
HALF = 0.5
"""Share of readers at which there is no majority."""


def policy_value(policy: str) -> float:
    """The target a policy gives a cell: 0, 1, p for ``soft(p)``, NaN (masked) for ``ignore``."""
    match policy:
        case "ignore":
            return float("nan")
        case "zeros":
            return 0.0
        case "ones":
            return 1.0
        case _:
            return float(policy.removeprefix("soft(").removesuffix(")"))


def apply_policy(cells: pl.Series, policy: LabelPolicy) -> NDArray[np.float64]:
    """Targets of one column.

    Args:
        cells: Cells ``1``, ``0``, ``-1`` or null. [N]
        policy: What -1 and null mean.

    Returns:
        0 to 1, NaN where masked. [N]
    """
    if policy.fractions == "train":
        numbers = cells.cast(pl.String).cast(pl.Float64).fill_null(np.nan).to_numpy()
        certain = np.where(numbers < 0, policy_value(policy.uncertain), numbers)
        return np.where(np.isnan(numbers), policy_value(policy.empty), certain)
    values = np.array([policy_value(policy.uncertain), 0.0, 1.0, policy_value(policy.empty)])
    return values[cells.cast(STATES).to_physical().fill_null(len(STATES.categories)).to_numpy()]


def one_hot(cells: pl.Series, name: str) -> NDArray[np.float64]:
    """Targets of one class of a class column: 1 or 0, NaN where the cell is empty. [N]"""
    return (cells == name).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def label_columns(data: DataConfig) -> list[str]:
    """The manifest columns that hold labels."""
    return [data.class_column] if data.class_column else list(data.names)


def raw_labels(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """The label cells in one spelling, one column per `label_columns`, then those of shares."""
    columns = [*label_columns(data), *data.class_shares.values()]
    return frame.select(label_text(name) for name in columns)


def case_labels(frame: pl.DataFrame, data: DataConfig, cases: CodeArray) -> pl.DataFrame:
    """The label cells per case: the one value its images agree on, null where none is given.

    Args:
        frame: Manifest rows. [R rows]
        data: Names of the label columns.
        cases: Case of each row, from `numbers.numbered`. [R]

    Returns:
        The label columns, one row per case, in the order of their numbers. Where the images of a
        case disagree the smallest value in text order stands; `audit` stops on that first. Then the
        columns of `class_shares`, whose rows sum to 1, NaN for a case without shares.
    """
    least = [_least(frame, name, cases, data) for name in label_columns(data)]
    if not data.class_shares:
        return pl.DataFrame(least)
    columns = list(data.class_shares.values())
    shares = np.full((int(cases.max()) + 1 if len(cases) else 0, len(columns)), np.nan)
    shares[cases] = frame.select(_number(name) for name in columns).to_numpy()
    shares /= shares.sum(axis=1, keepdims=True)
    of_class = (pl.Series(name, shares[:, place]) for place, name in enumerate(columns))
    return pl.DataFrame([*least, *of_class])


def _number(name: str) -> pl.Expr:
    """The cells of a column as numbers, NaN where they are empty or are none."""
    number = label_text(name).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number).fill_null(np.nan).alias(name)


def require_class_shares(frame: pl.DataFrame, path: Path, columns: Sequence[str]) -> None:
    """Check that each row has shares of all classes or of none, and that a case has one set.

    Args:
        frame: Manifest rows.
        path: Of the manifest.
        columns: Of the classes' shares.

    Raises:
        TableError: Columns are missing, or rows do not keep this; they are named by number.
    """
    missing = [name for name in columns if name not in frame.columns]
    faults = [
        f"'{printable(name, 80)}' (data.class_shares) is not a column. "
        f"{suggestion(name, free_columns(frame))}".rstrip()
        for name in missing
    ]
    if columns and not missing:
        text = [label_text(name) for name in columns]
        numbers = [_number(name) for name in columns]
        filled = pl.sum_horizontal(cell.is_not_null() for cell in text)
        wrong = (
            (
                "cells that are no number of 0 or more",
                pl.any_horizontal(
                    cell.is_not_null() & (number.is_nan() | (number < 0))
                    for cell, number in zip(text, numbers, strict=True)
                ),
            ),
            (
                "shares of some classes only (write 0 for the others)",
                (filled > 0) & (filled < len(columns)),
            ),
            ("shares whose sum is 0", (filled == len(columns)) & (pl.sum_horizontal(numbers) == 0)),
            (
                "other shares than other images of their case",
                pl.any_horizontal(
                    (cell.fill_null("").n_unique() > 1).over("case_id") for cell in text
                ),
            ),
        )
        for what, holds in wrong:
            rows = frame.filter(holds)
            if len(rows):
                faults.append(
                    f"columns of data.class_shares hold {what} in {plural(len(rows), 'row')}, "
                    f"{rows_of(rows)}"
                )
    raise_faults(MANIFEST_CONTRACT, path, faults)


def _least(frame: pl.DataFrame, name: str, cases: CodeArray, data: DataConfig) -> pl.Series:
    """The smallest label of each case, as a category. [N]"""
    states = _states(frame, name, data)
    none = len(states.categories)
    least = np.full(int(cases.max()) + 1 if len(cases) else 0, none, dtype=np.uint32)
    for start in range(0, len(frame), SLICE_ROWS):
        cells = frame.slice(start, SLICE_ROWS).select(label_text(name))[name].cast(states)
        values = cells.to_physical().cast(pl.UInt32).fill_null(none).to_numpy()
        np.minimum.at(least, cases[start : start + SLICE_ROWS], values)
    codes = pl.Series(name, least)
    return codes.set(codes == none, None).cat.to(states)


def _states(frame: pl.DataFrame, name: str, data: DataConfig) -> pl.Enum:
    """Contents that a label column may have, in text order."""
    if data.class_column is not None:
        return pl.Enum(sorted(data.names))
    if data.targets[name].fractions == "refuse":
        return STATES
    cells = frame.select(label_text(name).unique())[name].drop_nulls()
    return pl.Enum(sorted({*STATES.categories, *cells}))


def targets_in_use(
    labels: pl.DataFrame, data: DataConfig, training: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Targets after the label policy, fractions and shares of classes in training cases alone.

    Elsewhere a cell between 0 and 1 is the majority, 1 above ½ and 0 below it, masked at ½:
    thresholds, calibrators and metrics need one answer a case. What `uncertain: soft(p)` gives is
    no majority and stays.

    Args:
        labels: From `case_labels`.
        data: The targets and their policies.
        training: True for cases of the training split. [N]

    Returns:
        0 to 1, NaN where masked. [N cases, T targets]
    """
    targets = targets_of(labels, data)
    if data.class_shares:
        shares = labels.select(data.class_shares[name] for name in data.names).to_numpy()
        rows = training & ~np.isnan(shares).any(axis=1)
        targets[rows] = shares[rows]
    for column, name in enumerate(data.names):
        if data.targets[name].fractions == "refuse":
            continue
        shares = labels[name].cast(pl.String).cast(pl.Float64).fill_null(np.nan).to_numpy()
        split = (shares > 0) & (shares < 1) & ~training
        majority = np.where(shares == HALF, np.nan, shares > HALF)
        targets[split, column] = majority[split]
    return targets


def share_notes(frame: pl.DataFrame, data: DataConfig) -> list[str]:
    """Sentences on the use of shares of readers, and on how many have no majority.

    Args:
        frame: Manifest rows.
        data: Targets and policies.
    """
    notes: list[str] = []
    if data.class_shares:
        has_shares = label_text(next(iter(data.class_shares.values()))).is_not_null()
        count = frame.select(has_shares.sum()).item()
        notes.append(
            f"{plural(count, 'row')} of {len(frame):,} have shares of the classes: training cases "
            f"take these as their target, elsewhere '{data.class_column}' is the truth."
        )
    for name in data.fractional:
        ties = (label_text(name).cast(pl.Float64) == HALF).alias("ties")
        soft, even = frame.select(is_fraction(name).sum(), ties.sum()).row(0)
        if soft:
            notes.append(
                f"'{name}' is between 0 and 1 in {plural(soft, 'row')}: training cases keep that "
                f"as their target, elsewhere the majority is the truth. {plural(even, 'row')} at "
                "0.5: without truth in tuning and test, left out there."
            )
    return notes


def targets_of(labels: pl.DataFrame, data: DataConfig) -> NDArray[np.float64]:
    """Targets after the label policy.

    Args:
        labels: From `case_labels`.
        data: The targets and their policies.

    Returns:
        0 to 1, NaN where masked. [N cases, T targets]
    """
    targets = np.empty((len(labels), len(data.names)))
    for column, name in enumerate(data.names):
        targets[:, column] = target_of(labels, data, name)
    return targets


def target_of(labels: pl.DataFrame, data: DataConfig, name: str) -> NDArray[np.float64]:
    """One column of `targets_of`. [N cases]"""
    if data.class_column is not None:
        return one_hot(labels[data.class_column], name)
    return apply_policy(labels[name], data.targets[name])
