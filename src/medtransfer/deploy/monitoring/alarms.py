"""Alarms of a watch: evidence of every stream, against a rate that all streams share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.monitoring.streams import Stream, StreamKey
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.sequential.betting import first_alarm, log_wealth
from medtransfer.statistics.sequential.ranks import conformal_p_values

Direction = Literal["higher", "lower", "other spread"]
CENTRE = 0.05
"""Mean p-values this near to ½ say that the middle has not moved."""


@dataclass(frozen=True)
class StreamEvidence:
    """Evidence that a stream has changed.

    Attributes:
        key: The stream.
        baseline_patients: Patients of its baseline.
        patients: Patients since.
        baseline_mean: Mean of its numbers in the baseline.
        mean: Mean since the alarm's period began, or of all if there is no alarm.
        rate: Share of the stated false-alarm rate that it has.
        strongest: Largest wealth of its bets so far, from 1; an alarm at 1 / rate. At most 1e300.
        alarm_period: Period of the patient at whom it alarmed; None if it never did.
        alarm_patient: Number of that patient in the stream, from 1.
        direction: The change as it looked at the alarm.
    """

    key: StreamKey
    baseline_patients: int
    patients: int
    baseline_mean: float
    mean: float | None
    rate: float
    strongest: float
    alarm_period: str | None = None
    alarm_patient: int | None = None
    direction: Direction | None = None

    @property
    def alarms(self) -> bool:
        """True if it has ever alarmed."""
        return self.alarm_period is not None


def evidence_of(
    streams: Sequence[Stream], periods: pl.Series, config: MonitorConfig
) -> list[StreamEvidence]:
    """Evidence of the streams of one family.

    The stated rate is divided among them, half of it among those of single devices if there are
    any, so the probability that any of them ever alarms without a change is at most the rate
    (Bonferroni).

    Args:
        streams: Of one family.
        periods: Period of each row of the watch. [N]
        config: The stated rate.
    """
    longest = max((len(stream.values) for stream in streams), default=0)
    p_values = np.full((len(streams), longest), np.nan)
    for place, stream in enumerate(streams):
        rng = generator(config.seed, "monitor", stream.key.words(), stream.key.family)
        ps = conformal_p_values(stream.baseline, stream.values, rng)
        p_values[place, : len(ps)] = ps
    wealth = log_wealth(p_values)
    of_devices = sum(stream.key.device is not None for stream in streams)
    half = 0.5 if of_devices else 1.0
    evidence: list[StreamEvidence] = []
    for place, stream in enumerate(streams):
        alike = of_devices if stream.key.device is not None else len(streams) - of_devices
        rate = config.false_alarm_rate * half / alike
        first = int(first_alarm(wealth[place : place + 1], rate)[0])
        evidence.append(
            _evidence(
                stream, p_values[place], wealth[place], rate=rate, first=first, periods=periods
            )
        )
    return evidence


def _evidence(
    stream: Stream, ps: Floats, wealth: Floats, *, rate: float, first: int, periods: pl.Series
) -> StreamEvidence:
    values, is_alarm = stream.values, first >= 0
    period = str(periods[int(stream.rows[first])]) if is_alarm else None
    since = (periods[stream.rows] == period).to_numpy() if is_alarm else None
    start = 0 if since is None else int(since.argmax())
    recent = values[start:]
    return StreamEvidence(
        key=stream.key,
        baseline_patients=len(stream.baseline),
        patients=len(values),
        baseline_mean=float(stream.baseline.mean()),
        mean=float(recent.mean()) if len(recent) else None,
        rate=rate,
        strongest=float(np.exp(min(690.0, max(0.0, wealth.max(initial=0.0))))),
        alarm_period=period,
        alarm_patient=first + 1 if is_alarm else None,
        direction=_direction(ps[start : first + 1]) if is_alarm else None,
    )


def _direction(ps: Floats) -> Direction:
    """Direction of a change, from the p-values between its period's start and the alarm."""
    middle = float(ps.mean())
    if abs(middle - 0.5) < CENTRE:
        return "other spread"
    return "higher" if middle > 0.5 else "lower"
