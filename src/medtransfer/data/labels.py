"""From label cells (1, 0, -1, empty) to training targets, by a named policy."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig, LabelPolicy
from medtransfer.tables.manifest import label_text

NUMBER = "_number"
"""Name of a column of numbers that stand for ids; no manifest column is likely to be called so."""


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
        cells: Text cells ``1``, ``0``, ``-1`` or null. [N]
        policy: What -1 and null mean.

    Returns:
        0 to 1, NaN where masked. [N]
    """
    values = {"1": 1.0, "0": 0.0, "-1": policy_value(policy.uncertain)}
    return (
        cells.replace_strict(values, default=None, return_dtype=pl.Float64)
        .set(cells.is_null(), policy_value(policy.empty))
        .to_numpy()
        .astype(np.float64)
    )


def one_hot(cells: pl.Series, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """Targets of a class column: one row of 0 and 1 per cell, all NaN where it is empty. [N, T]"""
    columns = [(cells == name).fill_null(value=False).to_numpy() for name in classes]
    targets = np.stack(columns, axis=1).astype(np.float64)
    targets[cells.is_null().to_numpy()] = np.nan
    return targets


def label_columns(data: DataConfig) -> list[str]:
    """The manifest columns that hold labels."""
    return [data.class_column] if data.class_column else list(data.names)


def raw_labels(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """The label cells in one spelling, one column per `label_columns`."""
    return frame.select(label_text(name) for name in label_columns(data))


def case_labels(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """The label cells per case: the one value its images agree on, null where none is given.

    Args:
        frame: Manifest rows.
        data: Names of the label columns.

    Returns:
        `case_id` and the label columns, one row per case, sorted by `case_id`. Where the images
        of a case disagree the smallest value in text order stands; `audit` stops on that first.
    """
    # grouping by number takes a fraction of the memory of grouping by name
    number = frame["case_id"].rank("dense").alias(NUMBER)
    labels = raw_labels(frame, data).with_columns(number).group_by(NUMBER).agg(pl.all().min())
    names = frame["case_id"].gather(number.arg_unique()).sort()
    return labels.sort(NUMBER).drop(NUMBER).insert_column(0, names)


def targets_of(labels: pl.DataFrame, data: DataConfig) -> NDArray[np.float64]:
    """Targets after the label policy.

    Args:
        labels: From `case_labels`.
        data: The targets and their policies.

    Returns:
        0 to 1, NaN where masked. [N cases, T targets]
    """
    if data.class_column is not None:
        return one_hot(labels[data.class_column], data.names)
    columns = [apply_policy(labels[name], policy) for name, policy in data.targets.items()]
    return np.stack(columns, axis=1)
