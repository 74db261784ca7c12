"""From the runs of a ladder to its tables: what is in them, and what is kept apart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.comparison.made_rungs import key_of, mean_of
from tests.prediction_tables import QUICK, Site, attributes_of, binary_table

from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.evaluation.scoring.score import score
from medtransfer.tables import results

SITES = {"a": Site({"tune": 30, "test": 40}), "b": Site({"test": 30})}
CONFIG = QUICK.model_copy(update={"replicates": 50, "permutations": 5, "margin": 0.05})
FACTS = [
    RungFacts("scratch", 2.5e7, 0.0, "r50", "none"),
    RungFacts("few", 2.5e7, 1.3e6, "r50", "few"),
    RungFacts("many", 2.5e7, 1.4e7, "r50", "many"),
]
GAINS = {"scratch": 0.0, "few": 0.5, "many": 1.5}


def predictions_of(rung: str, fraction: float, seed: int, sites: dict[str, Site]) -> pl.DataFrame:
    """The same cases; better rungs and more labels add evidence, each seed noise of its own."""
    table = binary_table(sites)
    rng = np.random.default_rng([seed, len(rung), int(100 * fraction)])
    gain = GAINS[rung] + np.log10(fraction)
    return table.with_columns(
        pl.col("logit_x")
        + gain * (pl.col("target_x") - 0.5)
        + pl.Series(rng.normal(size=len(table))),
        run_id=pl.lit(f"{rung}-{fraction}-{seed}"),
    )


def run_of(
    rung: str,
    fraction: float = 1.0,
    seed: int = 0,
    held_out: str | None = None,
    retrained: float | None = None,
    sites: dict[str, Site] = SITES,
) -> LadderRun:
    table = predictions_of(rung, fraction, seed, sites)
    name = "-".join(map(str, (rung, fraction, seed, held_out, retrained)))
    table = table.with_columns(run_id=pl.lit(name))
    return LadderRun(name, GridKey(rung, fraction, held_out, retrained), seed, lambda: table)


def tables_of(runs: list[LadderRun], **more: Any) -> LadderTables:
    about = attributes_of(binary_table({"a": SITES["a"], "b": SITES["b"], "c": SITES["b"]}))
    return compare_runs(runs, about, "binary", CONFIG, reference="scratch", facts=FACTS, **more)


RUNS = [run_of(rung, f, s) for rung in GAINS for f in (1.0, 0.1) for s in (0, 1)]
FOUND = tables_of(RUNS)


def rows(found: LadderTables = FOUND, **where: object) -> pl.DataFrame:
    return found.results.filter(
        *(pl.col(k).is_null() if v is None else pl.col(k) == v for k, v in where.items())
    )


def test_every_run_is_scored_and_placed_in_the_ladder() -> None:
    runs = FOUND.results.drop_nulls("run_id")
    assert set(runs["run_id"]) == {run.run_id for run in RUNS}
    for run in (RUNS[0], RUNS[-1]):
        own = runs.filter(pl.col("run_id") == run.run_id)
        scored = score(run.predictions(), attributes_of(run.predictions()), "binary", CONFIG)
        assert_frame_equal(own.select(scored.columns), scored)
        assert set(own["rung"]) == {run.key.rung}
        assert set(own["label_fraction"]) == {run.key.label_fraction}
        assert set(own["seed"]) == {run.seed}
        assert own["held_out"].null_count() == own["retrain_fraction"].null_count() == len(own)


def test_the_tables_keep_their_contracts() -> None:
    assert FOUND.results.columns == [column.name for column in results.RESULTS_CONTRACT.columns]
    assert FOUND.comparisons.columns == [
        column.name for column in results.COMPARISONS_CONTRACT.columns
    ]
    no_value = FOUND.results.filter(pl.col("value").is_null())
    assert no_value["reason"].null_count() == 0
    no_interval = FOUND.results.filter(
        pl.col("split") == "test",
        pl.col("low").is_null(),
        pl.col("reason").is_null(),
    )
    # what a p-value or a standard deviation is has no interval; all else says why it has none
    assert set(no_interval["metric"].str.contains("_gap_p$|_sd_")) == {True}


def test_means_over_seeds_are_rows_without_a_run() -> None:
    mean = rows(run_id=None, metric="auroc", attribute="all", cohort="a", rung="many", seed=None)
    assert sorted(mean["label_fraction"].to_list()) == [0.1, 1.0]
    each = rows(metric="auroc", attribute="all", cohort="a", rung="many", label_fraction=0.1)
    seeds = each.drop_nulls("seed")["value"]
    assert len(seeds) == 2
    own = mean.filter(pl.col("label_fraction") == 0.1)["value"].item()
    assert own == pytest.approx(seeds.mean())


def test_what_the_ladder_as_a_whole_tells_is_there() -> None:
    overall = FOUND.results.filter(pl.col("run_id").is_null())
    names = set(overall["metric"])
    assert {
        "auroc_drop",
        "auroc_sd_seeds",
        "auroc_sd_patients",
        "auroc_effective_robustness",
        "auroc_scale_data",
        "auroc_scale_network",
        "labels_saved",
    } <= names
    assert set(rows(metric="auroc_scale_data")["rung"]) == {"all"}
    assert set(rows(metric="auroc_effective_robustness")["rung"]) == set(GAINS)
    assert set(rows(metric="labels_saved")["rung"]) == {"few", "many"}
    assert rows(metric="auroc_scale_data", cohort="a", attribute="all")["value"].item() > 0


def test_the_other_rungs_are_compared_with_the_reference_on_the_same_labels() -> None:
    found = FOUND.comparisons.filter(pl.col("metric") == "auroc", pl.col("cohort") == "a")
    assert sorted(found.select("rung", "label_fraction").rows()) == [
        ("few", 0.1),
        ("few", 1.0),
        ("many", 0.1),
        ("many", 1.0),
    ]
    assert set(found["reference"]) == {"scratch"}
    assert set(found["margin"]) == {0.05}
    own = {
        (rung, fraction): rows(
            run_id=None,
            metric="auroc",
            attribute="all",
            cohort="a",
            rung=rung,
            label_fraction=fraction,
        )["value"].item()
        for rung in GAINS
        for fraction in (0.1, 1.0)
    }
    for rung, fraction, difference in found.select("rung", "label_fraction", "difference").rows():
        expected = own[rung, fraction] - own["scratch", fraction]
        assert difference == pytest.approx(expected, abs=1e-12)


def test_results_that_are_there_are_taken_as_they_are() -> None:
    run = RUNS[0]
    scored = score(run.predictions(), attributes_of(run.predictions()), "binary", CONFIG)
    marked = scored.with_columns(value=pl.lit(0.123))
    given = replace(run, results=lambda: marked)
    found = tables_of([given])
    own = rows(found, run_id=run.run_id)
    assert set(own["value"]) == {0.123}
    # means are made from the predictions
    assert (
        rows(found, run_id=None, metric="auroc", attribute="all", cohort="a")["value"].item() > 0.5
    )


def test_the_watcher_hears_of_every_run_and_of_the_end() -> None:
    heard: list[tuple[int, int]] = []
    tables_of(RUNS[:3], on_run=lambda done, of: heard.append((done, of)))
    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_predictions_are_read_one_run_at_a_time() -> None:
    read: list[str] = []

    def reader(run: LadderRun) -> Callable[[], pl.DataFrame]:
        return lambda: read.append(run.run_id) or run.predictions()

    runs = [replace(run, predictions=reader(run)) for run in RUNS[:2]]
    tables_of(runs)
    assert read == [run.run_id for run in RUNS[:2]]


def leave_out(cohort: str) -> dict[str, Site]:
    """Two of three cohorts are trained on, all are tested on."""
    both = Site({"tune": 15, "test": 30})
    return {name: Site({"test": 30}) if name == cohort else both for name in ("a", "b", "c")}


@pytest.mark.slow
def test_a_study_that_leaves_cohorts_out_sums_up_each_where_it_was_left_out() -> None:
    runs = [
        run_of(rung, 1.0, 0, cohort, None, leave_out(cohort))
        for rung in ("scratch", "many")
        for cohort in ("a", "b", "c")
    ]
    about = attributes_of(binary_table(leave_out("a")))
    found = compare_runs(runs, about, "binary", CONFIG, reference="scratch", facts=FACTS)
    # a run has all its own numbers
    own = rows(found, run_id=runs[0].run_id, metric="auroc", attribute="all")
    assert own["cohort"].to_list() == ["internal", "a"]
    means = found.results.filter(pl.col("run_id").is_null())
    assert len(means) > 100
    assert (means["cohort"] == means["held_out"]).all()
    assert set(means["held_out"]) == {"a", "b", "c"}
    assert {"auroc", "auroc_drop", "auroc_sd_patients"} <= set(means["metric"])
    assert "auroc_effective_robustness" not in set(means["metric"])
    compared = found.comparisons
    assert (compared["cohort"] == compared["held_out"]).all()
    for cohort in ("a", "b", "c"):
        row = compared.filter(pl.col("metric") == "auroc", pl.col("held_out") == cohort)
        assert row["rung"].to_list() == ["many"]


@pytest.mark.slow
def test_scale_of_a_study_that_leaves_cohorts_out_is_told_for_each() -> None:
    runs = [
        run_of(rung, 1.0, 0, cohort, None, leave_out(cohort))
        for rung in ("few", "many")
        for cohort in ("a", "b")
    ]
    about = attributes_of(binary_table(leave_out("a")))
    found = compare_runs(runs, about, "binary", CONFIG, reference="few", facts=FACTS)
    scale = rows(found, metric="auroc_scale_data", attribute="all")
    assert scale.select("rung", "cohort", "held_out").rows() == [
        ("all", "a", "a"),
        ("all", "b", "b"),
    ]
    for cohort in ("a", "b"):
        own = found.comparisons.filter(pl.col("metric") == "auroc", pl.col("held_out") == cohort)
        slope = scale.filter(pl.col("held_out") == cohort)["value"].item()
        decades = np.log10(1.4e7 / 1.3e6)
        assert slope == pytest.approx(own["difference"].item() / decades)


@pytest.mark.slow
def test_runs_that_were_trained_again_are_other_training_sets() -> None:
    again = [run_of(rung, 1.0, 5, None, 0.1) for rung in ("scratch", "many")]
    plain = [run for run in RUNS if run.key.rung in ("scratch", "many") and run.seed == 0]
    found, before = tables_of(plain + again), tables_of(plain)
    keys = {"run_id": None, "metric": "auroc", "attribute": "all", "cohort": "b"}
    means = rows(found, **keys).filter(pl.col("label_fraction") == 1)
    assert sorted(means.select("rung", "retrain_fraction").rows(), key=str) == [
        ("many", 0.1),
        ("many", None),
        ("scratch", 0.1),
        ("scratch", None),
    ]
    # nothing that was said without them is changed by them
    old = found.results.filter(pl.col("retrain_fraction").is_null())
    assert_frame_equal(old, before.results, check_row_order=False)
    compared = found.comparisons.filter(pl.col("retrain_fraction") == 0.1)
    assert set(compared["rung"]) == {"many"}
    own = compared.filter(pl.col("metric") == "auroc", pl.col("cohort") == "b")["difference"].item()
    many, scratch = (mean_of(r.key.rung, [r.predictions()], config=CONFIG) for r in again[::-1])
    expected = many.estimates[key_of("b")].values[0] - scratch.estimates[key_of("b")].values[0]  # type: ignore[index]
    assert own == pytest.approx(expected)
    assert "auroc_effective_robustness" not in set(rows(found, retrain_fraction=0.1)["metric"])


@pytest.mark.slow
def test_the_order_of_runs_changes_no_number() -> None:
    backwards = tables_of(RUNS[::-1])
    for one, two in (
        (FOUND.results, backwards.results),
        (FOUND.comparisons, backwards.comparisons),
    ):
        numbers = ["value", "low", "high", "difference", "reason"]
        keys = [c for c in one.columns if c not in numbers and not c.startswith("p")]
        assert len(one.unique(keys)) == len(one) == len(two)
        assert_frame_equal(one.sort(keys), two.sort(keys), abs_tol=1e-12)


def test_a_single_run_makes_a_ladder() -> None:
    found = tables_of(RUNS[:1])
    assert len(found.comparisons) == 0
    assert len(found.means) == 1
    assert set(found.results["rung"]) == {"scratch"}
