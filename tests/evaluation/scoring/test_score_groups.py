"""Groups: small ones are counts only, unknown ones are nobody, gaps come with p."""

import polars as pl
import pytest
from tests.prediction_tables import (
    QUICK,
    Site,
    attributes_of,
    binary_table,
    one_row,
    scored_rows,
)

from medtransfer.evaluation.scoring.score import score

TABLE = binary_table({"a": Site({"tune": 40, "test": 120}, separation=2.5, lost=0.9)})
CAREFUL = QUICK.model_copy(update={"replicates": 300, "permutations": 199})


def grouped(table: pl.DataFrame, group: pl.Expr) -> pl.DataFrame:
    """`case_id` and an attribute `set` made from the patient's number."""
    number = pl.col("patient_id").str.extract(r"(\d+)$").cast(pl.Int64)
    return table.with_columns(number=number).select("case_id", set=group)


def by_number(*, small: int) -> pl.Expr:
    """Some test patients are `few`, the others `many`."""
    return (
        pl.when(pl.col("number").is_between(40, 39 + small))
        .then(pl.lit("few"))
        .otherwise(pl.lit("many"))
    )


def test_a_planted_gap_is_found() -> None:
    results = score(TABLE, attributes_of(TABLE), "binary", CAREFUL)
    assert one_row(results, "auroc_gap", attribute="sex")["low"] > 0.05
    assert one_row(results, "auroc_gap_p", attribute="sex")["value"] == pytest.approx(1 / 200)


@pytest.mark.slow
def test_a_gap_that_is_not_there_is_rarely_found() -> None:
    config = QUICK.model_copy(update={"replicates": 0, "permutations": 99})
    found: list[float] = []
    for seed in range(20):
        equal = binary_table({"a": Site({"tune": 20, "test": 60}, each=2)}, seed=seed)
        results = score(equal, attributes_of(equal), "binary", config)
        found.append(one_row(results, "auroc_gap_p", attribute="sex")["value"])
    # under the null, 4 or more of 20 at 5 % happen once in 60
    assert sum(p <= 0.05 for p in found) <= 3
    assert 0.3 < sum(found) / 20 < 0.7


def test_a_group_of_the_least_size_has_numbers() -> None:
    results = score(TABLE, grouped(TABLE, by_number(small=10)), "binary", QUICK)
    row = one_row(results, "accuracy", attribute="set", group="few")
    assert (row["num_cases"], row["reason"]) == (10, None)
    assert row["value"] is not None


def test_a_smaller_group_is_counts_only_and_is_compared_with_nobody() -> None:
    results = score(TABLE, grouped(TABLE, by_number(small=9)), "binary", QUICK)
    few = results.filter(pl.col("group") == "few")
    assert len(few) > 10
    assert few["value"].null_count() == few["low"].null_count() == len(few)
    assert set(few["reason"]) == {"fewer than 10 cases"}
    assert set(few["num_cases"]) == set(few["num_patients"]) == {9}
    for suffix in ("gap", "worst_group", "gap_p"):
        row = one_row(results, f"auroc_{suffix}", attribute="set")
        assert (row["value"], row["reason"]) == (None, "fewer than two groups large enough")


def test_a_group_with_few_labelled_cases_is_small_however_many_it_has() -> None:
    few = pl.col("patient_id").str.extract(r"(\d+)$").cast(pl.Int64).is_between(45, 59)
    table = TABLE.with_columns(pl.when(~few).then("target_x"))
    results = score(table, grouped(table, by_number(small=20)), "binary", QUICK)
    row = one_row(results, "accuracy", attribute="set", group="few")
    assert (row["value"], row["num_cases"], row["reason"]) == (None, 5, "fewer than 10 cases")


def test_a_group_with_one_class_is_undefined_with_the_reason() -> None:
    about = TABLE.select(
        "case_id",
        set=pl.when(pl.col("target_x") == 1).then(pl.lit("ill")).otherwise(pl.lit("well")),
    )
    results = score(TABLE, about, "binary", QUICK)
    for metric in ("auroc", "balanced_accuracy", "specificity@sens90"):
        row = one_row(results, metric, attribute="set", group="ill")
        assert (row["value"], row["low"], row["reason"]) == (None, None, "no negative case")
        assert row["num_cases"] == row["num_positive"] > 10
    row = one_row(results, "auprc", attribute="set", group="well")
    assert (row["value"], row["reason"]) == (None, "no positive case")
    assert one_row(results, "accuracy", attribute="set", group="ill")["value"] is not None


def test_cases_of_unknown_attribute_are_a_group_that_is_compared_with_none() -> None:
    about = attributes_of(TABLE, unknown=3)
    results = score(TABLE, about, "binary", QUICK)
    assert set(results.filter(pl.col("attribute") == "sex")["group"]) == {
        "F",
        "M",
        "Unknown",
        "all",
    }
    known = scored_rows(TABLE, "a").join(about, on="case_id").drop_nulls("sex")
    assert 0 < len(known) < 120
    rows = [one_row(results, "auroc", attribute="sex", group=g)["num_cases"] for g in ("F", "M")]
    assert sum(rows) == len(known)
    unknown = one_row(results, "auroc", attribute="sex", group="Unknown")
    assert unknown["num_cases"] == len(scored_rows(TABLE, "a")) - len(known)
    known_only = about.drop_nulls("sex")
    alone = score(TABLE.join(known_only, on="case_id", how="semi"), known_only, "binary", QUICK)
    for metric in ("auroc_gap", "auroc_worst_group"):
        gap = one_row(results, metric, attribute="sex")["value"]
        assert gap == one_row(alone, metric, attribute="sex")["value"]
    for suffix in ("gap", "gap_p"):
        assert one_row(results, f"auroc_{suffix}", attribute="sex")["num_cases"] == len(known)


def test_cases_the_attributes_do_not_mention_are_unknown() -> None:
    about = attributes_of(TABLE)
    part = about.filter(pl.col("case_id").hash(0) % 2 == 0)
    nulls = about.with_columns(pl.when(pl.col("case_id").is_in(part["case_id"])).then("sex"))
    left, right = (score(TABLE, each, "binary", QUICK) for each in (part, nulls))
    assert left.equals(right)


def test_an_attribute_that_nobody_has_makes_no_rows() -> None:
    about = attributes_of(TABLE, unknown=1)
    assert set(score(TABLE, about, "binary", QUICK)["attribute"]) == {"all"}


def test_a_patient_in_two_groups_has_numbers_but_no_p() -> None:
    table = binary_table({"a": Site(each=2)})
    about = table.select("case_id", view=pl.col("case_id").str.tail(2))
    results = score(table, about, "binary", QUICK)
    assert one_row(results, "auroc_gap", attribute="view")["value"] is not None
    row = one_row(results, "auroc_gap_p", attribute="view")
    assert row["value"] is None
    assert row["reason"] == "a patient is in two groups"


def test_the_worst_group_and_the_gap_are_of_the_group_rows() -> None:
    about = grouped(TABLE, pl.format("g{}", pl.col("number") % 4))
    results = score(TABLE, about, "binary", QUICK)
    groups = results.filter(pl.col("metric") == "auroc", pl.col("attribute") == "set")
    assert len(groups) == 4
    worst = one_row(results, "auroc_worst_group", attribute="set")
    gap = one_row(results, "auroc_gap", attribute="set")
    assert worst["value"] == groups["value"].min()
    values = groups["value"].to_numpy()
    assert gap["value"] == pytest.approx(values.max() - values.min())
    for row in (worst, gap):
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["group"], row["num_cases"], row["num_patients"]) == ("all", 120, 120)


def test_groups_are_measured_at_the_threshold_of_all_tune_cases() -> None:
    results = score(TABLE, attributes_of(TABLE), "binary", QUICK)
    assert len(results.filter(pl.col("metric") == "threshold@sens90")) == 1
    rows = scored_rows(TABLE, "a").join(attributes_of(TABLE), on="case_id")
    positives = rows.filter(pl.col("target_x") == 1, pl.col("sex") == "F")
    limit = one_row(results, "threshold@sens90")["value"]
    called = (1 / (1 + (-positives["logit_x"]).exp())) >= limit
    row = one_row(results, "sensitivity@sens90", attribute="sex", group="F")
    assert row["value"] == pytest.approx(called.mean())


def test_groups_of_few_positives_are_not_compared() -> None:
    # each of three groups has one positive: an AUROC of it tells nothing of the group
    number = pl.col("patient_id").str.extract(r"(\d+)$").cast(pl.Int64)
    table = TABLE.with_columns(
        pl.when(pl.col("split") == "tune")
        .then("target_x")
        .otherwise(number < 43)
        .cast(pl.Float64)
        .alias("target_x")
    )
    results = score(table, grouped(table, pl.format("g{}", pl.col("number") % 3)), "binary", QUICK)
    for suffix in ("gap", "worst_group"):
        row = one_row(results, f"auroc_{suffix}", attribute="set")
        assert (row["value"], row["reason"]) == (None, "fewer than two groups large enough")
    of_group = one_row(results, "auroc", attribute="set", group="g0")
    assert (of_group["value"], of_group["reason"]) == (None, "fewer than 10 positive cases")
    assert of_group["num_positive"] == 1
    accuracy = one_row(results, "accuracy_gap", attribute="set")
    assert accuracy["low"] is not None  # needs no positives
