"""Streams of numbers that a watch tests for a change: which, and of whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.deploy.monitoring.cases import WatchedCases
from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.monitoring.prediction_files import STATISTICS
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.tables.predictions import OOD_PREFIX

Family = Literal["inputs", "performance"]
Quantity = Literal["score", "calls", "OOD score", "deferred", "brightness", "contrast"]


@dataclass(frozen=True)
class StreamKey:
    """Name of a stream.

    Attributes:
        family: `inputs` needs no labels; `performance` is of cases with a known label.
        quantity: The number that each patient gives.
        subject: Target, operating point or detector that it belongs to; empty for none.
        label: Label of the patients of a `performance` stream.
        device: Device of the patients; None for all.
    """

    family: Family
    quantity: Quantity
    subject: str = ""
    label: int | None = None
    device: str | None = None

    def words(self) -> str:
        """The stream in words."""
        name = f"{self.quantity} of {self.subject}" if self.subject else self.quantity
        if self.label is not None:
            name += f", patients {'with' if self.label else 'without'} {self.subject}"
        return name if self.device is None else f"{name}, {self.device}"


@dataclass(frozen=True, eq=False)
class Stream:
    """Numbers of a baseline, and of the patients of a watch in the order of time.

    Attributes:
        key: Its name.
        baseline: One number a patient. [B]
        values: One number a patient. [n]
        rows: Row of each in the frame of the watch. [n]
    """

    key: StreamKey
    baseline: Floats
    values: Floats
    rows: NDArray[np.int64]


def input_streams(
    watched: WatchedCases, baseline: WatchedCases, config: MonitorConfig
) -> list[Stream]:
    """Streams that need no labels; which there are depends on bundle and baseline alone.

    Every patient counts once, with the first case: a patient's later cases resemble it.

    Args:
        watched: Cases of the watch.
        baseline: Cases of the time before.
        config: Least number of patients of a baseline.
    """
    new = _first_of_patients(_numbered(watched.frame))
    old = _first_of_patients(_numbered(baseline.frame))
    streams = [_stream(key, column, old, new) for key, column in _columns(baseline)]
    devices = (
        old["device"].drop_nulls().value_counts().filter(pl.col("count") >= config.min_baseline)
    )
    names = devices["device"].sort().to_list() if len(devices) > 1 else []
    for device in names:
        of_device = pl.col("device") == device
        streams += [
            _stream(
                StreamKey("inputs", key.quantity, key.subject, device=device),
                column,
                old.filter(of_device),
                new.filter(of_device),
            )
            for key, column in _columns(baseline)
            if key.quantity not in ("calls", "deferred")
        ]
    return [stream for stream in streams if len(stream.baseline) >= config.min_baseline]


def performance_streams(
    watched: WatchedCases, baseline: WatchedCases, config: MonitorConfig
) -> list[Stream]:
    """Scores of the patients with a target, and of those without, where labels are known.

    Sensitivity is a share of the former and specificity of the latter, so neither changes while
    both distributions stay. The prevalence plays no part.

    Args:
        watched: Cases of the watch.
        baseline: Cases of the time before, with labels.
        config: Least number of patients of a baseline.
    """
    streams: list[Stream] = []
    for name in watched.facts.names:
        for label in (1, 0):
            is_known = pl.col(f"target_{name}") == label
            old = _first_of_patients(_numbered(baseline.frame).filter(is_known))
            new = _first_of_patients(_numbered(watched.frame).filter(is_known))
            key = StreamKey("performance", "score", name, label=label)
            streams.append(_stream(key, f"probability_{name}", old, new))
    return [stream for stream in streams if len(stream.baseline) >= config.min_baseline]


def _columns(baseline: WatchedCases) -> Iterator[tuple[StreamKey, str]]:
    """Keys of the streams of all devices, with their columns."""
    for target in baseline.facts.targets:
        yield StreamKey("inputs", "score", target.name), f"probability_{target.name}"
        for point in target.thresholds:
            column = f"call_{target.name}_{point}"
            if column in baseline.frame.columns:
                yield StreamKey("inputs", "calls", f"{target.name} at {point}"), column
    for detector in baseline.facts.detectors:
        key = StreamKey("inputs", "OOD score", detector.name)
        yield key, f"{OOD_PREFIX}{detector.name}"
    yield StreamKey("inputs", "deferred"), "deferred"
    for name in STATISTICS:
        if name in baseline.frame.columns:
            yield StreamKey("inputs", "brightness" if name == STATISTICS[0] else "contrast"), name


def _stream(key: StreamKey, column: str, old: pl.DataFrame, new: pl.DataFrame) -> Stream:
    filled = new.filter(pl.col(column).is_not_null()) if column in new.columns else new.clear()
    values = filled[column] if column in new.columns else pl.Series([], dtype=pl.Float64)
    return Stream(
        key=key,
        baseline=old[column].drop_nulls().cast(pl.Float64).to_numpy(),
        values=values.cast(pl.Float64).to_numpy(),
        rows=filled["_row"].to_numpy().astype(np.int64),
    )


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Cases with their row in the frame of the watch."""
    return frame.with_row_index("_row")


def _first_of_patients(frame: pl.DataFrame) -> pl.DataFrame:
    """The first case of each patient."""
    return frame.unique("patient", keep="first", maintain_order=True)
