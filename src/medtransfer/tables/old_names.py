"""Names in tables that version 0.1 wrote, read under the names of today."""

import logging
from functools import cache
from pathlib import Path

import polars as pl

RENAMED_METRICS = {
    "foreign_auroc": "ood_auroc",
    "foreign_auprc": "ood_auprc",
    "foreign_fpr95": "ood_fpr95",
    "flagged": "ood_flag_rate",
}
"""Metrics of version 0.1 and their names today; `flagged_drop` is `ood_flag_rate_drop`, etc."""
RENAMED_CURVES = {"ood": "foreign"}
"""Curves and the names of their files in version 0.1."""


def with_current_metrics(frame: pl.DataFrame) -> pl.DataFrame:
    """A table under today's metric names; a line on stderr says which names were replaced.

    Args:
        frame: Results or comparisons, with a column `metric`.
    """
    name = pl.col("metric")
    for old, new in RENAMED_METRICS.items():
        name = name.str.replace(f"^{old}(_|$)", f"{new}${{1}}")
    renamed = frame.with_columns(name)
    if not renamed["metric"].equals(frame["metric"]):
        pairs = (f"{old} is now {new}" for old, new in RENAMED_METRICS.items())
        _say_once(f"Metrics of version 0.1 have new names: {', '.join(pairs)}.")
    return renamed


def current_metric(name: str) -> str:
    """The name today of a metric of version 0.1, such as `flagged_drop`; other names unchanged."""
    for old, new in RENAMED_METRICS.items():
        if name == old or name.startswith(f"{old}_"):
            return new + name.removeprefix(old)
    return name


def curve_file(folder: Path, name: str) -> Path:
    """The file of a curve, or where there is none the file that version 0.1 wrote."""
    path = folder / f"{name}.parquet"
    old = folder / f"{RENAMED_CURVES.get(name, name)}.parquet"
    return old if old.is_file() and not path.is_file() else path


@cache
def _say_once(text: str) -> None:
    """Print a line on stderr, once in the life of a process."""
    logging.getLogger(__name__).warning(text)
