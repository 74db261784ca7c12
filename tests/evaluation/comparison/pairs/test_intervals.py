"""Intervals of differences: of replicates, of the sides' own intervals, and never without width."""

import numpy as np
import pytest

from medtransfer.evaluation.comparison.pairs.intervals import drop_interval, paired_interval
from medtransfer.evaluation.scoring.estimate import NO_SPREAD, Estimate
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import Support, auroc_interval

PATIENTS = 200
SPREAD: Floats = np.linspace(-0.04, 0.04, 101)


def auroc(value: float, spread: Floats | float = 0.0) -> Estimate:
    """An AUROC of 100 positive and 100 negative patients, with replicates about it."""
    values = np.concatenate([[value], value + np.zeros(101) + spread])
    support = Support(PATIENTS // 2, PATIENTS // 2, PATIENTS, PATIENTS)
    return Estimate(values, PATIENTS, PATIENTS, support=support)


def test_a_drop_between_two_complete_separations_has_the_width_of_both() -> None:
    own = auroc_interval(1.0, 100, 100)
    interval, reason = drop_interval(auroc(1.0), auroc(1.0), "auroc")
    assert reason is None
    assert interval == (pytest.approx(own[0] - 1), pytest.approx(1 - own[0]))


def test_a_drop_from_complete_separation_holds_what_that_leaves_open() -> None:
    alone = auroc(0.8, SPREAD)
    interval, _ = drop_interval(auroc(1.0), alone, "auroc")
    replicates = alone.interval("auroc")
    assert interval is not None
    assert replicates is not None
    assert interval[0] < 1 - replicates[1]  # the truth at home may be below 1
    assert interval[1] == pytest.approx(1 - replicates[0])


@pytest.mark.parametrize("contrast", [drop_interval, paired_interval])
def test_replicates_that_are_all_equal_give_no_interval(contrast: object) -> None:
    assert callable(contrast)
    assert contrast(auroc(0.5), auroc(0.5), "auroc") == (None, NO_SPREAD)
    alike = auroc(0.8, SPREAD)
    same = contrast(alike, alike, "auroc")
    assert same == (None, NO_SPREAD)


def test_two_ends_of_the_range_on_the_same_patients_are_apart() -> None:
    interval, reason = paired_interval(auroc(1.0), auroc(0.0), "auroc")
    assert reason is None
    assert interval is not None
    assert 0.9 < interval[0] < 1
    assert interval[1] == 1
    assert paired_interval(auroc(1.0), auroc(1.0), "auroc") == (None, NO_SPREAD)
