"""Thresholds, calibrators and prediction sets come from tune rows, and from nothing else."""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, softmax
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

from medtransfer.data.config import Task
from medtransfer.errors import TableError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import WHOLE_CASE, run_arrays
from medtransfer.evaluation.scoring.score import score
from medtransfer.evaluation.scoring.tune_fit import (
    cases_of_target,
    fit_on_tune,
    with_group_sets,
)
from medtransfer.metrics.cases import TargetCases
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.calibrators import binary_temperature, class_temperature, fit_calibrator
from medtransfer.posthoc.conformal import Condition, fit_conformal
from medtransfer.posthoc.target_fit import TargetFit

POINTS = ("sens90", "spec80", "youden")
ALL_POINTS = EvaluationConfig(operating_points=POINTS, replicates=0)
TWO = {"a": Site(), "b": Site({"test": 30})}
tune = pl.col("split") == "tune"


def fitted_on(table: pl.DataFrame) -> TargetFit:
    return fit_on_tune(run_arrays(table, "binary"), POINTS)[0]


GRID = np.linspace(-6, 6, 25)


def said(own: TargetFit, classes: int = 0) -> dict[str, Floats]:
    """Everything fitted as numbers: thresholds, and what calibrators and sets make of a grid."""
    logits = np.stack([GRID * (k + 1) / classes for k in range(classes)], 1) if classes else GRID
    chances = softmax(logits, axis=1) if classes else expit(logits)
    groups = np.resize(np.array(["F", "M", ""]), len(GRID))
    found = {f"threshold {name}": np.array([value]) for name, value in own.thresholds.items()}
    found |= {f"calibrator {k}": c.probabilities(logits) for k, c in own.calibrators.items()}
    for name, rule in [*own.conformal.items(), *own.by_group.items()]:
        found[f"limits {name}"] = rule.thresholds
        by_group = groups if rule.condition == "group" else None
        found[f"sets {name}"] = rule.sets(chances, groups=by_group).astype(float)
    return found | {"prevalence": np.array([own.prevalence], dtype=float)}


def everything(table: pl.DataFrame, task: Task) -> dict[str, Floats]:
    """What is fitted for every target, the case and the groups of sex."""
    run = run_arrays(table, task)
    sex = run.frame.join(attributes_of(table), on="case_id", maintain_order="left")["sex"]
    found: dict[str, Floats] = {}
    for target, own in fit_on_tune(run, POINTS, {"sex": sex}).items():
        of_target = said(own, len(run.names) if target == WHOLE_CASE else 0)
        found |= {f"{target} {name}": value for name, value in of_target.items()}
    return found


def spoiled(table: pl.DataFrame, hit: pl.Expr) -> pl.DataFrame:
    """The table with the logits of some rows distorted and their targets swapped about."""
    logits, targets = pl.col("^logit_.*$"), pl.col("^target_.*$")
    names = [name for name in table.columns if name.startswith("target_")]
    if len(names) > 1:
        swapped = [
            pl.when(hit).then(pl.col(a)).otherwise(pl.col(b)).alias(b)
            for a, b in zip(names, [*names[1:], names[0]], strict=True)
        ]
    else:
        swapped = [pl.when(hit).then(1 - targets).otherwise(targets)]
    return table.with_columns(
        pl.when(hit).then(-5 * logits + 3).otherwise(logits).name.keep(), *swapped
    )


THREE: dict[Task, pl.DataFrame] = {
    "binary": binary_table(
        {"a": Site({"train": 30, "tune": 60, "test": 80}), "b": Site({"test": 30})}
    ),
    "multi-label": binary_table(
        {"a": Site({"train": 30, "tune": 60, "test": 80}), "b": Site({"test": 30})},
        targets=("x", "y"),
    ),
    "single-label": class_table(
        {"a": Site({"train": 30, "tune": 60, "test": 80}), "b": Site({"test": 30})}
    ),
}


@pytest.mark.parametrize("task", THREE)
@pytest.mark.parametrize("damage", ["test", "b", "train"])
def test_rows_outside_tune_have_no_say(task: Task, damage: str) -> None:
    table = THREE[task]
    spoilt = spoiled(table, (pl.col("split") == damage) | (pl.col("cohort") == damage))
    assert not spoilt.equals(table)
    before, after = everything(table, task), everything(spoilt, task)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.array_equal(value, after[name], equal_nan=True), name


@pytest.mark.parametrize("task", THREE)
def test_tune_rows_do_have_a_say(task: Task) -> None:
    table = THREE[task]
    before, after = everything(table, task), everything(spoiled(table, tune), task)
    moved = {name for name, v in before.items() if not np.array_equal(v, after[name])}
    kinds = {name.split(" ")[1] for name in moved}
    assert {"threshold", "calibrator", "limits", "sets"} <= kinds


@pytest.mark.parametrize("task", THREE)
def test_a_tune_row_relabelled_as_test_has_no_say_any_more(task: Task) -> None:
    table = THREE[task]
    # without a third of the tuning cases everything is fitted anew
    patients = table.filter(tune)["patient_id"].unique().sort().head(20).to_list()
    moved = pl.col("patient_id").is_in(patients)
    relabelled = table.with_columns(
        pl.when(moved).then(pl.lit("test")).otherwise("split").alias("split")
    )
    before, after = everything(table, task), everything(relabelled, task)
    without = everything(table.filter(~moved), task)
    assert any(not np.array_equal(v, after[name]) for name, v in before.items())
    for name, value in without.items():
        assert np.array_equal(value, after[name], equal_nan=True), name


def test_they_are_the_metrics_rooms_own_on_the_labelled_tune_rows() -> None:
    table = binary_table(masked=0.2, soft=0.1)
    rows = table.filter(tune).filter(pl.col("target_x").is_in([0.0, 1.0]))
    targets, logits = arrays_of(rows)
    assert 20 < len(targets) < 38
    found = fitted_on(table)
    assert found.temperature == binary_temperature(targets, logits)
    assert found.prevalence == targets.mean()
    splits = rows["split"].to_numpy().astype(str)
    for kind in ("temperature", "platt", "beta", "isotonic"):
        own = fit_calibrator(kind, targets, logits, splits=splits).calibrator
        assert own is not None
        mine = found.calibrators[kind].probabilities(GRID)
        assert np.array_equal(mine, own.probabilities(GRID))
    for point in POINTS:
        expected = operating_threshold(targets, expit(logits), point)
        assert found.thresholds[point] == expected


def test_sets_of_each_target_are_fitted_on_its_plain_labels() -> None:
    table = binary_table(
        {"a": Site({"tune": 80, "test": 9})}, targets=("x", "y"), masked=0.2, soft=0.1
    )
    run = run_arrays(table, "multi-label")
    sex = run.frame.join(attributes_of(table), on="case_id", maintain_order="left")["sex"]
    found = fit_on_tune(run, POINTS, {"sex": sex})
    groups = sex.fill_null("").to_numpy().astype(str)
    plain = [run.tuned() & np.isin(run.targets[:, target], [0.0, 1.0]) for target in (0, 1)]
    assert plain[0].sum() < run.tuned().sum()
    assert (plain[0] != plain[1]).any()
    conditions: dict[str, Condition] = {"split": "all", "class": "class", "group": "group"}
    for target, rows in enumerate(plain):
        cases = cases_of_target(run, found, target)
        sets = with_group_sets(cases, found[target], "sex", sex).sets
        for method, condition in conditions.items():
            own = fit_conformal(
                run.targets[rows, target].astype(np.int64),
                run.probabilities[rows, target],
                splits=np.full(rows.sum(), "tune"),
                alpha=0.1,
                condition=condition,
                groups=groups[rows],
            )
            fits = {**found[target].conformal, "group": found[target].by_group["sex"]}
            fitted = fits[method]
            assert fitted.names == own.names
            assert fitted.counts.tolist() == own.counts.tolist()
            assert np.array_equal(fitted.thresholds, own.thresholds)
            expected = own.sets(run.probabilities[:, target], groups=groups)
            assert np.array_equal(sets[method], expected)


def test_a_set_is_missed_at_home_no_more_often_than_promised_by_hand() -> None:
    table = binary_table({"a": Site({"tune": 49, "test": 10})})
    targets, logits = arrays_of(table.filter(tune))
    own = np.where(targets == 1, 1 - expit(logits), expit(logits))
    # the 45th of 49 scores: ⌈50 · 0.9⌉
    assert fitted_on(table).conformal["split"].thresholds == pytest.approx([np.sort(own)[44]])


def test_each_group_has_sets_of_its_own_from_its_own_tune_rows() -> None:
    table = binary_table({"a": Site({"tune": 120, "test": 40}, lost=0.9), "b": Site({"test": 20})})
    run = run_arrays(table, "binary")
    about = run.frame.join(attributes_of(table), on="case_id", maintain_order="left")
    by_group = fit_on_tune(run, POINTS, {"sex": about["sex"]})[0].by_group["sex"]
    assert by_group.names == ("F", "M")
    for name, limit in zip(by_group.names, by_group.thresholds.tolist(), strict=True):
        mine = about.filter(pl.col("sex") == name, tune)["case_id"].to_list()
        targets, logits = arrays_of(table.filter(pl.col("case_id").is_in(mine)).sort("case_id"))
        own = np.sort(np.where(targets == 1, 1 - expit(logits), expit(logits)))
        assert limit == own[int(np.ceil((len(own) + 1) * 0.9 - 1e-9)) - 1]
    # with little evidence all probabilities are near ½, and so is the threshold
    assert 0.5 < by_group.thresholds[0] < by_group.thresholds[1]


def test_a_group_that_tune_does_not_know_gets_every_class() -> None:
    table = binary_table({"a": Site({"tune": 60, "test": 20}), "b": Site({"test": 20})})
    run = run_arrays(table, "binary")
    groups = run.frame.select(
        pl.when(pl.col("cohort") == "b")
        .then(pl.lit("new"))
        .when(pl.col("split") == "test")
        .then(pl.lit("old"))
        .when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.lit("old"))
    ).to_series()
    fit = fit_on_tune(run, POINTS, {"age": groups})
    cases = with_group_sets(cases_of_target(run, fit, 0), fit[0], "age", groups)
    inside = run.frame["cohort"].to_numpy() == "b"
    assert cases.sets["group"][inside].all()
    assert not cases.sets["group"][~inside & (run.frame["split"] == "test").to_numpy()].all()


def test_what_was_fitted_is_there_for_every_case_and_taken_with_it() -> None:
    run = run_arrays(THREE["binary"], "binary")
    fitted = fit_on_tune(run, POINTS)
    cases = cases_of_target(run, fitted, 0)
    assert isinstance(cases, TargetCases)
    assert len(cases) == len(run.frame)
    rows = np.flatnonzero((run.frame["cohort"] == "b").to_numpy())
    part = cases.take(rows)
    assert isinstance(part, TargetCases)
    assert (part.prevalence, part.thresholds) == (cases.prevalence, cases.thresholds)
    assert np.array_equal(
        part.predicted_positive["spec80"], run.probabilities[rows, 0] >= cases.thresholds["spec80"]
    )
    assert np.array_equal(part.calibrated["beta"], cases.calibrated["beta"][rows])
    assert np.array_equal(part.sets["class"], cases.sets["class"][rows])


def test_the_results_carry_them_as_rows_of_tune_with_their_counts() -> None:
    table = binary_table(TWO, masked=0.3)
    results = score(table, no_attributes(table), "binary", ALL_POINTS)
    found = fitted_on(table)
    rows = table.filter(tune).drop_nulls("target_x")
    for metric, value in [("temperature", found.temperature)] + [
        (f"threshold@{point}", found.thresholds[point]) for point in POINTS
    ]:
        row = one_row(results, metric, split="tune")
        assert row["value"] == value
        assert (row["cohort"], row["num_cases"], row["num_patients"]) == ("a", len(rows), len(rows))


def test_the_threshold_is_carried_to_test_and_to_shifted_cohorts() -> None:
    table = binary_table(TWO)
    results = score(table, no_attributes(table), "binary", ALL_POINTS)
    limit = one_row(results, "threshold@sens90")["value"]
    for cohort in ("a", "b"):
        rows = table.filter(pl.col("split") == "test", pl.col("cohort") == cohort)
        targets, logits = arrays_of(rows)
        called = expit(logits) >= limit
        sensitivity = one_row(results, "sensitivity@sens90", cohort=cohort)
        assert sensitivity["value"] == pytest.approx(called[targets == 1].mean())
        specificity = one_row(results, "specificity@sens90", cohort=cohort)
        assert specificity["value"] == pytest.approx(1 - called[targets == 0].mean())


def test_the_temperature_is_carried_to_test_and_to_shifted_cohorts() -> None:
    table = binary_table(TWO, temperature=4.0)
    results = score(table, no_attributes(table), "binary", ALL_POINTS)
    temperature = one_row(results, "temperature")["value"]
    assert temperature > 2
    for cohort in ("a", "b"):
        rows = table.filter(pl.col("split") == "test", pl.col("cohort") == cohort)
        targets, logits = arrays_of(rows)
        expected = ((expit(logits / temperature) - targets) ** 2).mean()
        assert one_row(results, "brier_scaled", cohort=cohort)["value"] == pytest.approx(expected)


def test_each_target_has_its_own_threshold_and_temperature() -> None:
    table = binary_table(TWO, targets=("x", "y"))
    table = table.with_columns(pl.col("logit_y") * 3 - 3)
    results = score(table, no_attributes(table), "multi-label", ALL_POINTS)
    limits = {t: one_row(results, "threshold@sens90", target=t)["value"] for t in ("x", "y")}
    factors = {t: one_row(results, "temperature", target=t)["value"] for t in ("x", "y")}
    assert limits["y"] < 0.1 * limits["x"]
    assert factors["y"] > 2 * factors["x"]
    for target in ("x", "y"):
        truth, logits = arrays_of(scored_rows(table, "b"), target)
        called = expit(logits) >= limits[target]
        row = one_row(results, "sensitivity@sens90", cohort="b", target=target)
        assert row["value"] == pytest.approx(called[truth == 1].mean())
        expected = ((expit(logits / factors[target]) - truth) ** 2).mean()
        row = one_row(results, "brier_scaled", cohort="b", target=target)
        assert row["value"] == pytest.approx(expected)


def test_one_temperature_is_shared_by_the_classes_of_a_single_label_task() -> None:
    run = run_arrays(class_table(), "single-label")
    found = fit_on_tune(run, POINTS)
    rows = run.tuned()
    classes = run.targets[rows].argmax(axis=1)
    assert found[WHOLE_CASE].temperature == class_temperature(classes, run.logits[rows])
    assert [found[k].temperature for k in range(4)] == [None] * 4
    results = score(class_table(), no_attributes(class_table()), "single-label", QUICK)
    assert one_row(results, "temperature")["target"] == "case"


def test_a_run_whose_tune_lacks_a_class_says_so_instead_of_a_number() -> None:
    table = binary_table(TWO).with_columns(
        pl.when(tune).then(0.0).otherwise("target_x").alias("target_x")
    )
    results = score(table, no_attributes(table), "binary", QUICK)
    for metric in ("threshold@sens90", "temperature"):
        row = one_row(results, metric)
        assert (row["value"], row["reason"]) == (None, "tune lacks a class")
    for cohort in ("a", "b"):
        for metric in ("sensitivity@sens90", "specificity@sens90", "balanced_accuracy@sens90"):
            row = one_row(results, metric, cohort=cohort)
            assert (row["value"], row["reason"]) == (None, "no threshold: tune lacks a class")
        for metric in ("brier_scaled", "ece_scaled"):
            row = one_row(results, metric, cohort=cohort)
            why = "no temperature calibration: tune lacks a class"
            assert (row["value"], row["reason"]) == (None, why)
        for metric in ("nll_platt", "ece_beta", "brier_isotonic"):
            row = one_row(results, metric, cohort=cohort)
            assert row["value"] is None
            assert row["reason"].endswith("calibration: tune lacks a class")
        for metric in ("coverage_split", "set_size_class"):
            row = one_row(results, metric, cohort=cohort)
            assert row["value"] is None
            assert row["reason"].endswith("sets: tune lacks a class")
        row = one_row(results, "auprc_adjusted", cohort=cohort)
        why = "no prevalence to adjust to: tune lacks a class"
        assert (row["value"], row["reason"]) == (None, why)
        assert one_row(results, "auroc", cohort=cohort)["value"] > 0.5


FROM_TUNE = (
    "@",
    "_scaled",
    "_platt",
    "_beta",
    "_isotonic",
    "_vector",
    "_adjusted",
    "coverage_",
    "set_size_",
    "ood_flag_rate",
    "temperature",
)
"""What a metric's name shows that it needs the tuning split."""


@pytest.mark.parametrize("task", THREE)
def test_a_run_without_any_tune_rows_is_scored_without_what_needs_them(task: Task) -> None:
    table = THREE[task].filter(~tune)
    results = score(table, attributes_of(table), task, QUICK)
    row = one_row(results, "temperature", target="case" if task == "single-label" else "x")
    assert (row["value"], row["num_cases"], row["reason"]) == (None, 0, "tune has no labelled case")
    assert not results["reason"].str.contains("lacks a class").any()
    # a stated threshold is no fit
    stated = "(net_benefit|net_benefit_all|net_benefit_standardized|interventions_avoided)@"
    plain = pl.col("metric").str.contains(f"^coverage_at_risk05|^{stated}")
    needy = results.filter(
        pl.any_horizontal(pl.col("metric").str.contains(part, literal=True) for part in FROM_TUNE),
        ~plain,
    )
    assert len(needy) > 50
    assert needy["value"].null_count() == needy["low"].null_count() == len(needy)
    assert needy["reason"].null_count() == 0
    for cohort in ("a", "b"):
        overall = one_row(
            results, "auroc", cohort=cohort, target="x" if task == "binary" else "macro"
        )
        assert overall["value"] > 0.5
    rest = results.join(needy, on=["cohort", "attribute", "group", "target", "metric"], how="anti")
    undefined = rest.filter(pl.col("value").is_null())
    few = pl.col("reason").str.starts_with("fewer than").fill_null(value=False)
    undefined = undefined.filter(~few)  # groups
    assert undefined["reason"].null_count() == 0
    # calibration AUROC of a group that is always right, p-values of groups that lack a class
    assert len(undefined) < 0.1 * len(rest)


def test_a_single_label_run_whose_tune_has_one_class_says_so() -> None:
    table = class_table()
    table = table.filter(~tune | (pl.col("target_scar") == 1))
    results = score(table, no_attributes(table), "single-label", QUICK)
    row = one_row(results, "ece_scaled", target="case")
    why = "no temperature calibration: tune lacks a class"
    assert (row["value"], row["reason"]) == (None, why)
    for metric in ("coverage_split", "set_size_aps", "coverage_raps", "coverage_class"):
        row = one_row(results, metric, target="case")
        assert row["value"] is None
        assert row["reason"].endswith("sets: tune lacks a class")
    row = one_row(results, "sensitivity@sens90", target="scar")
    assert (row["value"], row["reason"]) == (None, "no threshold: tune lacks a class")


def test_vector_scaling_needs_every_class_in_tune() -> None:
    table = class_table().filter(~tune | (pl.col("target_scar") == 0))
    results = score(table, no_attributes(table), "single-label", QUICK)
    row = one_row(results, "ece_vector", target="case")
    assert (row["value"], row["reason"]) == (None, "no vector calibration: tune lacks a class")
    assert one_row(results, "ece_scaled", target="case")["value"] is not None
    assert one_row(results, "coverage_aps", target="case")["value"] is not None


def test_tune_cases_that_all_look_alike_fix_a_threshold_but_no_slope() -> None:
    table = binary_table(TWO).with_columns(
        pl.when(tune).then(0.5).otherwise("logit_x").alias("logit_x")
    )
    results = score(table, no_attributes(table), "binary", QUICK)
    for metric in ("nll_platt", "ece_beta"):
        row = one_row(results, metric, cohort="b")
        kind = metric.split("_")[1]
        why = f"no {kind} calibration: all tune cases have the same logits"
        assert (row["value"], row["reason"]) == (None, why)
    for metric in ("sensitivity@sens90", "nll_scaled", "nll_isotonic", "coverage_split"):
        assert one_row(results, metric, cohort="b")["value"] is not None


def test_groups_have_no_sets_where_nobody_has() -> None:
    table = binary_table(TWO).filter(~tune)
    results = score(table, attributes_of(table), "binary", QUICK)
    row = one_row(results, "coverage_group", attribute="sex", group="F", cohort="a")
    assert (row["value"], row["reason"]) == (None, "no group sets: tune has no labelled case")


def test_a_case_of_another_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_arrays(binary_table(TWO), "binary")
    monkeypatch.setattr(type(run), "tuned", lambda own: np.ones(len(own.frame), dtype=np.bool_))
    with pytest.raises(TableError, match="110 cases of split 'test'"):
        fit_on_tune(run, POINTS)


def test_a_run_scored_on_shifted_cohorts_alone_keeps_its_thresholds_with_its_own() -> None:
    table = binary_table({"a": Site({"tune": 40}), "b": Site({"test": 40})})
    results = score(table, no_attributes(table), "binary", QUICK)
    assert one_row(results, "threshold@sens90")["cohort"] == "a"
    assert set(results.filter(pl.col("split") == "test")["cohort"]) == {"b"}
