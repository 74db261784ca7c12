"""Runs that answered different cases: compared on what they share, folds pooled."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from tests.evaluation.comparison.made_rungs import CONFIG, TRUTH, by_seed_of, seeds_of

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.answered import (
    AnsweredSets,
    answered,
    pool_folds,
    shared_cases,
)
from medtransfer.evaluation.comparison.evaluate_table import evaluate_table
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables

TEST = pl.col("split") == "test"


def table_of(**rungs: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([t.with_columns(run_id=pl.lit(n)) for n, t in rungs.items()])


def without_hardest(table: pl.DataFrame, count: int) -> pl.DataFrame:
    """A run that did not answer the test cases of cohort a that are furthest from their label."""
    hardest = (
        table.filter(TEST, cohort="a")
        .with_columns(wrong=pl.col("logit_x") * (1 - 2 * pl.col("target_x")))
        .sort("wrong", descending=True)["case_id"][:count]
    )
    return table.filter(~pl.col("case_id").is_in(hardest.to_list()))


def evaluated(table: pl.DataFrame, reference: str | None = None) -> LadderTables:
    cases = table.select("case_id").unique()
    return evaluate_table(table, cases, "binary", CONFIG, reference=reference)


def auroc_row(tables: LadderTables, cohort: str = "a") -> dict[str, object]:
    return tables.comparisons.row(
        by_predicate=(pl.col("metric") == "auroc") & (pl.col("cohort") == cohort), named=True
    )


ALL_ANSWERED, OTHER = seeds_of("one", 1.5, 2)
FEWER = without_hardest(OTHER, 25)


def test_a_rung_that_rejects_its_hardest_cases_is_not_better_for_it() -> None:
    tables = evaluated(table_of(A=ALL_ANSWERED, B=FEWER))
    row = auroc_row(tables)
    both = ALL_ANSWERED.filter(TEST, cohort="a").join(
        FEWER.filter(TEST).select("case_id", other="logit_x"), on="case_id"
    )
    truth = both["target_x"].to_numpy()
    expected = roc_auc_score(truth, both["other"].to_numpy()) - roc_auc_score(
        truth, both["logit_x"].to_numpy()
    )
    assert row["difference"] == pytest.approx(expected, abs=1e-12)
    assert row["num_cases"] == len(both)
    whole = ALL_ANSWERED.filter(TEST, cohort="a").height
    assert (row["coverage"], row["coverage_reference"]) == (pytest.approx(1 - 25 / whole), 1.0)
    rest = ALL_ANSWERED.filter(TEST, cohort="a").join(both, on="case_id", how="anti")
    expected = roc_auc_score(rest["target_x"].to_numpy(), rest["logit_x"].to_numpy())
    assert (row["rest"], row["rest_reference"]) == (None, pytest.approx(expected))
    assert any("B did not answer 25 of" in note for note in tables.notes)


@pytest.mark.slow
def test_who_is_the_reference_turns_the_sign_alone() -> None:
    table = table_of(A=ALL_ANSWERED, B=FEWER)
    one, two = (auroc_row(evaluated(table, name)) for name in ("A", "B"))
    assert one["difference"] == pytest.approx(-two["difference"])  # type: ignore[operator]
    assert one["coverage"] == two["coverage_reference"]
    assert one["rest_reference"] == two["rest"]


def test_rungs_that_answer_the_same_say_nothing_of_it() -> None:
    tables = evaluated(table_of(A=ALL_ANSWERED, B=OTHER))
    assert tables.notes == ()
    assert set(tables.comparisons["coverage"]) == {1.0}
    assert tables.comparisons["rest"].null_count() == len(tables.comparisons)


def test_rungs_without_a_shared_case_have_no_difference() -> None:
    odd = pl.col("case_id").rank("dense") % 2 == 1
    one = ALL_ANSWERED.filter(~TEST | odd)
    two = OTHER.filter(~TEST | ~odd)
    row = auroc_row(evaluated(table_of(A=one, B=two)))
    assert (row["difference"], row["p"]) == (None, None)
    assert row["reason"] == "no test case that both answered"


def test_the_mean_over_seeds_is_of_the_cases_that_all_seeds_answered() -> None:
    seeds = [
        table.with_columns(rung=pl.lit("R"), seed=pl.lit(i))
        for i, table in enumerate((ALL_ANSWERED, FEWER))
    ]
    tables = evaluated(table_of(one=seeds[0], two=seeds[1]))
    mean = tables.results.row(
        by_predicate=pl.col("run_id").is_null()
        & (pl.col("metric") == "auroc")
        & (pl.col("cohort") == "a")
        & (pl.col("attribute") == "all"),
        named=True,
    )
    kept = FEWER.filter(TEST, cohort="a").select("case_id")
    both = [t.filter(TEST).join(kept, on="case_id") for t in (ALL_ANSWERED, FEWER)]
    each = [roc_auc_score(t["target_x"].to_numpy(), t["logit_x"].to_numpy()) for t in both]
    assert mean["value"] == pytest.approx(np.mean(each), abs=1e-12)
    assert mean["num_cases"] == len(kept)
    assert any("seeds of R answered different test cases" in note for note in tables.notes)


def folds(count: int = 4, *, tune: bool = False) -> pl.DataFrame:
    """One rung whose runs each test another part of the cases."""
    tables: list[pl.DataFrame] = []
    number = pl.col("case_id").rank("dense").cast(pl.Int64) % count
    for fold in range(count):
        kept = ALL_ANSWERED.filter(TEST).filter(number == fold)
        if tune:
            kept = pl.concat([kept, ALL_ANSWERED.filter(split="tune")])
        tables.append(
            kept.with_columns(run_id=pl.lit(f"f{fold}"), rung=pl.lit("R"), seed=pl.lit(fold))
        )
    return pl.concat(tables)


def test_folds_are_pooled_into_one_out_of_fold_run() -> None:
    tables = evaluated(folds())
    row = tables.results.row(
        by_predicate=(pl.col("run_id") == "f0")
        & (pl.col("metric") == "auroc")
        & (pl.col("cohort") == "a")
        & (pl.col("attribute") == "all"),
        named=True,
    )
    whole = ALL_ANSWERED.filter(TEST, cohort="a")
    assert row["num_cases"] == whole.height
    assert row["num_patients"] == whole["patient_id"].n_unique()
    assert row["value"] == pytest.approx(by_seed_of([ALL_ANSWERED], "a")[0, 0])
    assert "pooled into one out-of-fold run of 260 cases" in tables.notes[0]
    assert tables.results["run_id"].drop_nulls().unique().to_list() == ["f0"]


def test_patients_that_several_folds_tested_are_counted() -> None:
    keys = [(f"f{fold}", GridKey("R")) for fold in range(4)]
    alone = folds().with_columns(patient_id=pl.col("case_id"))
    assert len(pool_folds(alone, keys)[1]) == 1
    _, notes = pool_folds(folds(), keys)
    assert notes[1].startswith("Rung 'R' was tested on ")
    assert "each network saw these patients in training" in notes[1]


def test_folds_with_a_tuning_split_are_refused_with_what_to_do() -> None:
    with pytest.raises(TableError, match=r"folds of a cross-validation.*Leave out all rows but"):
        evaluated(folds(tune=True))


def test_a_repeated_cross_validation_is_refused() -> None:
    again = folds(3).with_columns("seed", run_id="again" + pl.col("run_id"))
    again = again.with_columns(seed=pl.col("seed") + 10)
    with pytest.raises(TableError, match="repeated cross-validation"):
        evaluated(pl.concat([folds(), again]))


def test_seeds_that_share_cases_are_no_folds() -> None:
    table = table_of(one=ALL_ANSWERED, two=FEWER)
    keys = [("one", GridKey("R")), ("two", GridKey("R"))]
    pooled, notes = pool_folds(table, keys)
    assert pooled is table
    assert notes == ()


def test_shared_cases_are_of_cohort_and_name() -> None:
    one = answered(TRUTH)
    moved = answered(TRUTH.with_columns(cohort=pl.lit("elsewhere")))
    assert shared_cases([one, one]) is None
    shared = shared_cases([one, moved])
    assert shared is not None
    assert len(shared) == 0


def test_runs_that_answered_the_same_cases_share_one_set() -> None:
    table = seeds_of("weak", 1.0, count=1)[0]
    fewer = without_hardest(table, 3)
    sets = AnsweredSets()
    first, again = sets.of(table), sets.of(table.with_columns(logit_x=pl.lit(0.0)))
    other, third = sets.of(fewer), sets.of(table.reverse())
    assert again is first
    assert third is first
    assert other is not first
    assert len(first) - len(other) == 3
    assert other.cases.equals(answered(fewer).cases)
