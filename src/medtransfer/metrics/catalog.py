"""Catalogue of metrics by name: definition, direction, and when they are undefined.

The entries are beside the functions that they name. The reference page is generated from here, and
the laws in ``tests/laws`` cover all of it.
"""

from collections.abc import Iterator
from functools import lru_cache

from medtransfer.metrics import (
    agreement,
    calibration,
    calibration_curves,
    decisions,
    discrimination,
    ensembles,
    selective,
    thresholded,
)
from medtransfer.metrics.decisions import is_risk
from medtransfer.metrics.metric import POINT, RISK, Metric
from medtransfer.metrics.soft_labels.losses import SOFT_ENTRIES

OOD_RECALL = 0.95
"""Share of OOD cases that must be detected when false alarms are counted."""
HENDRYCKS = "Hendrycks and Gimpel 2017"

DETECTOR_ENTRIES = (
    Metric(
        name="ood_auroc",
        title="AUROC, OOD against internal",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="P(score of an OOD case > score of an internal case) + ½ P(equal)",
        reference=HENDRYCKS,
    ),
    Metric(
        name="ood_auprc",
        title="AUPRC, OOD against internal",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="average precision, OOD cases positive",
        reference=HENDRYCKS,
    ),
    Metric(
        name="ood_fpr95",
        title="False positive rate at 95 % OOD recall",
        better="lower",
        low=0,
        high=1,
        needs="both",
        formula="share of internal cases flagged when 95 % of OOD cases are",
        reference="Liang, Li and Srikant 2018",
    ),
    Metric(
        name="ood_flag_rate",
        title="Flagged as OOD",
        better="neither",
        low=0,
        high=1,
        needs="case",
        formula="share of cases with a score above the 95th percentile of tune",
        reference="this project",
    ),
)

COHORT_ENTRIES = (
    Metric(
        name="auroc_within",
        title="AUROC within the training cohorts",
        better="higher",
        low=0,
        high=1,
        needs="both",
        formula="mean of each training cohort's AUROC, weighted by its positive cases: "
        "P(score of a positive > score of a negative of the same cohort) + ½ P(equal)",
        reference="Janes and Pepe 2009",
        by_group=False,
    ),
    Metric(
        name="auroc_between",
        title="AUROC owed to differences between the training cohorts",
        better="neither",
        low=-1,
        high=1,
        needs="both",
        formula="AUROC of the training cohorts pooled, minus `auroc_within`",
        reference="this project",
        by_group=False,
    ),
)

CATALOG: dict[str, Metric] = {
    metric.name: metric
    for room in (
        discrimination,
        thresholded,
        decisions,
        agreement,
        calibration,
        calibration_curves,
        selective,
        ensembles,
    )
    for metric in room.ENTRIES
}
"""Metrics of a target or a case, by name."""
OOD_METRICS: dict[str, Metric] = {metric.name: metric for metric in DETECTOR_ENTRIES}
"""Metrics of an OOD detector, by name."""

COHORT_METRICS: dict[str, Metric] = {metric.name: metric for metric in COHORT_ENTRIES}
"""Metrics of several training cohorts tested together, by name."""

SOFT_METRICS: dict[str, Metric] = {metric.name: metric for metric in SOFT_ENTRIES}
"""Metrics of targets that have labels between 0 and 1, by name."""

SPECIAL_METRICS: dict[str, Metric] = {**COHORT_METRICS, **SOFT_METRICS, **OOD_METRICS}
"""Metrics that some test sets alone have, by name."""


@lru_cache(maxsize=4096)
def find_metric(name: str) -> Metric:
    """The catalogue's entry for a name in the results table, e.g. ``sensitivity@sens90``."""
    return SPECIAL_METRICS.get(name) or CATALOG[catalog_name(name)]


def catalog_name(name: str) -> str:
    """Name in the catalogue of a name in the results: ``net_benefit@<risk>`` of ``…@risk10``."""
    base, at, point = name.partition("@")
    if not at:
        return name
    return base + (RISK if point in RISK or is_risk(point) else POINT)


def result_names(
    metric: Metric, points: tuple[str, ...], risks: tuple[str, ...] = ()
) -> Iterator[tuple[str, str | None]]:
    """Names of a metric in the results table, each with its threshold.

    Args:
        metric: Entry of the catalogue.
        points: Operating points, as ``sens90``.
        risks: Decision thresholds, as ``risk10``.
    """
    if metric.at_point:
        for point in points:
            yield metric.name.replace("<point>", point), point
    elif metric.at_risk:
        for risk in risks:
            yield metric.name.replace("<risk>", risk), risk
    else:
        yield metric.name, None
