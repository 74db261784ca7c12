"""How well foreign cohorts are noticed: against scikit-learn, and by construction at home."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logsumexp, softmax
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from tests.prediction_tables import (
    QUICK,
    Site,
    binary_table,
    class_table,
    ensemble_of,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.ood import MEASURES
from medtransfer.evaluation.scoring.score import score
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import draw_replicates

SITES = {
    "a": Site({"train": 10, "tune": 80, "test": 90}, each=2),
    "b": Site({"test": 50}),
    "c": Site({"test": 40}),
}
LOGIT_DETECTORS = ("max_probability", "max_logit", "energy")


def with_scores(table: pl.DataFrame, shift: float = 1.0) -> pl.DataFrame:
    """The table with a detector's scores: N(0, 1) in cohort a, moved up elsewhere, with ties."""
    rng = np.random.default_rng(5)
    away = (table["cohort"] != "a").to_numpy()
    scores = np.round(rng.normal(size=len(table)) + shift * away, 1)
    return table.with_columns(ood_far=scores)


TABLE = with_scores(binary_table(SITES))


def foreign_rows(table: pl.DataFrame, task: Task, config: EvaluationConfig) -> pl.DataFrame:
    rows = score(table, no_attributes(table), task, config)
    return rows.filter(pl.col("metric").is_in(list(MEASURES)))


def foreign(table: pl.DataFrame, task: Task = "binary") -> pl.DataFrame:
    return foreign_rows(table, task, QUICK)


RESULTS = foreign(TABLE)


def both(table: pl.DataFrame, cohort: str) -> tuple[Floats, Floats]:
    """Scores of the test cases at home and of another cohort."""
    one, two = (scored_rows(table, name)["ood_far"].to_numpy() for name in ("a", cohort))
    return np.concatenate([one, two]), np.repeat([0.0, 1.0], [len(one), len(two)])


@pytest.mark.parametrize("cohort", ["b", "c"])
def test_areas_and_false_alarms_equal_scikit_learn(cohort: str) -> None:
    scores, foreign_case = both(TABLE, cohort)
    false, true, _ = roc_curve(foreign_case, scores, drop_intermediate=False)
    expected = {
        "ood_auroc": roc_auc_score(foreign_case, scores),
        "ood_auprc": average_precision_score(foreign_case, scores),
        "ood_fpr95": false[np.flatnonzero(true >= 0.95)[0]],
    }
    for metric, value in expected.items():
        row = one_row(RESULTS, metric, target="far", cohort=cohort)
        assert row["value"] == pytest.approx(value, abs=1e-12)
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["num_cases"], row["num_positive"]) == (len(scores), None)
    patients = 90 + SITES[cohort].patients["test"]
    assert one_row(RESULTS, "ood_auroc", target="far", cohort=cohort)["num_patients"] == patients


def test_home_is_told_apart_from_nobody() -> None:
    home = RESULTS.filter(pl.col("cohort") == "a")
    assert set(home["metric"]) == {"ood_flag_rate"}
    assert set(RESULTS.filter(pl.col("cohort") == "b")["metric"]) == set(MEASURES)


def test_the_interval_resamples_both_cohorts_independently() -> None:
    scores, foreign_case = both(TABLE, "b")
    rows = [scored_rows(TABLE, name) for name in ("a", "b")]
    # patients of both are sampled as `draw_replicates` samples each alone
    drawn = [
        draw_replicates(part["patient_id"].to_list(), QUICK.replicates, QUICK.seed, name)
        for part, name in zip(rows, ("a", "b"), strict=True)
    ]
    counts = [
        np.concatenate([block.astype(float) for block in own.blocks()], axis=1)[own.patient]
        for own in drawn
    ]
    weights = np.concatenate(counts)[:, 1:]
    areas = [roc_auc_score(foreign_case, scores, sample_weight=w) for w in weights.T]
    row = one_row(RESULTS, "ood_auroc", target="far", cohort="b")
    ends = tuple(np.quantile(areas, [0.025, 0.975]))
    assert (row["low"], row["high"]) == pytest.approx(ends, abs=1e-9)


def test_about_a_twentieth_is_flagged_at_home_by_construction() -> None:
    big = with_scores(
        binary_table({"a": Site({"tune": 4000, "test": 4000}), "b": Site({"test": 500})})
    )
    results = foreign(big)
    for detector in ("far", *LOGIT_DETECTORS):
        row = one_row(results, "ood_flag_rate", target=detector, cohort="a")
        assert row["value"] == pytest.approx(0.05, abs=0.012)
        assert row["low"] < row["value"] < row["high"]
    moved = scored_rows(big, "b")["ood_far"].to_numpy()
    limit = np.sort(big.filter(pl.col("split") == "tune")["ood_far"].to_numpy())[3799]
    row = one_row(results, "ood_flag_rate", target="far", cohort="b")
    assert row["value"] == pytest.approx((moved > limit).mean())
    assert row["value"] > 0.2
    assert (row["num_cases"], row["num_patients"]) == (500, 500)


@pytest.mark.parametrize(("split", "cohort"), [("train", "a"), ("test", "a"), ("test", "c")])
def test_the_limit_is_from_tune_alone(split: str, cohort: str) -> None:
    hit = (pl.col("split") == split) & (pl.col("cohort") == cohort)
    spoilt = TABLE.with_columns(ood_far=pl.when(hit).then(99.0).otherwise("ood_far"))
    row = one_row(foreign(spoilt), "ood_flag_rate", target="far", cohort="b")
    assert row == one_row(RESULTS, "ood_flag_rate", target="far", cohort="b")


def test_tune_moves_the_limit() -> None:
    tune = pl.col("split") == "tune"
    moved = pl.when(tune).then(pl.col("ood_far") + 9).otherwise("ood_far")
    row = one_row(
        foreign(TABLE.with_columns(ood_far=moved)), "ood_flag_rate", target="far", cohort="b"
    )
    assert row["value"] == 0 < one_row(RESULTS, "ood_flag_rate", target="far", cohort="b")["value"]


def test_the_kept_share_of_tune_is_at_least_the_promised_one_with_ties() -> None:
    # 80 tuning patients with two cases each: 152 of 160 stay below, or at, the limit
    tied = TABLE.with_columns(ood_far=pl.col("ood_far").round(0))
    tune = tied.filter(pl.col("split") == "tune")["ood_far"].to_numpy()
    limit = np.sort(tune)[151]
    assert (tune <= limit).mean() >= 0.95
    expected = (scored_rows(tied, "a")["ood_far"].to_numpy() > limit).mean()
    row = one_row(foreign(tied), "ood_flag_rate", target="far", cohort="a")
    assert row["value"] == pytest.approx(expected)


def by_formula(table: pl.DataFrame, task: Task) -> dict[str, Floats]:
    """The detectors that need logits alone, by their formulae."""
    names = [name for name in table.columns if name.startswith("logit_")]
    logits = table.select(names).to_numpy()
    if task == "single-label":
        sure = softmax(logits, axis=1).max(axis=1)
        return {
            "max_probability": 1 - sure,
            "max_logit": -logits.max(axis=1),
            "energy": -logsumexp(logits, axis=1),
        }
    chances = expit(logits)
    return {
        "max_probability": 1 - np.maximum(chances, 1 - chances).max(axis=1),
        "max_logit": -logits.max(axis=1),
        "energy": -np.log1p(np.exp(logits)).sum(axis=1),
    }


@pytest.mark.parametrize("task", ["binary", "multi-label", "single-label"])
def test_detectors_that_need_logits_alone_are_always_there(task: Task) -> None:
    sites = {"a": Site({"tune": 40, "test": 60}), "b": Site({"test": 40}, separation=0.5)}
    table = {
        "binary": binary_table(sites),
        "multi-label": binary_table(sites, targets=("x", "y"), masked=0.2),
        "single-label": class_table(sites),
    }[task]
    results = foreign(table, task)
    assert set(results["target"]) == set(LOGIT_DETECTORS)
    rows = pl.concat([scored_rows(table, "a"), scored_rows(table, "b")])
    truth = (rows["cohort"] == "b").to_numpy()
    for detector, scores in by_formula(rows, task).items():
        row = one_row(results, "ood_auroc", target=detector, cohort="b")
        assert row["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)


def test_a_column_of_the_table_is_taken_before_our_own_score_of_that_name() -> None:
    given = TABLE.rename({"ood_far": "ood_energy"})
    results = foreign(given)
    assert set(results["target"]) == set(LOGIT_DETECTORS)
    for metric in MEASURES:
        own = one_row(RESULTS, metric, target="far", cohort="b")
        assert one_row(results, metric, target="energy", cohort="b") == own | {"target": "energy"}


def test_an_ensemble_of_classes_is_judged_by_the_energy_of_its_members() -> None:
    table = ensemble_of(
        class_table({"a": Site({"tune": 40, "test": 60}), "b": Site({"test": 40}, 0.5)}), 3
    )
    scores = by_formula(table, "single-label")["energy"]
    mean = (
        table.with_columns(energy=scores)
        .group_by("case_id", "cohort", "split")
        .agg(pl.col("energy").mean())
        .filter(pl.col("split") == "test")
    )
    row = one_row(foreign(table, "single-label"), "ood_auroc", target="energy", cohort="b")
    assert row["value"] == pytest.approx(roc_auc_score(mean["cohort"] == "b", mean["energy"]))
    assert row["low"] < row["high"]


def emptied(where: pl.Expr) -> pl.DataFrame:
    return TABLE.with_columns(ood_far=pl.when(~where).then("ood_far"))


def about(row: dict[str, Any]) -> tuple[object, object, object]:
    return row["value"], row["low"], row["reason"]


def test_scores_that_are_missing_leave_a_reason_where_they_are_missed() -> None:
    results = foreign(emptied((pl.col("cohort") == "b") & (pl.col("case_id") < "b-p0003")))
    for metric in MEASURES:
        row = one_row(results, metric, target="far", cohort="b")
        assert about(row) == (None, None, "no score of 3 cases")
        same = one_row(results, metric, target="far", cohort="c")
        assert same == one_row(RESULTS, metric, target="far", cohort="c")


def test_scores_missing_in_tune_leave_nothing_flagged_and_all_else() -> None:
    results = foreign(emptied((pl.col("split") == "tune") & (pl.col("case_id") == "a-p0010-c0")))
    row = one_row(results, "ood_flag_rate", target="far", cohort="b")
    assert about(row) == (None, None, "no score of 1 case")
    for metric in list(MEASURES)[:3]:
        same = one_row(results, metric, target="far", cohort="b")
        assert same == one_row(RESULTS, metric, target="far", cohort="b")


def test_scores_missing_of_training_cases_are_missed_nowhere() -> None:
    results = foreign(emptied(pl.col("split") == "train"))
    assert results.equals(RESULTS)


def test_an_infinite_score_is_none() -> None:
    table = TABLE.with_columns(
        ood_far=pl.when(pl.col("case_id") == "c-p0001-c0").then(np.inf).otherwise("ood_far")
    )
    row = one_row(foreign(table), "ood_auroc", target="far", cohort="c")
    assert about(row) == (None, None, "no score of 1 case")


def test_without_tune_nothing_is_flagged_and_there_is_no_home() -> None:
    results = foreign(TABLE.filter(pl.col("split") != "tune"))
    assert set(results["metric"]) == {"ood_flag_rate"}
    assert set(results["cohort"]) == {"a", "b", "c"}
    assert results["value"].null_count() == len(results)
    assert set(results["reason"]) == {"no case in tune"}


def test_a_cohort_of_one_patient_has_values_and_no_interval() -> None:
    table = with_scores(
        binary_table({"a": Site({"tune": 40, "test": 60}), "b": Site({"test": 1}, each=9)})
    )
    results = foreign(table)
    for metric in MEASURES:
        row = one_row(results, metric, target="far", cohort="b")
        assert (row["value"] is not None, row["low"]) == (True, None)
        assert row["reason"] == "no interval: one patient"


def test_scores_that_are_all_alike_tell_nothing_apart_and_flag_nobody() -> None:
    results = foreign(TABLE.with_columns(ood_far=pl.lit(3.0)))
    found = {m: one_row(results, m, target="far", cohort="b")["value"] for m in MEASURES}
    share = 50 / 230
    assert found == {
        "ood_auroc": 0.5,
        "ood_auprc": pytest.approx(share),
        "ood_fpr95": 1,
        "ood_flag_rate": 0,
    }


def test_several_training_cohorts_are_home_together() -> None:
    sites = {
        "a": Site({"tune": 30, "test": 40}),
        "b": Site({"tune": 30, "test": 40}),
        "c": Site({"test": 30}),
    }
    table = with_scores(binary_table(sites))
    results = foreign(table)
    assert set(results["cohort"]) == {"internal", "c"}
    row = one_row(results, "ood_auroc", target="far", cohort="c")
    rows = table.filter(pl.col("split") == "test")
    assert row["value"] == pytest.approx(roc_auc_score(rows["cohort"] == "c", rows["ood_far"]))


def test_without_replicates_values_stand_alone() -> None:
    config = QUICK.model_copy(update={"replicates": 0})
    results = foreign_rows(TABLE, "binary", config)
    assert results["value"].to_list() == RESULTS["value"].to_list()
    assert results["low"].null_count() == results["reason"].null_count() == len(results)


def test_they_are_part_of_the_results_of_a_run() -> None:
    results = score(TABLE, no_attributes(TABLE), "binary", QUICK)
    found = results.filter(pl.col("target").is_in(["far", *LOGIT_DETECTORS]))
    assert found.equals(RESULTS)
