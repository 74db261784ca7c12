"""AUROC by DeLong's method, as a cross-check of the bootstrap."""

from collections.abc import Iterator

import numpy as np

from medtransfer.evaluation.place import Place
from medtransfer.metrics.delong import delong, logit_intervals
from medtransfer.tables.results import Result

DELONG = "auroc_delong"
"""AUROC with the interval of DeLong et al. 1988, clustered by patient (Obuchowski 1997)."""

NO_VARIANCE = "no interval: DeLong's variance is 0"


def delong_results(place: Place) -> Iterator[Result]:
    """AUROC of every target of a place, with the clustered DeLong interval on the logit scale."""
    run = place.run
    for target, name in enumerate(run.names):
        rows = place.slices[0].cases & run.labelled(target)
        truth = run.targets[rows, target].astype(np.int64)
        chances = run.probabilities if run.single_label else run.logits
        found = delong(truth, chances[None, rows, target], place.patient[rows].astype(np.int64))
        low, high = logit_intervals(found)[0].tolist()
        value = float(found.values[0])
        known = np.isfinite(value)
        reason = found.reason or (None if np.isfinite(low) else NO_VARIANCE)
        if not rows.any():
            reason = "no labelled case"
        yield Result(
            run.run_id, "test", place.name, name, DELONG, value if known else None,
            low if np.isfinite(low) else None, high if np.isfinite(high) else None,
            int(rows.sum()), run.patients(rows), int(truth.sum()), reason,
        )  # fmt: skip
