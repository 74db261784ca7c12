"""Every metric by name: what it is, which way is better, when it is undefined.

The entries stand beside the functions they name. The reference page is printed from here, and the
laws in ``tests/laws`` run over all of it.
"""

from collections.abc import Iterator

from medtransfer.metrics import (
    calibration,
    calibration_curves,
    discrimination,
    ensembles,
    selective,
    thresholded,
)
from medtransfer.metrics.metric import POINT, Metric

OOD_RECALL = 0.95
"""Share of foreign cases that must be found where false alarms are counted."""
HENDRYCKS = "Hendrycks and Gimpel 2017"

DETECTOR_ENTRIES = (
    Metric(
        name="ood_auroc",
        title="AUROC of foreign against home",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="P(score of a foreign case above that of a case at home) + ½ P(equal)",
        reference=HENDRYCKS,
    ),
    Metric(
        name="ood_auprc",
        title="AUPRC of foreign against home",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="average precision, foreign cases positive",
        reference=HENDRYCKS,
    ),
    Metric(
        name="ood_fpr95",
        title="False alarms at home where 95 % of the foreign are found",
        better="lower",
        low=0,
        high=1,
        needs="both",
        formula="share of cases at home flagged when 95 % of the foreign ones are",
        reference="Liang, Li and Srikant 2018",
    ),
    Metric(
        name="ood_flag_rate",
        title="Flagged as foreign",
        better="neither",
        low=0,
        high=1,
        needs="case",
        formula="share of cases above the score that 95 % of tune stay below",
        reference="this project",
    ),
)

CATALOG: dict[str, Metric] = {
    metric.name: metric
    for room in (
        discrimination,
        thresholded,
        calibration,
        calibration_curves,
        selective,
        ensembles,
    )
    for metric in room.ENTRIES
}
"""Every metric of a target or a case, by its name."""
OOD_METRICS: dict[str, Metric] = {metric.name: metric for metric in DETECTOR_ENTRIES}
"""Every metric of a detector, by its name."""


def find_metric(name: str) -> Metric:
    """The catalogue's entry for a name in the results table, e.g. ``sensitivity@sens90``."""
    base, at, _point = name.partition("@")
    return OOD_METRICS.get(name) or CATALOG[base + POINT if at else name]


def result_names(metric: Metric, points: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """The names a metric has in the results table, each with its operating point."""
    if metric.at_point:
        for point in points:
            yield metric.name.replace("<point>", point), point
    else:
        yield metric.name, None
