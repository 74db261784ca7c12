"""Several training cohorts are one place; every shifted cohort is its own."""

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
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.scoring.score import score

SITES = {
    "b": Site({"tune": 30, "test": 50}, separation=2.0),
    "a": Site({"tune": 30, "test": 40}, separation=1.0),
    "d": Site({"test": 30}, separation=0.5),
    "c": Site({"test": 30}),
}
TABLE = binary_table(SITES)
RESULTS = score(TABLE, attributes_of(TABLE), "binary", QUICK)


def auroc_of(table: pl.DataFrame) -> float:
    return float(roc_auc_score(*arrays_of(table)))


def test_training_cohorts_are_taken_together_first_then_shifted_ones_by_name() -> None:
    order = RESULTS.filter(pl.col("split") == "test")["cohort"].unique(maintain_order=True)
    assert order.to_list() == ["internal", "c", "d"]


def test_the_internal_number_is_over_all_training_cohorts() -> None:
    row = one_row(RESULTS, "auroc", cohort="internal")
    together = pl.concat([scored_rows(TABLE, "a"), scored_rows(TABLE, "b")])
    assert row["value"] == pytest.approx(auroc_of(together))
    assert (row["num_cases"], row["num_patients"]) == (90, 90)


@pytest.mark.parametrize("cohort", ["a", "b"])
def test_each_training_cohort_is_reported_as_a_group_of_internal(cohort: str) -> None:
    row = one_row(RESULTS, "auroc", cohort="internal", attribute="cohort", group=cohort)
    assert row["value"] == pytest.approx(auroc_of(scored_rows(TABLE, cohort)))
    assert row["num_cases"] == len(scored_rows(TABLE, cohort))


def test_training_cohorts_are_compared_with_each_other() -> None:
    values = [auroc_of(scored_rows(TABLE, cohort)) for cohort in ("a", "b")]
    gap = one_row(RESULTS, "auroc_gap", cohort="internal", attribute="cohort")
    assert gap["value"] == pytest.approx(max(values) - min(values))
    p = one_row(RESULTS, "auroc_gap_p", cohort="internal", attribute="cohort")
    assert 0 < p["value"] <= 1


def test_one_training_cohort_goes_by_its_own_name_and_is_no_group() -> None:
    table = binary_table({"a": Site(), "b": Site({"test": 30})})
    results = score(table, no_attributes(table), "binary", QUICK)
    assert set(results["cohort"]) == {"a", "b"}
    assert set(results["attribute"]) == {"all"}


def test_thresholds_of_several_training_cohorts_are_of_internal() -> None:
    row = one_row(RESULTS, "threshold@sens90")
    assert (row["cohort"], row["num_cases"]) == ("internal", 60)


def test_another_attribute_named_cohort_does_not_take_its_place() -> None:
    about = TABLE.select("case_id", cohort=pl.col("cohort").str.to_uppercase())
    results = score(TABLE, about, "binary", QUICK)
    groups = results.filter(pl.col("cohort") == "internal", pl.col("attribute") == "cohort")
    assert set(groups["group"]) == {"a", "b", "all"}


def test_cohorts_are_resampled_independently_of_the_others() -> None:
    alone = binary_table({name: SITES[name] for name in ("a", "b", "c")})
    results = score(alone, no_attributes(alone), "binary", QUICK)
    kept = [one_row(frame, "auroc", cohort="c") for frame in (RESULTS, results)]
    assert kept[0] == kept[1]


def test_masked_cases_of_a_cohort_are_not_behind_its_number() -> None:
    table = binary_table(SITES, masked=0.4)
    results = score(table, no_attributes(table), "binary", QUICK)
    truth, _ = arrays_of(scored_rows(table, "c"))
    row = one_row(results, "auroc", cohort="c")
    assert (row["num_cases"], row["num_positive"]) == (len(truth), int(np.sum(truth)))
