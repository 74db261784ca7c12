"""AUROC of scores of cases and differences of it, with intervals over patients."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.analysis.interval import Interval
from medtransfer.metrics.discrimination import auroc
from medtransfer.seeds import generator

Floats = NDArray[np.float64]
REPLICATES = 500
ONE_CLASS = "one class only"


def patient_weights(
    patients: NDArray[np.str_], replicates: int = REPLICATES, purpose: str = "understanding"
) -> Floats:
    """Weights of cases: 1 each in the first row, then those of bootstrap samples of patients.

    Args:
        patients: Of each case. [N]
        replicates: Number of samples R.
        purpose: Of the draw; patients that are resampled apart have purposes of their own.

    Returns:
        [R + 1, N]
    """
    names, owner = np.unique(patients, return_inverse=True)
    draw = generator(0, purpose)
    counts = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), size=replicates)
    return np.vstack([np.ones(len(patients)), counts[:, owner].astype(np.float64)])


def macro_auroc(targets: Floats, scores: Floats, weights: Floats) -> Floats:
    """Mean AUROC over the targets with both classes; NaN without any. [R]

    Args:
        targets: 0 or 1, NaN where masked; others count as masked. [N, T]
        scores: [N, T]
        weights: From `patient_weights`. [R, N]
    """
    areas: list[Floats] = []
    for column in range(targets.shape[1]):
        rows = np.isin(targets[:, column], (0.0, 1.0))
        truth = targets[rows, column].astype(np.int64)
        if len(np.unique(truth)) == 2:
            areas.append(auroc(truth, scores[rows, column])(weights[:, rows]))
    if not areas:
        return np.full(len(weights), np.nan)
    stacked = np.stack(areas)
    # a sample of few patients may have one class alone, for every target
    defined = (~np.isnan(stacked)).sum(axis=0)
    return np.where(defined > 0, np.nansum(stacked, axis=0) / np.maximum(defined, 1), np.nan)


def interval_of(values: Floats) -> Interval:
    """Value of the sample itself, and the percentile interval of the others.

    Args:
        values: The first is that of the sample itself. [R + 1]
    """
    if np.isnan(values[0]):
        return Interval.undefined(ONE_CLASS)
    drawn = values[1:][~np.isnan(values[1:])]
    if len(drawn) < len(values) / 2:
        return Interval.without_interval(float(values[0]), "too few cases for an interval")
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values[0]), float(low), float(high))
