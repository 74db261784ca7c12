"""Scores, calls, OOD share and image statistics by month and by device."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.monitoring.cases import WatchedCases
from medtransfer.deploy.monitoring.prediction_files import STATISTICS
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import NORMAL_QUANTILE, wilson_interval

BASELINE_PERIOD = "baseline"


@dataclass(frozen=True)
class PeriodNumber:
    """A mean or a share of a period's cases.

    Attributes:
        period: `baseline`, a month, or a table.
        device: None for all devices.
        quantity: `probability`, `calls`, `ood`, `deferred`, `brightness` or `contrast`.
        subject: Target, or target and operating point; empty for none.
        value: None if the period has too few cases.
        low: Lower end of its 95 % interval, by patient.
        high: Upper end.
        cases: Number of cases.
        patients: Number of patients.
    """

    period: str
    device: str | None
    quantity: str
    subject: str
    value: float | None
    low: float | None
    high: float | None
    cases: int
    patients: int

    @property
    def is_share(self) -> bool:
        """True for a share of the cases."""
        return self.quantity in ("calls", "ood", "deferred")


def period_numbers(
    watched: WatchedCases, baseline: WatchedCases, least: int
) -> Iterator[PeriodNumber]:
    """Numbers of the baseline, of every period, and of every device in them.

    Args:
        watched: Cases of the watch.
        baseline: Cases of the time before.
        least: Periods and devices of fewer cases have no numbers.
    """
    facts = watched.facts
    yield from _numbers(facts, baseline.frame, BASELINE_PERIOD, None, least)
    for period in periods_of(watched):
        of_period = watched.frame.filter(pl.col("period") == period)
        yield from _numbers(facts, of_period, period, None, least)
    for device in devices_of(baseline, watched):
        for name, cases in ((BASELINE_PERIOD, baseline), ("all", watched)):
            of_device = cases.frame.filter(pl.col("device") == device)
            yield from _numbers(facts, of_device, name, device, least)


def periods_of(watched: WatchedCases) -> list[str]:
    """Periods in the order of time."""
    return watched.frame["period"].unique(maintain_order=True).to_list()


def devices_of(*tables: WatchedCases) -> list[str]:
    """Devices of any of the tables."""
    return sorted({name for cases in tables for name in cases.frame["device"].drop_nulls()})


def _numbers(
    facts: BundleFacts, frame: pl.DataFrame, period: str, device: str | None, least: int
) -> Iterator[PeriodNumber]:
    columns = [("probability", name, f"probability_{name}") for name in facts.names]
    columns += [
        ("calls", f"{target.name} at {point}", f"call_{target.name}_{point}")
        for target in facts.targets
        for point in target.thresholds
    ]
    columns += [(name, "", name) for name in ("ood", "deferred", *STATISTICS)]
    for quantity, subject, column in columns:
        if column not in frame.columns:
            continue
        filled = frame.filter(pl.col(column).is_not_null())
        patient = filled["patient"].to_numpy()
        values = filled[column].cast(pl.Float64).to_numpy()
        number = PeriodNumber(
            period=period,
            device=device,
            quantity=quantity,
            subject=subject,
            value=None,
            low=None,
            high=None,
            cases=len(filled),
            patients=len(np.unique(patient)),
        )
        yield number if len(filled) < least else _measured(number, values, patient)


def _measured(number: PeriodNumber, values: Floats, patient: NDArray[Any]) -> PeriodNumber:
    """The number with its value and interval; cases of a patient are not independent."""
    mean = float(values.mean())
    owner = np.unique(patient, return_inverse=True)[1]
    sums = np.bincount(owner, weights=values - mean)
    count = len(sums)
    error = float(np.sqrt((sums**2).sum() * count / max(count - 1, 1))) / len(values)
    if number.is_share:
        trials = mean * (1 - mean) / error**2 if error > 0 else float(count)
        low, high = wilson_interval(mean, trials)
    else:
        low, high = mean - NORMAL_QUANTILE * error, mean + NORMAL_QUANTILE * error
    return replace(number, value=mean, low=low, high=high)
