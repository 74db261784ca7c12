"""Replicates are the same resampled patients for whatever is measured."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score
from tests.prediction_tables import evidence
from tests.strategies import FEW, finite

from medtransfer.metrics.calibration import binary_brier, calibration_error, in_bins
from medtransfer.metrics.cases import Order
from medtransfer.metrics.discrimination import auroc, average_precision_of
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import (
    SubgroupMetrics,
    Weighted,
    WeightedTerm,
    evaluate_replicates,
    mean_of,
)
from medtransfer.statistics import bootstrap
from medtransfer.statistics.bootstrap import (
    GROUPS,
    LEVEL,
    WIDTH,
    Kind,
    Replicates,
    bca_interval,
    draw_replicates,
    percentile_interval,
    percentile_intervals,
    pointwise_intervals,
    quantile,
    replicates_suffice,
    two_quantiles,
    two_sided_p,
    two_sided_ps,
)

PATIENTS = 40
KINDS: tuple[Kind, ...] = ("patients", "stratified", "bayesian", "poisson")
every_kind = pytest.mark.parametrize("kind", KINDS)


def clustered(
    seed: int, *, each: int = 3, likeness: float = 0.5
) -> tuple[NDArray[np.str_], NDArray[np.int64], Floats]:
    """Patient ids, labels and scores of 40 patients' cases in a random order."""
    rng = np.random.default_rng(seed)
    positive = np.arange(PATIENTS) % 2
    patient, scores = evidence(rng, positive.astype(np.float64), each, likeness)
    order = rng.permutation(len(patient))
    return np.array([f"p{p}" for p in patient])[order], positive[patient][order], scores[order]


def metrics_of(labels: NDArray[np.int64], scores: Floats) -> list[Weighted]:
    chance = 1 / (1 + np.exp(-scores))
    return [
        auroc(labels, scores),
        average_precision_of(Order.of(scores, labels == 1).ranking),
        mean_of(((scores > 0.5) == (labels == 1)).astype(float)),
        binary_brier(labels, chance),
        calibration_error(in_bins(labels.astype(float), chance)),
    ]


def everything(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.ones(len(labels), dtype=bool)


def counts_of(drawn: Replicates) -> Floats:
    """How often each patient was drawn: the sample first. [1 + R, P]"""
    return np.concatenate([block.astype(float) for block in drawn.blocks()], axis=1).T


def named(number: int) -> list[str]:
    return [f"p{i:04d}" for i in range(number)]


def test_the_first_column_is_the_plain_value() -> None:
    patients, labels, scores = clustered(0)
    drawn = draw_replicates(patients, 20, 0, "a")
    for metric in metrics_of(labels, scores):
        values = drawn.values(metric, everything(labels))
        assert values.shape == (21,)
        assert values[0] == pytest.approx(metric(np.ones((1, len(labels))))[0], abs=1e-15)
        assert len(set(values.tolist())) > 10


def test_replicates_are_the_resampled_data_set_rebuilt() -> None:
    patients, labels, scores = clustered(1)
    drawn = draw_replicates(patients, 6, 3, "a")
    values, counts = drawn.values(auroc(labels, scores), everything(labels)), counts_of(drawn)
    names = sorted(set(patients.tolist()))
    for replicate in range(1, 7):
        rebuilt = [
            row
            for name, times in zip(names, counts[replicate].tolist(), strict=True)
            for _ in range(int(times))
            for row in np.flatnonzero(patients == name)
        ]
        assert len(rebuilt) == len(labels)
        expected = roc_auc_score(labels[rebuilt], scores[rebuilt])
        assert values[replicate] == pytest.approx(expected, abs=1e-12)


def test_each_replicate_draws_as_many_patients_as_there_are() -> None:
    drawn = draw_replicates(named(30), 4000, 0, "a")
    counts = counts_of(drawn)
    assert drawn.rows == len(counts) == 4001
    assert_array_equal(counts[0], 1)
    assert_array_equal(counts.sum(axis=1), 30)
    assert counts[1:].var() == pytest.approx(1 - 1 / 30, rel=0.03)


def test_strata_keep_their_size() -> None:
    stratum = np.array([0] * 20 + [1] * 7 + [5] * 3)
    counts = counts_of(draw_replicates(named(30), 1000, 0, "a", "stratified", stratum))
    for label, size in ((0, 20), (1, 7), (5, 3)):
        assert_array_equal(counts[:, stratum == label].sum(axis=1), size)
        variance = counts[1:, stratum == label].var()
        assert variance == pytest.approx(1 - 1 / size, rel=0.05)


def test_a_patient_belongs_to_the_largest_of_its_strata() -> None:
    drawn = draw_replicates(["b", "a", "b", "c"], 5, 0, "a", "stratified", np.array([0, 0, 1, 0]))
    assert drawn.stratum is not None
    assert drawn.stratum.tolist() == [0, 1, 0]


@every_kind
def test_how_many_are_drawn_in_one_call_changes_nothing(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    strata = np.arange(25) % 2
    whole = counts_of(draw_replicates(named(25), 140, 0, "a", kind, strata))
    monkeypatch.setattr(bootstrap, "TOGETHER", 60)
    assert_array_equal(counts_of(draw_replicates(named(25), 140, 0, "a", kind, strata)), whole)


def test_without_strata_all_patients_are_one_stratum() -> None:
    one, plain = (draw_replicates(named(20), 50, 0, "a", kind) for kind in KINDS[1::-1])
    assert_array_equal(counts_of(one), counts_of(plain))


def test_a_stratum_of_one_patient_never_varies() -> None:
    stratum = np.array([0, 1, 1, 1])
    counts = counts_of(draw_replicates(named(4), 50, 0, "a", "stratified", stratum))
    assert_array_equal(counts[:, 0], 1)


def test_bayesian_weights_are_dirichlet_and_sum_to_the_number_of_patients() -> None:
    weights = counts_of(draw_replicates(named(30), 4000, 0, "a", "bayesian"))
    assert_allclose(weights.sum(axis=1), 30, rtol=1e-12)
    assert (weights > 0).all()
    # P times a share of Dirichlet(1, …, 1) has variance (P - 1) / (P + 1)
    assert weights[1:].var() == pytest.approx(29 / 31, rel=0.03)


def test_poisson_counts_have_mean_and_variance_one_and_are_independent() -> None:
    counts = counts_of(draw_replicates(named(30), 4000, 0, "a", "poisson"))[1:]
    assert counts.mean() == pytest.approx(1, abs=0.01)
    assert counts.var() == pytest.approx(1, abs=0.02)
    assert counts.sum(axis=1).var() == pytest.approx(30, rel=0.1)


@every_kind
def test_more_replicates_are_added_and_change_none(kind: Kind) -> None:
    strata = np.arange(25) % 3
    drawn = [
        counts_of(draw_replicates(named(25), number, 1, "a", kind, strata))
        for number in (10, WIDTH, WIDTH + 1, 3 * WIDTH + 5)
    ]
    for fewer, more in itertools.pairwise(drawn):
        assert_array_equal(fewer, more[: len(fewer)])
    assert len(np.unique(drawn[-1][1:], axis=0)) == 3 * WIDTH + 5


@every_kind
def test_blocks_that_are_drawn_again_are_those_that_were_kept(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients, labels, scores = clustered(6)
    drawn = draw_replicates(patients, 300, 0, "a", kind)
    kept = list(drawn.blocks())
    values = [drawn.values(metric, everything(labels)) for metric in metrics_of(labels, scores)]
    monkeypatch.setattr(bootstrap, "KEPT", 0)
    again = draw_replicates(patients, 300, 0, "a", kind)
    for one, other in zip(kept, again.blocks(), strict=True):
        assert_array_equal(one, other)
    assert "_drawn" not in vars(again)
    for metric, expected in zip(metrics_of(labels, scores), values, strict=True):
        assert_array_equal(again.values(metric, everything(labels)), expected)


def test_every_case_of_a_patient_is_drawn_together() -> None:
    patients, labels, _ = clustered(2)
    drawn = draw_replicates(patients, 10, 0, "a")
    own = patients == patients[0]
    each = tuple(
        WeightedTerm((np.arange(len(labels)) == i).astype(float)) for i in np.flatnonzero(own)
    )
    alike = Weighted(each, lambda *sums: np.ptp(np.stack(sums), axis=0))
    assert len(each) == 3
    assert_array_equal(drawn.values(alike, everything(labels)), 0)


def test_the_same_patients_have_the_same_replicates_in_every_run() -> None:
    patients, _, _ = clustered(3)
    one, two = (draw_replicates(patients, 50, 7, "a") for _ in range(2))
    assert_array_equal(counts_of(one), counts_of(two))
    shuffled = draw_replicates(patients[::-1], 50, 7, "a")
    assert_array_equal(counts_of(shuffled), counts_of(one))
    assert_array_equal(shuffled.patient[::-1], one.patient)


@pytest.mark.parametrize(("seed", "cohort"), [(8, "a"), (7, "b")])
def test_another_seed_or_cohort_is_resampled_independently(seed: int, cohort: str) -> None:
    patients, _, _ = clustered(3)
    one, other = (
        counts_of(draw_replicates(patients, 500, *names))[1:]
        for names in ((7, "a"), (seed, cohort))
    )
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03


def test_row_order_does_not_matter() -> None:
    patients, labels, scores = clustered(4)
    order = np.random.default_rng(0).permutation(len(labels))
    one, other = [
        draw_replicates(patients[rows], 30, 0, "a").values(metric, everything(labels))
        for rows in (slice(None), order)
        for metric in [auroc(labels[rows], scores[rows])]
    ]
    assert_array_equal(one, other)


@every_kind
def test_a_part_of_the_cases_keeps_the_draws_of_its_patients(kind: Kind) -> None:
    patients, labels, scores = clustered(5)
    part = scores > 0
    drawn = draw_replicates(patients, 30, 0, "a", kind)
    values, counts = drawn.values(auroc(labels[part], scores[part]), part), counts_of(drawn)
    rank = np.searchsorted(sorted(set(patients.tolist())), patients)
    for replicate in (0, 1, 30):
        weights = counts[replicate][rank][part]
        expected = roc_auc_score(labels[part], scores[part], sample_weight=weights)
        assert values[replicate] == pytest.approx(expected, abs=1e-12)


def test_clustered_cases_have_wider_intervals_than_if_cases_were_resampled() -> None:
    patients, labels, scores = clustered(7, each=8, likeness=0.9)
    cases = np.array([f"c{i}" for i in range(len(labels))])
    widths: list[float] = []
    for unit in (patients, cases):
        drawn = draw_replicates(unit, 400, 0, "a")
        ends = percentile_interval(drawn.values(auroc(labels, scores), everything(labels)))
        assert ends is not None
        widths.append(ends[1] - ends[0])
    # variance inflation of a cluster mean: 1 + 7 * 0.9 = 7.3, and √7.3 = 2.7
    assert widths[0] > 2 * widths[1]


@pytest.mark.slow
@every_kind
def test_single_cases_have_the_spread_of_a_case_bootstrap(kind: Kind) -> None:
    patients, labels, scores = clustered(8, each=1)
    drawn = draw_replicates(patients, 400, 0, "a", kind, labels)
    values = drawn.values(auroc(labels, scores), everything(labels))
    rng = np.random.default_rng(0)
    naive: list[float] = []
    while len(naive) < 400:
        rows = rng.integers(0, len(labels), len(labels))
        naive.append(roc_auc_score(labels[rows], scores[rows]))
    assert values[1:].std() == pytest.approx(np.std(naive), rel=0.15)


def test_no_replicates_leave_the_value_alone() -> None:
    patients, labels, scores = clustered(9)
    drawn = draw_replicates(patients, 0, 0, "a")
    assert drawn.values(auroc(labels, scores), everything(labels)).shape == (1,)


def left_out_values(drawn: Replicates, metric: Weighted) -> Floats:
    return evaluate_replicates([SubgroupMetrics(drawn.patient, (metric,))], drawn.left_out())[0][0]


@pytest.mark.parametrize(("number", "groups"), [(5, 5), (GROUPS, GROUPS), (450, GROUPS)])
def test_every_patient_is_left_out_once_in_groups_of_nearly_equal_size(
    number: int, groups: int
) -> None:
    (counts,) = draw_replicates(named(number), 0, 0, "a").left_out()
    assert counts.shape == (number, groups)
    assert_array_equal((counts == 0).sum(axis=1), 1)
    sizes = (counts == 0).sum(axis=0)
    assert sizes.max() - sizes.min() <= 1


def test_leaving_out_each_patient_is_the_data_set_without_it() -> None:
    patients, labels, scores = clustered(10)
    drawn = draw_replicates(patients, 0, 0, "a")
    found = left_out_values(drawn, auroc(labels, scores))
    names = np.unique(patients)
    expected = [roc_auc_score(labels[patients != name], scores[patients != name]) for name in names]
    assert_allclose(np.sort(found), np.sort(expected), rtol=0, atol=1e-12)


SKEWED = np.random.default_rng(0).exponential(size=60) ** 2


@pytest.mark.parametrize("statistic", [np.mean, lambda x, axis=-1: np.quantile(x, 0.8, axis=axis)])
def test_bca_is_that_of_scipy_for_the_same_replicates(statistic) -> None:
    theirs = stats.bootstrap((SKEWED,), statistic, method="BCa", n_resamples=999, rng=0)
    values = np.append(statistic(SKEWED), theirs.bootstrap_distribution)
    left_out = np.array([statistic(np.delete(SKEWED, i)) for i in range(60)])
    found = bca_interval(values, left_out)
    expected = theirs.confidence_interval
    assert found == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_bca_is_near_that_of_scipy_for_its_own_replicates() -> None:
    theirs = stats.bootstrap((SKEWED,), np.mean, method="BCa", n_resamples=9999, rng=1)
    drawn = draw_replicates(named(60), 9999, 0, "a")
    metric = mean_of(SKEWED)
    values = drawn.values(metric, np.ones(60, dtype=bool))
    found = bca_interval(values, left_out_values(drawn, metric))
    expected, plain = theirs.confidence_interval, percentile_interval(values)
    assert found is not None
    assert plain is not None
    assert found == pytest.approx((expected.low, expected.high), rel=0.03)
    # what the correction does: both ends move up by more than chance moves them
    assert found[0] > plain[0] * 1.03
    assert found[1] > plain[1] * 1.05


def test_groups_left_out_together_give_nearly_the_acceleration_of_patients() -> None:
    values = np.random.default_rng(1).exponential(size=1000) ** 2
    drawn = draw_replicates(named(1000), 2000, 0, "a")
    metric = mean_of(values)
    replicates = drawn.values(metric, np.ones(1000, dtype=bool))
    alone = (values.sum() - values) / 999
    found = bca_interval(replicates, left_out_values(drawn, metric))
    expected = bca_interval(replicates, alone)
    assert found is not None
    assert expected is not None
    width = expected[1] - expected[0]
    assert found == pytest.approx(expected, abs=0.03 * width)


def test_bca_of_symmetric_replicates_about_the_value_is_the_percentile_interval() -> None:
    values = np.append(0.5, np.linspace(0, 1, 1001))
    left_out = np.array([0.4, 0.5, 0.6])
    assert bca_interval(values, left_out) == pytest.approx(percentile_interval(values), abs=1e-9)


def test_no_bca_where_all_replicates_lie_on_one_side() -> None:
    assert bca_interval(np.array([0.9, 0.5, 0.6, 0.7]), np.array([0.8, 0.9, 0.85])) is None
    assert bca_interval(np.full(5, 0.9), np.array([0.8, 0.9, 0.85])) == (0.9, 0.9)


def test_bca_falls_back_where_no_patient_can_be_left_out() -> None:
    values = np.append(0.5, np.linspace(0.2, 0.6, 1001))
    undefined = np.array([np.nan, np.nan, 0.4])
    assert bca_interval(values, undefined) == percentile_interval(values)
    assert bca_interval(np.full(5, np.nan), np.array([0.4, 0.5])) is None


def test_an_acceleration_beyond_meaning_gives_the_last_replicate() -> None:
    values = np.append(0.95, np.linspace(0, 1, 101))
    found = bca_interval(values, np.array([0.0] + [1.0] * 400))  # 1 - speed · end is below 0
    assert found is not None
    assert found[0] <= found[1] == 1


@FEW
@given(st.lists(finite(), min_size=1, max_size=60), st.sampled_from([0.025, 0.05, 0.3, 0.5]))
def test_two_quantiles_are_numpys_to_the_last_bit(values: list[float], tail: float) -> None:
    expected = np.quantile(values, [tail, 1 - tail]).tolist()
    assert list(two_quantiles(np.array(values), tail, 1 - tail)) == expected


def test_two_quantiles_of_many_replicates_are_numpys_to_the_last_bit() -> None:
    for count in (100, 999, 1000, 1001, 2000):
        values = np.random.default_rng(count).normal(size=count)
        expected = np.quantile(values, [0.025, 0.975]).tolist()
        assert list(two_quantiles(values, 0.025, 0.975)) == expected


@pytest.mark.parametrize("replicates", [0, 1, 100, 101])
def test_pointwise_intervals_are_those_of_each_place(replicates: int) -> None:
    tail = (1 - LEVEL) / 2
    drawn = np.random.default_rng(replicates).normal(size=(replicates, 40))
    drawn[: replicates // 3, 3] = np.nan  # enough are defined
    drawn[: replicates // 3 * 2, 7:9] = np.inf  # too few are
    for place, interval in enumerate(pointwise_intervals(drawn)):
        defined = drawn[np.isfinite(drawn[:, place]), place]
        if replicates and len(defined) >= replicates / 2:
            assert interval == tuple(np.quantile(defined, [tail, 1 - tail]).tolist())
        else:
            assert interval is None


@pytest.mark.parametrize("defined", [0, 1, 49, 50, 51, 100])
@pytest.mark.parametrize("value", [0.5, np.nan])
def test_replicates_suffice_where_they_give_an_interval(defined: int, value: float) -> None:
    values = np.full(101, np.nan)
    values[: defined + 1] = 0.5
    values[0] = value
    assert replicates_suffice(values) == (percentile_interval(values) is not None)
    assert replicates_suffice(values[:1]) == (percentile_interval(values[:1]) is not None)


def test_many_numbers_at_once_are_as_one_after_the_other() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(6, 201)).round(2)
    values[1, 1:150] = np.nan  # too few replicates
    values[2, 7:20] = np.nan
    values[3, 0] = np.nan  # undefined in the sample
    values[4, 1:] = np.nan
    intervals, p_values = percentile_intervals(values), two_sided_ps(values)
    for of_one, interval, p in zip(values, intervals, p_values, strict=True):
        assert interval == percentile_interval(of_one)
        assert p == two_sided_p(of_one)
    assert [interval is None for interval in intervals] == [False, True, False, True, True, False]
    assert [p is None for p in p_values] == [False, False, False, True, True, False]
    drawn = values[0, 1:]
    below, above = (1 + (drawn <= 0).sum()) / 201, (1 + (drawn >= 0).sum()) / 201
    assert p_values[0] == min(1, 2 * min(below, above))
    assert percentile_intervals(values[:2, :1]) == [None, None]


@pytest.mark.parametrize("size", [1, 2, 20, 1000])
def test_a_quantile_is_numpys_to_the_last_bit(size: int) -> None:
    values = np.random.default_rng(size).normal(size=(3, size))
    values[1, 0] = np.nan
    assert_array_equal(quantile(values, LEVEL), np.quantile(values, LEVEL, axis=-1))
