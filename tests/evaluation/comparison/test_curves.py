"""Curves are those of scikit-learn, and of the numbers in the results table."""

import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import precision_recall_curve, roc_curve
from tests.metrics.plain_versions import reliability_curve
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    arrays_of,
    binary_table,
    class_table,
    measured,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.comparison.cells.run_lines import GRID, decision_grid, run_lines
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.scoring.score import measure_run, score
from medtransfer.metrics.decisions import risk_name
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.tables.results import CURVES

SITES = {"a": Site({"tune": 60, "test": 150}), "b": Site({"test": 60}, separation=1.0)}
TABLE = binary_table(SITES)
TIED = TABLE.with_columns(pl.col("logit_x").round(0))


def run(name: str, table: pl.DataFrame, seed: int = 0, **changes: Any) -> LadderRun:
    return LadderRun(name, GridKey("r", **changes), seed, lambda: table)


def ladder(*runs: LadderRun, task: str = "binary") -> LadderTables:
    attributes = no_attributes(runs[0].predictions()).unique()
    return compare_runs(runs, attributes, task, QUICK, reference=runs[0].key.rung)  # type: ignore[arg-type]


def sample(table: pl.DataFrame, kind: str, cohort: str = "a") -> Floats:
    """A curve without its replicates. [G]"""
    found = {where[:3]: line.y[0] for where, line in run_lines(measured(table)).items()}
    return found[kind, cohort, "x"]  # type: ignore[index]


def area(curve: Floats) -> float:
    return float(np.trapezoid(curve, GRID))


@pytest.mark.parametrize("table", [TABLE, TIED], ids=["scores", "ties"])
@pytest.mark.parametrize("cohort", ["a", "b"])
def test_the_roc_curve_is_that_of_scikit_learn(table: pl.DataFrame, cohort: str) -> None:
    truth, logits = arrays_of(scored_rows(table, cohort))
    alarms, hits, _ = roc_curve(truth, logits, drop_intermediate=False)
    found = sample(table, "roc", cohort)
    steep = np.isin(GRID, alarms)
    assert found[~steep] == pytest.approx(np.interp(GRID, alarms, hits)[~steep])
    for x, y in zip(GRID[steep], found[steep], strict=True):
        assert hits[alarms == x].min() <= y <= hits[alarms == x].max()
    auroc = one_row(score(table, no_attributes(table), "binary", QUICK), "auroc", cohort=cohort)
    assert area(found) == pytest.approx(auroc["value"], abs=1e-2)


@pytest.mark.parametrize("table", [TABLE, TIED], ids=["scores", "ties"])
def test_precision_is_that_at_the_largest_threshold_that_reaches_a_recall(
    table: pl.DataFrame,
) -> None:
    truth, logits = arrays_of(scored_rows(table))
    precision, recall, _ = precision_recall_curve(truth, logits)
    precision, recall = precision[:-1], recall[:-1]  # scikit-learn's last point is no threshold
    wanted = [precision[np.flatnonzero(recall >= x - 1e-12)[-1]] for x in GRID]
    assert sample(table, "pr") == pytest.approx(np.array(wanted))


def test_the_area_under_risk_over_coverage_is_the_aurc() -> None:
    found = sample(TABLE, "risk_coverage")
    assert np.isnan(found[0])
    aurc = one_row(score(TABLE, no_attributes(TABLE), "binary", QUICK), "aurc", cohort="a")
    assert np.mean(found[1:]) == pytest.approx(aurc["value"], abs=1e-2)


@pytest.mark.parametrize("table", [TABLE, TIED], ids=["scores", "ties"])
def test_risk_at_a_coverage_is_what_the_table_says_of_it(table: pl.DataFrame) -> None:
    found = sample(table, "risk_coverage")
    results = score(table, no_attributes(table), "binary", QUICK)
    for metric, at in (("accuracy", 100), ("accuracy_at_coverage80", 80)):
        value = one_row(results, metric, cohort="a")["value"]
        assert 1 - found[at] == pytest.approx(value), metric


def test_reliability_is_that_of_the_bins_of_the_calibration_error() -> None:
    lines = run_lines(measured(TABLE))
    truth, logits = arrays_of(scored_rows(TABLE))
    confidence, share, count = reliability_curve(truth.astype(float), expit(logits))
    line = lines["reliability", "a", "x", "none"]
    assert line.x == pytest.approx(confidence, nan_ok=True)
    assert line.y[0] == pytest.approx(share, nan_ok=True)
    assert line.count == pytest.approx(count.astype(float))
    assert ("reliability", "a", "x", "temperature") in lines


def test_the_flexible_curve_lies_as_far_from_the_diagonal_as_the_index_says() -> None:
    lines = run_lines(measured(TABLE))
    _, logits = arrays_of(scored_rows(TABLE))
    line, probabilities = lines["calibration", "a", "x", "none"], expit(logits)
    drawn = np.isfinite(line.y[0])
    distances = np.abs(np.interp(probabilities, line.x[drawn], line.y[0][drawn]) - probabilities)
    ici = one_row(score(TABLE, no_attributes(TABLE), "binary", QUICK), "ici", cohort="a")["value"]
    assert distances.mean() == pytest.approx(ici, abs=2e-3)
    assert ("calibration", "a", "x", "temperature") in lines
    points = ladder(run("one", TABLE)).curves["calibration"].filter(cohort="a", series="none")
    assert points["x"].to_numpy() == pytest.approx(line.x[drawn])
    inside = points.filter(pl.col("x").is_between(0.2, 0.8))
    assert (inside["low"] < inside["y"]).all()
    assert (inside["y"] < inside["high"]).all()


def test_equal_probabilities_have_a_bin_and_no_flexible_curve() -> None:
    curves = ladder(run("one", TABLE.with_columns(logit_x=pl.lit(0.3)))).curves
    assert len(curves["reliability"].filter(cohort="a", series="none")) == 1
    assert curves["calibration"].is_empty()


def test_a_calibration_curve_of_seeds_ends_where_the_probabilities_of_one_do() -> None:
    narrow = TABLE.with_columns(pl.col("logit_x") / 4)
    both = ladder(run("one", TABLE), run("two", narrow, 1)).curves["calibration"]
    alone = ladder(run("two", narrow, 1)).curves["calibration"]
    here = {"cohort": "a", "series": "none"}
    assert both.filter(**here)["x"].to_list() == alone.filter(**here)["x"].to_list()


def test_without_tuning_cases_there_is_no_calibrated_curve() -> None:
    table = binary_table({"a": Site({"test": 80})})
    series = {where[3] for where in run_lines(measured(table)) if where[0] == "reliability"}
    assert series == {"none"}


def test_several_targets_are_drawn_as_their_mean() -> None:
    table = binary_table(SITES, targets=("x", "y"), masked=0.1)
    both = run_lines(measured(table, "multi-label"))["roc", "a", "macro", None].y[0]
    alone = [
        sample(
            table.drop(f"target_{n}", f"logit_{n}").rename(
                {} if n == "y" else {"target_y": "target_x", "logit_y": "logit_x"}
            ),
            "roc",
        )
        for n in ("x", "y")
    ]
    assert both == pytest.approx(np.mean(alone, axis=0))


def test_a_decision_curve_passes_through_the_net_benefits_of_the_results() -> None:
    results = score(TABLE, no_attributes(TABLE), "binary", QUICK)
    thresholds = QUICK.decision_thresholds
    lines = run_lines(measured(TABLE))
    for series, metric in (
        ("none", "net_benefit"),
        ("platt", "net_benefit_platt"),
        ("treat_all", "net_benefit_all"),
    ):
        line = lines["decision", "b", "x", series]
        # the stated range in steps of a percent, and nothing outside it
        assert line.x == pytest.approx(np.arange(5, 51) / 100)
        for threshold in thresholds:
            name = f"{metric}@{risk_name(threshold)}"
            (value,) = line.y[0][np.isclose(line.x, threshold)]
            assert value == pytest.approx(one_row(results, name, cohort="b")["value"], abs=1e-12)


def test_the_range_of_a_decision_curve_is_the_stated_one() -> None:
    assert decision_grid((0.025, 0.04)) == pytest.approx([0.025, 0.03, 0.04])
    assert decision_grid((0.2,)) == pytest.approx([0.2])
    without = QUICK.model_copy(update={"decision_thresholds": ()})
    assert {kind for kind, *_ in run_lines(measured(TABLE, config=without))}.isdisjoint(
        {"decision"}
    )


def test_net_benefits_of_two_rungs_are_compared_on_the_same_patients() -> None:
    noise = np.random.default_rng(0).normal(0, 3, len(TABLE))
    worse = LadderRun("two", GridKey("worse"), 0, lambda: TABLE.with_columns(logit_x=noise))
    rows = ladder(worse, run("one", TABLE)).comparisons
    row = rows.filter(pl.col("metric") == "net_benefit@risk50", pl.col("cohort") == "a").to_dicts()[
        0
    ]
    assert row["difference"] > row["low"] > 0
    assert row["p"] < 0.1


def test_classes_share_one_reliability_and_one_risk_curve() -> None:
    lines = run_lines(measured(class_table(SITES), "single-label"))
    targets = {(where[0], where[2]) for where in lines}
    assert targets == {
        ("roc", "macro"),
        ("pr", "macro"),
        ("risk_coverage", "case"),
        ("reliability", "case"),
        ("calibration", "case"),
        ("ood", "case"),
    } | {("decision", target) for target in (*CLASSES, "macro")}


def test_a_cohort_of_one_class_has_no_roc_and_nothing_is_thrown_or_warned_of() -> None:
    none = pl.col("cohort") == "b"
    table = TABLE.with_columns(target_x=pl.when(none).then(0.0).otherwise("target_x"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves = ladder(run("one", table)).curves
    for kind in ("roc", "pr"):
        assert curves[kind]["cohort"].unique().to_list() == ["a"]
    assert set(curves["risk_coverage"]["cohort"]) == {"a", "b"}
    assert set(curves["learning"]["cohort"]) == {"a"}


def test_a_cohort_without_a_label_has_no_points() -> None:
    none = pl.col("cohort") == "b"
    table = TABLE.with_columns(target_x=pl.when(none).then(None).otherwise("target_x"))
    curves = ladder(run("one", table)).curves
    assert {kind: set(frame["cohort"]) for kind, frame in curves.items() if len(frame)} == {
        kind: {"a"} for kind in CURVES if kind not in ("ood", "retrain")
    } | {"ood": {"a", "b"}}  # a detector needs no label


def test_scores_that_are_all_tied_rank_nothing() -> None:
    table = TABLE.with_columns(logit_x=pl.lit(0.3))
    truth, _ = arrays_of(scored_rows(table))
    assert sample(table, "roc") == pytest.approx(GRID)
    assert sample(table, "pr") == pytest.approx(np.full(len(GRID), truth.mean()))
    assert sample(table, "risk_coverage")[1:] == pytest.approx(1 - truth.mean())


def test_points_have_the_mean_of_the_seeds_between_the_ends_of_an_interval() -> None:
    tables = [binary_table(SITES, seed=seed) for seed in (0, 1)]
    # one truth, two networks
    tables[1] = tables[0].with_columns(tables[1]["logit_x"])
    found = ladder(*(run(f"s{i}", t, seed=i) for i, t in enumerate(tables))).curves["roc"]
    own = found.filter(pl.col("cohort") == "a").sort("x")
    assert own["x"].to_numpy() == pytest.approx(GRID)
    wanted = np.mean([sample(t, "roc") for t in tables], axis=0)
    assert own["y"].to_numpy() == pytest.approx(wanted)
    inside = own.filter(pl.col("x").is_between(0.1, 0.6))
    assert (inside["low"] <= inside["y"]).all()
    assert (inside["y"] <= inside["high"]).all()
    assert (inside["low"] < inside["high"]).all()


def test_learning_and_retraining_are_rows_of_the_means() -> None:
    tables = ladder(
        run("whole", TABLE),
        run("tenth", binary_table(SITES, seed=1), label_fraction=0.1),
        run("again", binary_table(SITES, seed=2), retrain_fraction=0.3),
    )
    rows = tables.results.filter(
        pl.col("run_id").is_null(), pl.col("metric") == "auroc", pl.col("attribute") == "all"
    )
    learning, retrain = tables.curves["learning"], tables.curves["retrain"]
    assert sorted(learning.select("cohort", "x").rows()) == [
        ("a", 0.1),
        ("a", 1.0),
        ("b", 0.1),
        ("b", 1.0),
    ]
    assert retrain.filter(pl.col("label_fraction") == 1)["x"].sort().to_list() == [0.0, 0.3]
    assert set(retrain["cohort"]) == {"b"}
    assert set(learning["series"]) == set(retrain["series"]) == {"auroc"}
    for frame, again in ((learning, None), (retrain, 0.3)):
        for point in frame.filter(pl.col("retrain_fraction").eq_missing(again)).rows(named=True):
            same = rows.filter(
                pl.col("cohort") == point["cohort"],
                pl.col("label_fraction") == point["label_fraction"],
                pl.col("retrain_fraction").eq_missing(again),
            ).row(0, named=True)
            assert (point["y"], point["low"], point["high"], point["count"]) == (
                same["value"],
                same["low"],
                same["high"],
                same["num_cases"],
            )


def test_at_home_a_tenth_of_the_cases_lies_in_each_tenth_of_tunes_scores() -> None:
    rng = np.random.default_rng(0)
    sites = {"a": Site({"tune": 2000, "test": 2000}), "b": Site({"test": 1500})}
    table = binary_table(sites)
    away = (table["cohort"] == "b").to_numpy()
    table = table.with_columns(ood_far=rng.normal(size=len(table)) + 1.5 * away)
    lines = run_lines(measure_run(table, no_attributes(table), "binary", QUICK))
    home, there = (lines["ood", cohort, "case", "far"] for cohort in "ab")
    assert home.x.tolist() == pytest.approx([0.05 + 0.1 * k for k in range(10)])
    assert home.y[0] == pytest.approx(np.full(10, 0.1), abs=0.025)
    assert there.y[0, -1] == pytest.approx(norm.sf(norm.ppf(0.9) - 1.5), abs=0.03)
    np.testing.assert_allclose(there.y.sum(axis=1), 1)


def test_scores_that_some_cases_lack_are_not_drawn() -> None:
    gap = TABLE.with_columns(
        ood_far=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(0.5)
    )
    lines = run_lines(measure_run(gap, no_attributes(gap), "binary", QUICK))
    assert "far" not in {where[3] for where in lines if where[0] == "ood"}
