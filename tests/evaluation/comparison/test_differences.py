"""Paired differences of rungs, corrections and margins: against the same by hand."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm, t
from statsmodels.stats.multitest import multipletests
from tests.evaluation.comparison.made_rungs import (
    CONFIG,
    TRUTH,
    by_seed_of,
    made,
    mean_of,
    of_few,
    replicates_of,
    seeds_of,
    widened,
)
from tests.prediction_tables import one_row, scored_rows

from medtransfer.evaluation.comparison.differences import comparisons
from medtransfer.evaluation.comparison.seed_means import mean_results
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import NO_SPREAD
from medtransfer.metrics.catalog import OOD_METRICS, find_metric
from medtransfer.statistics.bootstrap import percentile_interval
from medtransfer.statistics.tests import false_discovery, holm, mcnemar
from medtransfer.tables.results import (
    COMPARISONS_CONTRACT,
    RungComparison,
    comparisons_frame,
    results_frame,
)


def row_of(
    rows: list[RungComparison], rung: str, metric: str = "auroc", cohort: str = "a"
) -> RungComparison:
    found = [r for r in rows if (r.rung, r.metric, r.cohort) == (rung, metric, cohort)]
    assert len(found) == 1
    return found[0]


WEAK, STRONG, FAR = seeds_of("weak", 3.0), seeds_of("strong", 0.3), seeds_of("far out", 6.0)
MEANS = [mean_of("weak", WEAK), mean_of("strong", STRONG), mean_of("far out", FAR)]
ROWS = comparisons(MEANS, "weak", CONFIG)


def test_a_difference_is_of_the_means_on_the_same_replicates() -> None:
    for cohort in ("a", "b"):
        found = row_of(ROWS, "strong", cohort=cohort)
        difference = replicates_of(STRONG, cohort) - replicates_of(WEAK, cohort)
        assert found.difference == pytest.approx(difference[0], abs=1e-12)
        seeds = [by_seed_of(tables, cohort)[:, 0] for tables in (STRONG, WEAK)]
        patients = of_few(difference[0], percentile_interval(difference), cohort)
        interval = widened(patients, *seeds)
        assert (found.low, found.high) == pytest.approx(interval, abs=1e-12)
        assert found.contains == "patients and seeds"
        patients = scored_rows(TRUTH, cohort)["patient_id"].n_unique()
        assert (found.num_patients, found.reference) == (patients, "weak")


def test_decisions_at_the_carried_threshold_are_tested_by_patient() -> None:
    rows = comparisons([mean_of("one", WEAK[:1]), mean_of("two", STRONG[:1])], "one", CONFIG)
    found = row_of(rows, "two", "specificity@sens90")
    right: list[pl.Series] = []
    for table in (STRONG[0], WEAK[0]):
        tune = table.filter(pl.col("split") == "tune")
        test = scored_rows(table, "a")
        positives = tune.filter(pl.col("target_x") == 1)["logit_x"].sort(descending=True)
        threshold = positives[int(np.ceil(0.9 * len(positives) - 1e-9)) - 1]
        test = test.filter(pl.col("target_x") == 0).sort("case_id")
        right.append(
            test.group_by("patient_id")
            .agg((pl.col("logit_x") < threshold).sum().cast(pl.Int64))
            .sort("patient_id")["logit_x"]
        )
    assert found.p_mcnemar == pytest.approx(mcnemar((right[0] - right[1]).to_numpy()), abs=1e-12)
    assert found.p_mcnemar is not None
    assert found.p_mcnemar < 0.05
    assert row_of(rows, "two", "auroc").p_mcnemar is None
    assert row_of(ROWS, "strong", "specificity@sens90").p_mcnemar is None  # of several seeds


def test_two_networks_of_one_seed_differ_by_their_patients_alone() -> None:
    rows = comparisons([mean_of("one", WEAK[:1]), mean_of("two", STRONG[:1])], "one", CONFIG)
    found = row_of(rows, "two")
    difference = replicates_of(STRONG[:1], "a") - replicates_of(WEAK[:1], "a")
    interval = of_few(difference[0], percentile_interval(difference), "a")
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-12)
    assert found.contains == "patients"
    assert interval is not None
    error = (interval[1] - interval[0]) / 2 / norm.ppf(0.975)
    assert found.detectable == pytest.approx(error * (norm.ppf(0.975) + norm.ppf(0.8)), rel=1e-6)


def test_seeds_that_share_their_training_patients_are_paired() -> None:
    swapped = pl.col("logit_x").round(1)  # nearly the same AUROC, seed by seed
    shifted = [t.with_columns(swapped * 2) for t in WEAK]
    pairs = [
        (mean_of("one", WEAK, fraction), mean_of("two", shifted, fraction))
        for fraction in (1.0, 0.1)
    ]
    alone, together = (row_of(comparisons(list(pair), "one", CONFIG), "two") for pair in pairs)
    assert together.low is not None
    assert -0.03 < together.low < 0
    assert alone.low is not None
    assert alone.low < -0.05


def test_identical_networks_differ_by_nothing_and_have_no_interval_without_width() -> None:
    rows = comparisons([mean_of("one", WEAK[:1]), mean_of("two", WEAK[:1])], "one", CONFIG)
    assert len(rows) > 100
    assert {(r.low, r.high, r.p, r.p_holm, r.p_all) for r in rows} == {(None,) * 5}
    plain = [r for r in rows if r.reason == NO_SPREAD]
    assert len(plain) > 80
    assert {r.difference for r in plain} == {0}
    # two calibration errors are pushed up by chance: their difference has no interval
    biased = [r for r in rows if find_metric(r.metric).biased]
    assert {(r.difference, r.low, r.p) for r in biased} == {(0, None, None)}


def test_no_interval_of_a_difference_is_wider_than_its_values_can_differ() -> None:
    """Two seeds that part have one degree of freedom, and Student's t goes on without end."""
    uneven = [STRONG[0], FAR[1]]
    rows = comparisons([mean_of("even", WEAK[:2]), mean_of("uneven", uneven)], "even", CONFIG)
    cut = 0
    for row in rows:
        span = find_metric(row.metric).span
        for low, high in ((row.low, row.high), (row.low_all, row.high_all)):
            if low is not None and high is not None:
                assert -span <= low <= high <= span
                cut += low == -span or high == span
    assert cut  # it does need to be


def test_no_end_of_an_interval_is_beyond_what_a_difference_can_be() -> None:
    noise = 0.02 * np.random.default_rng(5).normal(size=(2, 101)) * (np.arange(101) > 0)
    one = made("one", {"a": np.array([[0.3], [0.9]]) + noise})
    two = made("two", {"a": np.array([[0.95], [0.85]]) - noise})
    row = row_of(comparisons([one, two], "one", CONFIG), "two")
    assert row.difference == pytest.approx(0.3)
    assert (row.low, row.high, row.low_all, row.high_all) == (-1, 1, -1, 1)
    assert row.detectable is None  # no difference is so large


def test_pairing_takes_out_what_two_rungs_share() -> None:
    strong = mean_of("strong", STRONG[:1])
    moved = [STRONG[0].with_columns(pl.col("logit_x") + 0.01)]
    rows = comparisons([strong, mean_of("near", seeds_of("nearly", 0.35, 1))], "strong", CONFIG)
    paired = row_of(rows, "near")
    own = one_row(results_frame(list(mean_results(strong))), "auroc", cohort="a")
    assert paired.low is not None
    assert paired.high is not None
    assert paired.high - paired.low < 0.3 * (own["high"] - own["low"])
    equal = row_of(comparisons([strong, mean_of("moved", moved)], "strong", CONFIG), "moved")
    assert (equal.difference, equal.low, equal.reason) == (0, None, NO_SPREAD)


def test_only_overall_numbers_are_compared_between_rungs() -> None:
    of_target = [r for r in ROWS if r.metric not in OOD_METRICS]
    assert {(r.cohort, r.target) for r in of_target} == {("a", "x"), ("b", "x")}
    overall = [p for p in MEANS[0].estimates if p.attribute == "all"]
    assert len(ROWS) == 2 * len(overall)


def five_rungs() -> list[RungComparison]:
    """Five rungs compared with a reference, some clearly better, some not."""
    rng = np.random.default_rng(3)
    base = 0.7 + 0.02 * rng.normal(size=401)
    shifts = (0.0, 0.01, 0.02, 0.045, 0.06, 0.03)
    rungs = [
        made(f"r{k}", {"a": base + s + 0.02 * rng.normal(size=401)}) for k, s in enumerate(shifts)
    ]
    return comparisons(rungs, "r0", CONFIG)


def test_p_values_are_corrected_by_holm_and_by_benjamini_hochberg_as_in_statsmodels() -> None:
    rows = five_rungs()
    plain = [r.p for r in rows]
    assert len({p for p in plain if p is not None}) > 3
    for column, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        found = [getattr(r, column) for r in rows]
        expected = multipletests(plain, method=method)[1]
        assert expected is not None
        assert found == pytest.approx(expected.tolist())
        assert found != plain
    assert all(r.p <= r.p_bh <= r.p_holm for r in rows)  # type: ignore[operator]
    for row in rows:
        found = (row.low_all, row.low, row.high, row.high_all, row.p_all)
        low_all, low, high, high_all, p_all = (value or 0.0 for value in found)
        assert low_all < low < high < high_all
        assert (low_all > 0 or high_all < 0) == (p_all < 0.05)


def test_the_detectable_difference_is_one_that_the_corrected_test_just_shows() -> None:
    z = norm.ppf(1 - 0.025 / 5) + norm.ppf(0.8)
    for row in five_rungs():
        assert row.low is not None
        assert row.high is not None
        error = (row.high - row.low) / 2 / norm.ppf(0.975)
        assert row.detectable == pytest.approx(z * error, rel=1e-6)


def test_corrections_are_over_the_rungs_of_the_same_cohort_and_metric() -> None:
    for where in {(r.target, r.metric, r.cohort) for r in ROWS}:
        family = [r for r in ROWS if (r.target, r.metric, r.cohort) == where]
        assert len(family) == 2
        assert [r.p_holm for r in family] == holm([r.p for r in family])
        assert [r.p_bh for r in family] == false_discovery([r.p for r in family])


def test_p_agrees_with_its_interval() -> None:
    rows = [r for r in ROWS if r.p is not None and r.contains == "patients and seeds"]
    assert len(rows) > 80
    for row in rows:
        assert row.p is not None
        assert row.low is not None
        assert row.high is not None
        if abs(row.p - 0.05) > 1e-9:
            assert (row.p < 0.05) == (row.low > 0 or row.high < 0)


def test_a_p_value_of_one_seed_is_not_held_up_by_the_number_of_replicates() -> None:
    rng = np.random.default_rng(5)
    base = 0.7 + 0.01 * rng.normal(size=(1, 201))
    apart = base + 0.2 + 0.01 * rng.normal(size=(1, 201))
    base[0, 0], apart[0, 0] = 0.7, 0.9
    found = comparisons([made("r", {"a": base}), made("s", {"a": apart})], "r", CONFIG)[0]
    assert found.p is not None
    assert found.p < 1e-10  # the replicates alone end at 2 / 201


def test_rungs_are_compared_on_the_same_training_set_alone() -> None:
    few = mean_of("weak", WEAK[:1], fraction=0.1)
    others = [
        mean_of("strong", STRONG[:1], fraction=0.1, held_out="b"),
        mean_of("strong", STRONG[:1], fraction=0.3),
        mean_of("strong", STRONG[:1], fraction=0.1, retrained=0.1),
    ]
    assert comparisons([MEANS[0], few, *others], "weak", CONFIG) == []
    pairs = [
        (mean_of("weak", WEAK[:1], *place), mean_of("strong", STRONG[:1], *place))
        for place in ((0.1, None, None), (0.1, "b", None), (0.1, None, 0.1))
    ]
    rows = comparisons([m for pair in pairs for m in pair], "weak", CONFIG)
    places = {(r.label_fraction, r.held_out, r.retrain_fraction) for r in rows}
    assert places == {(0.1, None, None), (0.1, "b", None), (0.1, None, 0.1)}
    # one rung in each family: nothing to correct
    assert all(r.p == r.p_holm == r.p_bh for r in rows)


def test_without_the_reference_there_is_nothing_to_compare() -> None:
    assert comparisons(MEANS[1:], "weak", CONFIG) == []
    assert comparisons([], "weak", CONFIG) == []


def test_a_number_that_one_side_lacks_has_a_row_without_a_difference() -> None:
    no_tune = [t.filter(pl.col("split") != "tune") for t in STRONG[:1]]
    # without tune there is no home: both cohorts are shifted ones
    rows = comparisons([mean_of("weak", WEAK[:1]), mean_of("bare", no_tune)], "weak", CONFIG)
    row = row_of(rows, "bare", "sensitivity@sens90")
    assert (row.difference, row.low, row.p, row.p_holm, row.p_bh) == (None,) * 5
    assert row_of(rows, "bare").difference is not None


def margin_of(margin: float | None) -> EvaluationConfig:
    return CONFIG.model_copy(update={"margin": margin})


REPLICATES = 0.02 * np.random.default_rng(9).normal(size=1000)


@pytest.mark.parametrize(
    ("difference", "no_worse", "equal"),
    [
        (0.0, "shown", "shown"),  # -0.04 to 0.04
        (0.2, "shown", "not shown"),
        (-0.2, "not shown", "not shown"),
        (-0.03, "not shown", "not shown"),  # -0.07 to 0.01: beyond -0.05
    ],
)
def test_a_margin_has_its_verdicts_by_hand(difference: float, no_worse: str, equal: str) -> None:
    base = np.full(1001, 0.6)
    other = base + difference + np.concatenate([[0.0], REPLICATES])
    means = [made("base", {"a": base}), made("other", {"a": other})]
    (row,) = comparisons(means, "base", margin_of(0.05))
    assert (row.margin, row.no_worse, row.equal) == (0.05, no_worse, equal)
    few = t.ppf(0.975, 39) / norm.ppf(0.975) * (40 / 39) ** 0.5  # of 40 patients
    moved = difference + few * REPLICATES
    assert row.low is not None
    assert row.high is not None
    z = norm.ppf(0.975)
    sides = [
        norm.sf((difference + 0.05) / (difference - row.low) * z),
        norm.sf((0.05 - difference) / (row.high - difference) * z),
    ]
    assert row.p_no_worse == pytest.approx(sides[0], rel=1e-4)
    assert row.p_equal == pytest.approx(max(sides), rel=1e-4)
    counted = [(1 + (moved <= -0.05).sum()) / 1001, (1 + (moved >= 0.05).sum()) / 1001]
    assert sides == pytest.approx(counted, abs=0.03)
    assert (row.no_worse == "shown") == (row.low > -0.05)
    ends = np.quantile(moved, [0.05, 0.95])
    assert (row.equal == "shown") == (np.abs(ends).max() < 0.05)
    # equal rungs pass both tests in 80 % if the margin is that far from 0
    assert row.detectable_margin == pytest.approx(0.02 * (1.645 + 1.282), rel=0.05)


def test_a_margin_is_of_the_auroc_alone() -> None:
    rows = comparisons(MEANS[:2], "weak", margin_of(0.05))
    with_margin = {r.metric for r in rows if r.margin is not None}
    assert with_margin == {"auroc"}
    assert len([r for r in rows if r.margin is not None]) == 2
    assert {r.no_worse for r in rows if r.margin is None} == {None}


def test_without_a_margin_nothing_is_held_against_it() -> None:
    assert {(r.margin, r.no_worse, r.equal) for r in ROWS} == {(None, None, None)}


def test_without_replicates_there_are_differences_alone() -> None:
    config = CONFIG.model_copy(update={"replicates": 0, "margin": 0.05})
    means = [mean_of(n, t[:1], config=config) for n, t in (("weak", WEAK), ("strong", STRONG))]
    row = row_of(comparisons(means, "weak", config), "strong")
    assert row.difference is not None
    assert (row.low, row.high, row.p, row.p_holm, row.no_worse) == (None,) * 5


def test_comparisons_keep_their_contract() -> None:
    frame = comparisons_frame(comparisons(MEANS, "weak", margin_of(0.02)))
    assert frame.columns == [column.name for column in COMPARISONS_CONTRACT.columns]
    assert len(frame) == len(ROWS)
    assert comparisons_frame([]).columns == frame.columns


def test_detectors_are_compared_between_rungs_too() -> None:
    of_energy = [r for r in ROWS if r.target == "energy"]
    found = row_of(of_energy, "strong", "ood_auroc", "b")
    assert found.difference is not None


def test_a_difference_that_is_undefined_says_why() -> None:
    nothing = np.full((1, 401), np.nan)
    base, other = made("base", {"a": np.full((1, 401), 0.7)}), made("other", {"a": nothing})
    (row,) = comparisons([base, other], "base", CONFIG)
    assert (row.difference, row.reason) == (None, "undefined in the sample")
