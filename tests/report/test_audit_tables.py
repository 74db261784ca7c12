"""The tables of the audit of 1,188 numbers, whose claims were false, end in the right ones.

`tests/golden/numbers`: two networks that answered other cases, a cross-validation given as seeds, a
finding that another hospital lacks, and a threshold that finds nobody there.
"""

from functools import cache
from pathlib import Path

import polars as pl
import pytest

from medtransfer.evaluation.comparison.evaluate_table import evaluate_table, infer_task
from medtransfer.evaluation.comparison.ladder import LadderTables
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.report.evaluate import evaluate
from medtransfer.report.front_page.build import front_page
from medtransfer.report.front_page.facts import FrontPage
from medtransfer.report.reading import load_evaluation_data
from medtransfer.tables.other_predictions import read_other_predictions

NUMBERS = Path(__file__).parents[1] / "golden" / "numbers"
CONFIG = EvaluationConfig(
    replicates=100, permutations=0, metrics=("auroc", "sensitivity", "specificity")
)


@cache
def tables_of(name: str) -> LadderTables:
    frame = read_other_predictions(NUMBERS / f"{name}.csv", {}).frame
    return evaluate_table(frame, frame.select("case_id").unique(), infer_task(frame)[0], CONFIG)


def result(tables: LadderTables, metric: str, **where: str) -> dict[str, float]:
    rows = tables.results.filter(pl.col("run_id").is_null(), metric=metric, **where)
    (row,) = rows.iter_rows(named=True)
    return row


def difference(tables: LadderTables) -> dict[str, float]:
    (row,) = tables.comparisons.filter(metric="auroc").iter_rows(named=True)
    return row


def test_networks_that_answered_other_cases_are_compared_on_those_that_both_answered() -> None:
    """Unpaired, B was better by 0.079 [0.014, 0.142]; on the same cases it is not."""
    tables = tables_of("unequal")
    row = difference(tables)
    assert row["difference"] == pytest.approx(-0.0417314, abs=1e-6)
    assert row["low"] < row["difference"] < row["high"] < 0.05
    assert row["num_cases"] == 260
    assert (row["coverage"], row["coverage_reference"]) == (pytest.approx(260 / 300), 1.0)
    assert row["rest_reference"] == pytest.approx(0.0306905, abs=1e-6)
    (note,) = tables.notes
    assert note.startswith("B did not answer 40 of 300 test cases: the two are compared on the 260")


def test_folds_that_were_given_as_seeds_are_one_table_of_all_patients() -> None:
    """As seeds of 60 patients each they were a mean over fifths."""
    tables = tables_of("cv")
    row = difference(tables)
    assert row["num_patients"] == row["num_cases"] == 300
    assert row["difference"] == pytest.approx(-0.0453625, abs=1e-6)
    assert row["low"] < 0 < row["high"]
    assert len(tables.notes) == 2
    assert all("pooled into one out-of-fold run of 300 cases" in note for note in tables.notes)


def test_a_drop_is_of_the_findings_that_both_hospitals_have() -> None:
    """The card said 0.07 above home, where both shared findings fall."""
    row = result(tables_of("adv_drop"), "auroc_drop", target="macro")
    assert row["value"] == pytest.approx(0.0510765, abs=1e-6)
    assert row["low"] > 0
    assert row["reason"] == "over the 2 of 3 targets that both have: a, b"


def test_a_carried_threshold_that_finds_nobody_is_in_the_numbers() -> None:
    tables = tables_of("zeropos")
    found = result(tables, "sensitivity@sens90", cohort="away")
    assert found["value"] == 0
    assert 0 < found["high"] < 0.05
    lost = result(tables, "sensitivity@sens90_drop", cohort="away")
    assert lost["value"] == pytest.approx(0.8348624, abs=1e-6)
    assert lost["low"] > 0.7


@cache
def page_of(name: str, folder: Path) -> FrontPage:
    config = EvaluationConfig(permutations=0)  # p is 0.06 at 1,000 replicates, and varies with few
    evaluate(NUMBERS / f"{name}.csv", folder / name, config=config)
    return front_page(load_evaluation_data(folder / name))


@pytest.mark.slow
def test_the_first_page_claims_what_these_tables_show(tmp_path: Path) -> None:
    unequal = page_of("unequal", tmp_path).finding("transfer")
    assert unequal.mark == "not shown"
    assert "B did not answer 40 of 300 cases (A reaches 0.03 there)" in unequal.sentence
    assert page_of("cv", tmp_path).finding("transfer").mark == "not shown"
    dropped = page_of("adv_drop", tmp_path).finding("shift")
    assert dropped.mark == "shown"
    assert dropped.sentence.startswith("AUROC is lower than at home: by 0.05")
    assert "above" not in dropped.sentence
    missed = page_of("zeropos", tmp_path).finding("shift")
    assert missed.mark == "shown"
    assert "At the threshold of h, of 100 with the finding 83" in missed.sentence
    assert "more are missed at away" in missed.sentence
