"""Gaps between groups of a mean over seeds: of the means, with the seeds in interval and p."""

import numpy as np
import pytest
from tests.evaluation.comparison.made_rungs import CONFIG, mean_of, seeds_of

from medtransfer.evaluation.comparison.group_gaps import MeanGroups, SeedGroups, mean_gaps
from medtransfer.evaluation.comparison.seed_means import mean_results
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.tables.results import Result

MEAN = mean_of("rung", seeds_of("rung", 0.5), groups=True)
ROWS = list(mean_results(MEAN))
SUBJECT = ResultKey("a", "sex", "all", "x", "auroc")


def row_of(metric: str, group: str = "all") -> Result:
    (row,) = [
        r for r in ROWS if (r.cohort, r.attribute, r.group, r.metric) == ("a", "sex", group, metric)
    ]
    return row


def groups_of(values: Floats) -> SeedGroups:
    """A seed with groups of given values, in the sample and in every replicate. [G, 1 + R]"""
    names = tuple("ABCD"[: len(values)])
    return SeedGroups(names, (), tuple(values), None, Estimate(None, 90, 80))


def test_the_gap_of_a_mean_is_that_of_the_groups_beside_it() -> None:
    groups = [row_of("auroc", name).value for name in ("F", "M")]
    assert None not in groups
    found = row_of("auroc_gap")
    assert found.value == pytest.approx(abs(groups[0] - groups[1]))  # type: ignore[operator]
    assert row_of("auroc_worst_group").value == pytest.approx(min(g or 0 for g in groups))
    assert found.contains == "patients and seeds"
    assert found.run_id is None
    p = row_of("auroc_gap_p").value
    assert p is not None
    assert found.low is not None
    assert (p < 0.05) == (found.low > 0)


def test_a_single_network_has_its_gaps_in_its_own_rows() -> None:
    alone = mean_of("rung", seeds_of("rung", 0.5, 1), groups=True)
    assert not alone.gaps
    assert any(row.attribute == "sex" for row in mean_results(alone))


def test_seeds_move_the_groups_as_they_did_in_the_sample() -> None:
    rng = np.random.default_rng(0)
    still = np.zeros((3, 200_001))
    for apart in ([0.03, -0.01, -0.02], [0.0, 0.0, 0.0]):
        # both groups move alike, the third stays
        seeds = [groups_of(still + 0.8 + np.array([[a], [a], [0.0]])) for a in apart]
        noise = MeanGroups(SUBJECT, tuple(seeds)).noise(CONFIG)
        assert noise is not None
        assert np.allclose(noise[0], noise[1])
        assert np.allclose(noise[2], 0)
        # Student's t with 2 degrees, in units of the standard error of the mean
        quantile = 4.303 * np.std(apart, ddof=1) / np.sqrt(3)
        assert np.quantile(np.abs(noise[0]), 0.95) == pytest.approx(quantile, rel=0.03)
    seeds = [groups_of(0.8 + 0.01 * rng.normal(size=(3, 201))) for _ in range(3)]
    (undefined,) = {
        row.reason
        for row in mean_gaps(
            {SUBJECT: [*seeds[:2], groups_of(np.stack(seeds[2].values[:2]))]}, 3, CONFIG
        )
    }
    assert undefined == "seeds have different groups or targets that are large enough"


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0])
def test_equal_groups_are_shown_apart_as_rarely_as_promised(seeds: int, ratio: float) -> None:
    """Groups of different size; errors of seeds are `ratio` times those of patients."""
    rng = np.random.default_rng([seeds, int(10 * ratio)])
    errors = np.array([0.02, 0.04, 0.03])[:, None]
    shown = 0
    for number in range(1_000):
        patients = 0.8 + errors * rng.normal(size=(3, 1))
        replicates = errors * rng.normal(size=(3, 500))
        drawn = [
            np.hstack([patients, patients + replicates]) + ratio * 0.03 * rng.normal(size=(3, 1))
            for _ in range(seeds)
        ]
        config = CONFIG.model_copy(update={"seed": number})
        found = MeanGroups(SUBJECT, tuple(groups_of(values) for values in drawn)).test(config)
        assert found.value is not None
        shown += found.value < 0.05
    print(f"{seeds} seeds, ratio {ratio}: {shown / 1_000:.1%}")
    # with few seeds Student's t has heavy tails: the test is conservative
    assert shown / 1_000 <= 0.07
    assert shown / 1_000 >= (0.001 if ratio else 0.03)
