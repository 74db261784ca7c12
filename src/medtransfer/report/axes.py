"""Axes of charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Values = Sequence[Mapping[str, Any]]
LEAST_AREA = 0.5
"""An AUROC axis starts here, or below the lowest interval."""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: What is along it.
        domain: Where it starts and ends.
        kind: How it is divided.
        marks: Where its labels stand; chosen by the chart if empty.
        percent: Whether labels are shares.
    """

    title: str
    domain: tuple[float, float] = (0.0, 1.0)
    kind: Literal["linear", "log", "sqrt"] = "linear"
    marks: Sequence[float] = ()
    percent: bool = False


def area_axis(title: str, values: Values) -> Axis:
    """An axis for AUROC and the like: from 0.5, or below the lowest interval, to 1."""
    known = [v[k] for v in values for k in ("low", "value", "y") if v.get(k) is not None]
    lowest = min(known, default=LEAST_AREA)
    return Axis(title, (min(LEAST_AREA, int(float(lowest) * 20) / 20), 1.0))
