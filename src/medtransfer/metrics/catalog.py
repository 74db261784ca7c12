"""Every metric by name: what it is, which way is better, when it is undefined.

The entries stand beside the functions they name. The reference page is printed from here, and the
laws in ``tests/laws`` run over all of it.
"""

from collections.abc import Iterator

from medtransfer.metrics import (
    calibration_entries,
    decisions,
    detection_entries,
    discrimination,
    recalibration,
    selective,
    set_entries,
)
from medtransfer.metrics.metric import POINT, Metric

CATALOG: dict[str, Metric] = {
    metric.name: metric
    for room in (
        discrimination,
        decisions,
        calibration_entries,
        recalibration,
        selective,
        set_entries,
    )
    for metric in room.ENTRIES
}
"""Every metric of a target or a case, by its name."""
FOREIGN: dict[str, Metric] = {metric.name: metric for metric in detection_entries.ENTRIES}
"""Every metric of a detector, by its name."""


def find_metric(name: str) -> Metric:
    """The catalogue's entry for a name in the results table, e.g. ``sensitivity@sens90``."""
    base, at, _point = name.partition("@")
    return FOREIGN.get(name) or CATALOG[base + POINT if at else name]


def spelled(metric: Metric, points: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """The names a metric has in the results table, each with its operating point."""
    if metric.at_point:
        for point in points:
            yield metric.name.replace("<point>", point), point
    else:
        yield metric.name, None
