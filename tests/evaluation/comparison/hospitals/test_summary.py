"""Several training hospitals: AUROC within each, what pooling adds, the next hospital."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from statsmodels.stats.meta_analysis import combine_effects
from tests.evaluation.comparison.made_rungs import CONFIG
from tests.prediction_tables import Site, binary_table, no_attributes

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.choice.rung_pairs import rung_pairs
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.statistics.variance import random_effects

PREVALENCES = {"a": 0.15, "b": 0.5, "c": 0.8}
SITES = {
    name: Site({"tune": 60, "test": 160}, separation=0.6, prevalence=share)
    for name, share in PREVALENCES.items()
} | {"far": Site({"test": 150}, separation=0.6)}
SHIFTS = {"a": 0.0, "b": 2.0, "c": 4.0, "far": 1.0}


def telling_hospitals_apart(targets: tuple[str, ...] = ("x",), seed: int = 0) -> pl.DataFrame:
    """Scores that rise with the hospital's prevalence, far more than with the disease."""
    table = binary_table(SITES, targets=targets, seed=seed)
    shift = pl.col("cohort").replace_strict(SHIFTS, return_dtype=pl.Float64)
    return table.with_columns(pl.col(f"logit_{name}") + shift for name in targets)


def tables_of(task: Task, *runs: pl.DataFrame) -> LadderTables:
    """Tables of a ladder of one rung."""
    ladder = [
        LadderRun(f"r{seed}", GridKey("r"), seed, lambda table=table: table)
        for seed, table in enumerate(runs)
    ]
    return compare_runs(ladder, no_attributes(runs[0]), task, CONFIG, reference="r")


TABLE = telling_hospitals_apart()
RESULTS = tables_of("binary", TABLE).results.filter(pl.col("run_id").is_null())


def row_of(metric: str, results: pl.DataFrame = RESULTS, **where: str) -> dict[str, object]:
    keys = {"cohort": "internal", "attribute": "all", "group": "all", "target": "x"} | where
    (row,) = results.filter(metric=metric, **keys).to_dicts()
    return row


def test_auroc_within_is_the_hospitals_mean_weighted_by_their_positives() -> None:
    tested = TABLE.filter((pl.col("split") == "test") & (pl.col("cohort") != "far"))
    by_site = tested.partition_by("cohort", as_dict=True)
    areas = [roc_auc_score(t["target_x"], t["logit_x"]) for t in by_site.values()]
    positives = [int((t["target_x"] == 1).sum()) for t in by_site.values()]
    within, pooled = row_of("auroc_within"), row_of("auroc")
    assert within["value"] == pytest.approx(np.average(areas, weights=positives))
    assert pooled["value"] == pytest.approx(roc_auc_score(tested["target_x"], tested["logit_x"]))
    between = row_of("auroc_between")
    assert between["value"] == pytest.approx(pooled["value"] - within["value"])  # type: ignore[operator]
    assert between["low"] > 0  # type: ignore[operator]
    assert within["low"] < within["value"] < within["high"]  # type: ignore[operator]


def test_a_shifted_hospital_is_held_against_what_is_within_hospitals() -> None:
    drop, far = row_of("auroc_drop", cohort="far"), row_of("auroc", cohort="far")
    expected = row_of("auroc_within")["value"] - far["value"]  # type: ignore[operator]
    assert drop["value"] == pytest.approx(expected)
    assert drop["low"] < 0 < drop["high"]  # type: ignore[operator]
    pooled = row_of("auroc")["value"]
    assert pooled - far["value"] > 0.1  # type: ignore[operator]


def test_the_mean_over_hospitals_is_that_of_statsmodels() -> None:
    sites = [row_of("auroc", attribute="cohort", group=name) for name in PREVALENCES]
    ends = logit(np.array([[s["value"], s["low"], s["high"]] for s in sites], dtype=float))
    errors = (ends[:, 2] - ends[:, 1]) / 2 / 1.959964
    expected: Any = combine_effects(ends[:, 0], errors**2, method_re="iterated", use_t=True)
    found = row_of("auroc_across")
    assert found["value"] == pytest.approx(expit(expected.mean_effect_re), abs=1e-6)
    following = row_of("auroc_next_cohort")
    assert following["reason"] == "of 3 hospitals: mostly ignorance"
    assert following["low"] < found["low"] < found["high"] < following["high"]  # type: ignore[operator]


@pytest.mark.slow
def test_means_over_targets_and_seeds_have_it_too() -> None:
    runs = [telling_hospitals_apart(("x", "y"), seed) for seed in range(2)]
    runs[1] = runs[0].with_columns(logit_x=runs[0]["logit_x"] + 0.5 * runs[1]["logit_x"])
    results = tables_of("multi-label", *runs).results.filter(pl.col("run_id").is_null())
    within = row_of("auroc_within", results, target="macro")
    assert within["contains"] == "patients and seeds"
    drop = row_of("auroc_drop", results, target="macro", cohort="far")
    far = row_of("auroc", results, target="macro", cohort="far")
    assert drop["value"] == pytest.approx(within["value"] - far["value"])  # type: ignore[operator]
    assert row_of("auroc_next_cohort", results, target="macro")["low"] is not None


def test_a_hospital_that_is_too_small_is_left_out_and_named() -> None:
    tiny = Site({"tune": 20, "test": 12}, separation=0.6, prevalence=0.5)
    table = binary_table({**SITES, "tiny": tiny})
    results = tables_of("binary", table).results.filter(pl.col("run_id").is_null())
    within, others = row_of("auroc_within", results), table.filter(pl.col("split") == "test")
    assert "without tiny (fewer than 10 " in str(within["reason"])
    three = others.filter(pl.col("cohort").is_in(list(PREVALENCES)))
    assert within["num_cases"] == len(three)
    assert within["num_positive"] == (three["target_x"] == 1).sum()
    following = row_of("auroc_next_cohort", results)
    assert following["reason"] == "of 3 hospitals: mostly ignorance; without tiny: no interval"


def test_rungs_are_recommended_by_what_they_do_within_hospitals() -> None:
    told = {name: SHIFTS[name] + logit(site.prevalence) for name, site in SITES.items()}
    shift = pl.col("cohort").replace_strict(told, return_dtype=pl.Float64)
    honest = TABLE.with_columns(pl.col("logit_x") - shift)  # the same within every hospital
    runs = [
        LadderRun(rung, GridKey(rung), 0, lambda table=table: table)
        for rung, table in (("telling", TABLE), ("honest", honest))
    ]
    tables = compare_runs(runs, no_attributes(TABLE), "binary", CONFIG, reference="honest")
    (pooled,) = tables.comparisons.filter(metric="auroc", cohort="internal")["difference"]
    assert pooled > 0.1
    (pair,) = [pair for pair in rung_pairs(tables.means) if pair.use == "choice"]
    assert pair.difference == pytest.approx(0, abs=1e-9)


def test_one_training_hospital_has_no_such_rows() -> None:
    table = binary_table({"a": SITES["a"], "far": SITES["far"]})
    names = set(tables_of("binary", table).results["metric"])
    assert not names & {"auroc_within", "auroc_between", "auroc_across", "auroc_next_cohort"}


@pytest.mark.parametrize("number", [2, 3, 8])
def test_random_effects_agree_with_statsmodels(number: int) -> None:
    rng = np.random.default_rng(number)
    values, errors = rng.normal(1, 0.8, number), rng.uniform(0.1, 0.4, number)
    expected: Any = combine_effects(values, errors**2, method_re="iterated", use_t=True)
    found = random_effects(values, errors)
    assert found.mean == pytest.approx(expected.mean_effect_re, abs=1e-5)
    assert found.between**2 == pytest.approx(expected.tau2, abs=1e-4)
    low, high = expected.conf_int()[3]  # random effects, Hartung and Knapp
    assert found.interval == pytest.approx((low, high), abs=1e-3)
    assert (found.next_one is None) == (number == 2)
    with pytest.raises(ValueError, match="two hospitals or more, not of 1"):
        random_effects(values[:1], errors[:1])


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 5, 10])
@pytest.mark.parametrize("between", [0.0, 0.3, 0.8])
def test_the_mean_and_the_next_hospital_are_held(number: int, between: float) -> None:
    rng = np.random.default_rng([number, int(10 * between)])
    held = np.zeros(2)
    for _ in range(2_000):
        errors = rng.uniform(0.1, 0.4, number)
        values = rng.normal(0, np.hypot(errors, between))
        found = random_effects(values, errors)
        assert found.next_one is not None
        following = rng.normal(0, between) if between else 0.0
        held += [
            found.interval[0] <= 0 <= found.interval[1],
            found.next_one[0] <= following <= found.next_one[1],
        ]
    print(f"{number} hospitals, {between}: mean {held[0] / 20:.1f} %, next {held[1] / 20:.1f} %")
    assert held.min() / 2_000 > 0.925
