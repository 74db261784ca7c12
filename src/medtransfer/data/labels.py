"""From label cells (1, 0, -1, empty) to training targets, by a named policy."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.case_index import CodeArray
from medtransfer.data.config import DataConfig, LabelPolicy
from medtransfer.tables.chunks import SLICE_ROWS
from medtransfer.tables.manifest import label_text

STATES = pl.Enum(("-1", "0", "1"))
"""Allowed contents of a label cell, in text order."""


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
    values = np.array([policy_value(policy.uncertain), 0.0, 1.0, policy_value(policy.empty)])
    return values[cells.cast(STATES).to_physical().fill_null(len(STATES.categories)).to_numpy()]


def one_hot(cells: pl.Series, name: str) -> NDArray[np.float64]:
    """Targets of one class of a class column: 1 or 0, NaN where the cell is empty. [N]"""
    return (cells == name).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def label_columns(data: DataConfig) -> list[str]:
    """The manifest columns that hold labels."""
    return [data.class_column] if data.class_column else list(data.names)


def raw_labels(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """The label cells in one spelling, one column per `label_columns`."""
    return frame.select(label_text(name) for name in label_columns(data))


def case_labels(frame: pl.DataFrame, data: DataConfig, cases: CodeArray) -> pl.DataFrame:
    """The label cells per case: the one value its images agree on, null where none is given.

    Args:
        frame: Manifest rows. [R rows]
        data: Names of the label columns.
        cases: Case of each row, from `numbers.numbered`. [R]

    Returns:
        The label columns, one row per case, in the order of their numbers. Where the images of a
        case disagree the smallest value in text order stands; `audit` stops on that first.
    """
    return pl.DataFrame([_least(frame, name, cases, data) for name in label_columns(data)])


def _least(frame: pl.DataFrame, name: str, cases: CodeArray, data: DataConfig) -> pl.Series:
    """The smallest label of each case, as a category. [N]"""
    states = STATES if data.class_column is None else pl.Enum(sorted(data.names))
    none = len(states.categories)
    least = np.full(int(cases.max()) + 1 if len(cases) else 0, none, dtype=np.uint32)
    for start in range(0, len(frame), SLICE_ROWS):
        cells = frame.slice(start, SLICE_ROWS).select(label_text(name))[name].cast(states)
        values = cells.to_physical().cast(pl.UInt32).fill_null(none).to_numpy()
        np.minimum.at(least, cases[start : start + SLICE_ROWS], values)
    codes = pl.Series(name, least)
    return codes.set(codes == none, None).cat.to(states)


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
