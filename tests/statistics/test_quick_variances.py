"""Variances written out for speed are numpy's to the last bit."""

import numpy as np
import pytest

from medtransfer.metrics.catalog import find_metric
from medtransfer.statistics.contrasts import seed_term
from medtransfer.statistics.small_samples import Support


@pytest.mark.parametrize("seeds", [2, 3, 8, 9, 40])
def test_a_seed_term_is_the_sample_variance(seeds: int) -> None:
    for draw in range(20):
        values = np.random.default_rng([seeds, draw]).normal(0.8, 0.01, (seeds, 5))[:, 0]
        term = seed_term(values, 0.7)
        assert term is not None
        assert term.variance == 0.7**2 * float(values.var(ddof=1)) / seeds


@pytest.mark.parametrize("undefined", [0, 3])
def test_a_design_effect_is_of_the_variance_of_the_defined_replicates(undefined: int) -> None:
    values = np.random.default_rng(undefined).normal(0.8, 0.01, 1001)
    values[1 : 1 + undefined] = np.nan
    support = Support(positives=300, negatives=300, cases=10**9, patients=300)
    share = float(values[0])
    trials = share * (1 - share) / (float(np.nanvar(values[1:])) * 300 / 299)
    ends = support.interval(find_metric("accuracy"), values)
    wilson = Support(300, 300, 10**9, 300)._trials(values)
    assert wilson == trials
    assert ends is not None
    assert ends[0] < share < ends[1]
