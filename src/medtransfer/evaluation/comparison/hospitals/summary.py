"""Summary of several training hospitals: their mean, and what to expect at the next one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from medtransfer.errors import listed
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean, with_seeds
from medtransfer.evaluation.scoring.test_set import COHORT
from medtransfer.statistics.robustness import EPSILON
from medtransfer.statistics.small_samples import NORMAL_QUANTILE
from medtransfer.statistics.variance import random_effects
from medtransfer.tables.results import ALL, Result

ACROSS, NEXT = "auroc_across", "auroc_next_cohort"
"""Mean over such hospitals, and the same with the interval of the next one's true value."""
FEW_HOSPITALS = 5
"""Hospitals below which a prediction interval is mostly ignorance."""
TOO_FEW = "fewer than two training cohorts with an interval"


def hospital_summaries(mean: Mean) -> Iterator[Result]:
    """Random-effects summary of the AUROC within each of several training cohorts.

    On the logit scale; each cohort's error is read off its interval, which has the seeds in it.
    """
    for (cohort, target), rows in _by_target(mean).items():
        usable = [row for row in rows if row.low is not None and row.high is not None]
        left = [row.group for row in rows if row not in usable]
        note = f"without {listed(left)}: no interval" if left else None
        blank = replace(
            rows[0],
            attribute=ALL,
            group=ALL,
            target=target,
            cohort=cohort,
            metric=ACROSS,
            value=None,
            low=None,
            high=None,
            contains=None,
            num_cases=sum(row.num_cases for row in usable),
            num_patients=sum(row.num_patients for row in usable),
            num_positive=sum(row.num_positive or 0 for row in usable),
            reason=note or TOO_FEW,
        )
        if len(usable) < 2:
            yield blank
            continue
        summary = random_effects(*_on_logits(usable))
        sources = (
            "patients and seeds"
            if all("seeds" in (r.contains or "") for r in usable)
            else "patients"
        )
        across = replace(blank, value=float(expit(summary.mean)), contains=sources, reason=note)
        yield replace(
            across, low=float(expit(summary.interval[0])), high=float(expit(summary.interval[1]))
        )
        if summary.next_one is None:
            reason = "no prediction interval from two training cohorts"
            yield replace(across, metric=NEXT, contains=None, reason=reason)
            continue
        reason = (
            f"of {len(usable)} hospitals: mostly ignorance" if len(usable) < FEW_HOSPITALS else None
        )
        low, high = (float(expit(end)) for end in summary.next_one)
        yield replace(across, metric=NEXT, low=low, high=high, reason=reason or note)


def _by_target(mean: Mean) -> dict[tuple[str, str], list[Result]]:
    """Rows of the AUROC of each training cohort, by test set and target."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for key, estimate in mean.estimates.items():
        if key.cohort == mean.internal_name and key.attribute == COHORT and key.metric == HEADLINE:
            row = estimate.as_result(key)
            if key in mean.by_seed:
                row = with_seeds(row, mean.seed_terms(key), (0.0, 1.0))
            rows.setdefault((key.cohort, key.target), []).append(row)
    return rows


def _on_logits(rows: Sequence[Result]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and standard errors on the logit scale. [K] and [K]"""
    ends = np.array([[row.value, row.low, row.high] for row in rows], dtype=np.float64)
    values, low, high = logit(np.clip(ends, EPSILON, 1 - EPSILON)).T
    return values, np.maximum((high - low) / 2 / NORMAL_QUANTILE, 1e-6)
