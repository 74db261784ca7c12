"""Means over seeds, paired differences and drops of rungs, against the same by hand."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from tests.prediction_tables import (
    QUICK,
    Site,
    arrays_of,
    attributes_of,
    binary_table,
    class_table,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.compare import (
    Mean,
    RungRuns,
    comparisons,
    drops,
    mean_over_seeds,
    mean_results,
)
from medtransfer.evaluation.score import score
from medtransfer.metrics.bootstrap import Floats, draw_replicates, percentile_interval
from medtransfer.metrics.catalog import find_metric
from medtransfer.metrics.compare import holm
from medtransfer.metrics.discrimination import auroc
from medtransfer.tables.comparisons import CONTRACT, Comparison, comparisons_frame
from medtransfer.tables.results import Result, results_frame

SITES = {"a": Site({"tune": 40, "test": 100}, each=2), "b": Site({"test": 60}, separation=0.8)}
TRUTH = binary_table(SITES)
CONFIG = QUICK.model_copy(update={"replicates": 200})


def seeds_of(rung: str, noise: float, count: int = 3) -> list[pl.DataFrame]:
    """The same cases seen by several seeds of a rung, each through noise of its own."""
    tables: list[pl.DataFrame] = []
    for seed in range(count):
        rng = np.random.default_rng([seed, len(rung)])
        seen = pl.col("logit_x") + pl.Series(noise * rng.normal(size=len(TRUTH)))
        tables.append(TRUTH.with_columns(seen, run_id=pl.lit(f"{rung}-{seed}")))
    return tables


def mean_of(
    rung: str, tables: list[pl.DataFrame], fraction: float = 1.0, held_out: str | None = None
) -> Mean:
    runs = RungRuns(rung, fraction, held_out, tuple(lambda t=t: t for t in tables))
    return mean_over_seeds(runs, attributes_of(TRUTH), "binary", CONFIG)


def replicates_of(tables: list[pl.DataFrame], cohort: str) -> Floats:
    """Mean AUROC over seeds, in the sample and every replicate, from the metrics room alone."""
    values: list[Floats] = []
    for table in tables:
        rows = scored_rows(table, cohort)
        drawn = draw_replicates(rows["patient_id"].to_list(), 200, 0, cohort)
        values.append(drawn.values(auroc(*arrays_of(rows)), np.ones(len(rows), dtype=bool)))
    return np.mean(values, axis=0)


def row_of(
    rows: list[Comparison], rung: str, metric: str = "auroc", cohort: str = "a"
) -> Comparison:
    found = [r for r in rows if (r.rung, r.metric, r.cohort) == (rung, metric, cohort)]
    assert len(found) == 1
    return found[0]


WEAK, STRONG, FAR = seeds_of("weak", 3.0), seeds_of("strong", 0.3), seeds_of("far out", 6.0)
MEANS = [mean_of("weak", WEAK), mean_of("strong", STRONG), mean_of("far out", FAR)]
ROWS = comparisons(MEANS, "weak")


def test_the_mean_over_seeds_is_the_mean_of_the_scored_seeds() -> None:
    about = attributes_of(TRUTH)
    scored = [score(table, about, "binary", CONFIG) for table in WEAK]
    means = results_frame(list(mean_results(MEANS[0])))
    for metric in ("auroc", "nll", "ece", "sensitivity@sens90"):
        for cohort in ("a", "b"):
            each = [one_row(results, metric, cohort=cohort)["value"] for results in scored]
            row = one_row(means, metric, cohort=cohort)
            assert row["value"] == pytest.approx(np.mean(each), abs=1e-12)
            assert row["run_id"] is None
    each = [one_row(r, "auroc", cohort="a", attribute="sex", group="F")["value"] for r in scored]
    row = one_row(means, "auroc", cohort="a", attribute="sex", group="F")
    assert row["value"] == pytest.approx(np.mean(each), abs=1e-12)


def test_the_interval_of_the_mean_is_of_the_mean_of_the_seeds_replicates() -> None:
    row = one_row(results_frame(list(mean_results(MEANS[0]))), "auroc", cohort="a")
    expected = percentile_interval(replicates_of(WEAK, "a"))
    assert (row["low"], row["high"]) == pytest.approx(expected, abs=1e-12)


def test_a_difference_is_of_the_means_on_the_same_replicates() -> None:
    for cohort in ("a", "b"):
        found = row_of(ROWS, "strong", cohort=cohort)
        difference = replicates_of(STRONG, cohort) - replicates_of(WEAK, cohort)
        assert found.difference == pytest.approx(difference[0], abs=1e-12)
        interval = percentile_interval(difference)
        assert (found.low, found.high) == pytest.approx(interval, abs=1e-12)
        patients = scored_rows(TRUTH, cohort)["patient_id"].n_unique()
        assert (found.num_patients, found.reference) == (patients, "weak")


def test_identical_runs_differ_by_exactly_nothing() -> None:
    rows = comparisons([mean_of("one", WEAK), mean_of("two", WEAK)], "one")
    assert len(rows) > 20
    plain = [r for r in rows if not find_metric(r.metric).biased]
    said = {(r.difference, r.low, r.high, r.p, r.p_holm) for r in plain}
    assert said == {(0, 0, 0, 1, 1)}
    # two calibration errors are pushed up by chance: their difference has no interval
    assert {(r.difference, r.low) for r in rows if find_metric(r.metric).biased} == {(0, None)}


def test_pairing_takes_out_what_two_rungs_share() -> None:
    near = [t.with_columns(pl.col("logit_x") + 0.01 * i) for i, t in enumerate(STRONG)]
    rows = comparisons([MEANS[1], mean_of("near", seeds_of("nearly", 0.35))], "strong")
    paired = row_of(rows, "near")
    own = one_row(results_frame(list(mean_results(MEANS[1]))), "auroc", cohort="a")
    assert paired.low is not None
    assert paired.high is not None
    assert paired.high - paired.low < 0.3 * (own["high"] - own["low"])
    moved = row_of(comparisons([MEANS[1], mean_of("moved", near)], "strong"), "moved")
    assert (moved.difference, moved.low, moved.high) == (0, 0, 0)


def test_p_values_are_corrected_over_the_rungs_of_the_same_cohort_and_metric() -> None:
    for metric, cohort in {(r.metric, r.cohort) for r in ROWS}:
        family = [r for r in ROWS if (r.metric, r.cohort) == (metric, cohort)]
        assert len(family) == 2
        assert [r.p_holm for r in family] == holm([r.p for r in family])
    better = row_of(ROWS, "strong")
    assert better.p == pytest.approx(2 / 201)
    assert better.p_holm == pytest.approx(4 / 201)


def test_rungs_are_compared_at_the_same_fraction_and_held_out_cohort_alone() -> None:
    few = mean_of("weak", WEAK[:1], fraction=0.1)
    other = mean_of("strong", STRONG[:1], fraction=0.1, held_out="b")
    alone = mean_of("strong", STRONG[:1], fraction=0.3)
    assert comparisons([MEANS[0], few, other, alone], "weak") == []
    both = comparisons([MEANS[0], few, MEANS[1], mean_of("strong", STRONG[:1], 0.1)], "weak")
    assert {r.label_fraction for r in both} == {0.1, 1.0}
    assert all(r.p == r.p_holm for r in both)


def test_comparisons_keep_their_contract() -> None:
    frame = comparisons_frame(ROWS)
    assert frame.columns == [column.name for column in CONTRACT.columns]
    assert len(frame) == len(ROWS)
    assert comparisons_frame([]).columns == frame.columns


def drop_of(mean: Mean, metric: str) -> Result:
    found = [row for row in drops(mean) if row.metric == f"{metric}_drop"]
    assert len(found) == 1
    return found[0]


def test_a_drop_is_internal_minus_shifted_with_independent_replicates() -> None:
    row = drop_of(MEANS[1], "auroc")
    inside, shifted = (replicates_of(STRONG, cohort) for cohort in ("a", "b"))
    assert row.value == pytest.approx(inside[0] - shifted[0], abs=1e-12)
    assert (row.low, row.high) == pytest.approx(percentile_interval(inside - shifted), abs=1e-12)
    assert (row.cohort, row.num_cases) == ("b", 60)
    assert row.value == pytest.approx(
        np.mean([roc_auc_score(*arrays_of(scored_rows(t, "a"))) for t in STRONG])
        - np.mean([roc_auc_score(*arrays_of(scored_rows(t, "b"))) for t in STRONG])
    )


@pytest.mark.parametrize("cohort", ["a", "b"])
def test_a_drop_from_or_to_an_undefined_number_is_undefined_with_the_reason(cohort: str) -> None:
    hidden = (pl.col("split") == "test") & (pl.col("cohort") == cohort) & (pl.col("target_x") == 1)
    tables = [t.with_columns(pl.when(~hidden).then("target_x").alias("target_x")) for t in STRONG]
    row = drop_of(mean_of("strong", tables), "auroc")
    assert (row.value, row.low, row.high) == (None, None, None)
    assert row.reason == "no positive case"
    assert drop_of(mean_of("strong", tables), "accuracy").value is not None


def test_a_seed_without_a_number_leaves_the_mean_undefined_with_its_reason() -> None:
    no_tune = STRONG[1].with_columns(
        pl.when(pl.col("split") == "tune").then(0.0).otherwise("target_x").alias("target_x")
    )
    means = results_frame(list(mean_results(mean_of("strong", [STRONG[0], no_tune]))))
    row = one_row(means, "sensitivity@sens90", cohort="a")
    assert (row["value"], row["reason"]) == (None, "no threshold: tune lacks a class")
    assert one_row(means, "auroc", cohort="a")["value"] is not None


def test_a_drop_of_means_over_targets_says_how_many_are_left_out() -> None:
    table = binary_table(SITES, targets=("x", "y"))
    hidden = (pl.col("cohort") == "b") & (pl.col("target_y") == 1)
    table = table.with_columns(pl.when(~hidden).then("target_y").alias("target_y"))
    runs = RungRuns("rung", 1.0, None, (lambda: table,))
    mean = mean_over_seeds(runs, no_attributes(table), "multi-label", CONFIG)
    row = drop_of(mean, "auroc")
    assert (row.target, row.value is not None) == ("macro", True)
    assert row.reason == "1 of 2 targets left out: no positive case"


def test_a_single_label_rung_has_means_of_the_case_and_over_the_classes() -> None:
    table = class_table(SITES)
    runs = RungRuns("rung", 1.0, None, (lambda: table,))
    mean = mean_over_seeds(runs, no_attributes(table), "single-label", CONFIG)
    means = results_frame(list(mean_results(mean)))
    assert set(means["target"]) == {"macro", "case"}
    scored = score(table, no_attributes(table), "single-label", CONFIG)
    for target, metric in (("macro", "auroc"), ("case", "accuracy")):
        one, two = (one_row(f, metric, target=target, cohort="a") for f in (means, scored))
        assert one == two | {"run_id": None}
