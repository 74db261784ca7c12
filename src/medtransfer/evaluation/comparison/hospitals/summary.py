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
TWO_HOSPITALS = "no prediction interval from two training cohorts"
PATIENTS = "patients"
TOO_FEW = "fewer than two training cohorts with an interval"


def hospital_summaries(mean: Mean) -> Iterator[Result]:
    """Random-effects summary of the AUROC within each of several training cohorts.

    On the logit scale; each cohort's error is read off its interval, which has the seeds in it.
    """
    for (cohort, target), rows in _by_target(mean).items():
        usable = [row for row in rows if row.low is not None and row.high is not None]
        left = [row.group for row in rows if row not in usable]
        note = f"without {listed(left)}: no interval" if left else None
        across = _blank(cohort, target, usable or rows)
        if len(usable) < 2:
            yield replace(across, reason="; ".join(filter(None, (TOO_FEW, note))))
            continue
        summary = random_effects(*_on_logits(usable))
        across = replace(across, value=float(expit(summary.mean)), reason=note)
        yield _with_ends(across, summary.interval, usable)
        following = replace(across, metric=NEXT)
        if summary.next_one is None:
            yield replace(following, reason="; ".join(filter(None, (TWO_HOSPITALS, note))))
            continue
        few = f"of {len(usable)} hospitals: mostly ignorance" if len(usable) < FEW_HOSPITALS else ""
        following = replace(following, reason="; ".join(filter(None, (few, note))) or None)
        yield _with_ends(following, summary.next_one, usable)


def _blank(cohort: str, target: str, rows: Sequence[Result]) -> Result:
    """Row of a summary with the counts of its cohorts, still without a value."""
    return Result(
        run_id=None,
        split=rows[0].split,
        cohort=cohort,
        target=target,
        metric=ACROSS,
        value=None,
        num_cases=sum(row.num_cases for row in rows),
        num_patients=sum(row.num_patients for row in rows),
        num_positive=sum(row.num_positive or 0 for row in rows),
        attribute=ALL,
        group=ALL,
    )


def _with_ends(row: Result, ends: tuple[float, float], rows: Sequence[Result]) -> Result:
    """A row with an interval on the logit scale, which contains what all cohorts' do."""
    low, high = (float(expit(end)) for end in ends)
    contained = {of_cohort.contains for of_cohort in rows}
    contains = contained.pop() if len(contained) == 1 else PATIENTS
    return replace(row, low=low, high=high, contains=contains)


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
