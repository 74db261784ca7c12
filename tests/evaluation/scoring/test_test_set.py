"""Slices of a place, and replicates that are the same for everything measured there."""

import numpy as np
import polars as pl
import pytest
from tests.prediction_tables import (
    QUICK,
    Site,
    attributes_of,
    binary_table,
    class_table,
    ensemble_of,
    measured,
    no_attributes,
    one_row,
    scored_rows,
)

from medtransfer.errors import TableError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import MetricKey
from medtransfer.evaluation.scoring.run import run_arrays
from medtransfer.evaluation.scoring.score import score
from medtransfer.evaluation.scoring.test_set import (
    SharedGroups,
    TestSet,
    attribute_groups,
    make_test_sets,
)
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.metrics.kernels.sums import Floats

SITES = {"a": Site({"tune": 40, "test": 60}, each=2), "b": Site({"test": 30})}
TABLE = binary_table(SITES)


def crossed(table: pl.DataFrame, unknown: int = 0) -> pl.DataFrame:
    """`case_id`, `sex` and `age`: every third patient is young."""
    number = table["patient_id"].str.extract(r"(\d+)$").cast(pl.Int64)
    age = pl.when(number % 3 == 0).then(pl.lit("young")).otherwise(pl.lit("old"))
    return attributes_of(table, unknown=unknown).with_columns(age=age)


def place_of(
    table: pl.DataFrame,
    name: str = "a",
    attributes: pl.DataFrame | None = None,
    config: EvaluationConfig = QUICK,
) -> TestSet:
    targets = [name for name in table.columns if name.startswith("target_")]
    several = "multi-label" if "target_x" in targets else "single-label"
    run = run_arrays(table, "binary" if targets == ["target_x"] else several)
    about = no_attributes(table) if attributes is None else attributes
    groups = attribute_groups(run, about, config)
    fit = fit_on_tune(run, ("sens90",), *groups.values())
    test_sets = make_test_sets(run, fit, groups, config)
    return next(test_set for test_set in test_sets if test_set.name == name)


def counts_of(place: TestSet) -> Floats:
    """How often each patient counts, in the sample and in every replicate. [P, 1 + R]"""
    return np.concatenate([block.astype(float) for block in place.replicates.blocks()], axis=1)


def with_settings(**changes: object) -> EvaluationConfig:
    return EvaluationConfig.model_validate(QUICK.model_dump() | changes)


def test_the_first_slice_is_everyone_then_every_group_of_every_attribute_by_name() -> None:
    place = place_of(TABLE, attributes=crossed(TABLE))
    names = [(part.attribute, part.group) for part in place.subgroups]
    assert names == [("all", "all"), ("sex", "F"), ("sex", "M"), ("age", "old"), ("age", "young")]
    assert [int(part.cases.sum()) for part in place.subgroups] == [120, 60, 60, 80, 40]
    for part in place.subgroups:
        assert (part.cases <= place.subgroups[0].cases).all()


def test_an_attribute_may_not_have_the_name_of_all_cases() -> None:
    about = attributes_of(TABLE).rename({"sex": "all"})
    with pytest.raises(TableError) as caught:
        place_of(TABLE, attributes=about)
    assert str(caught.value) == (
        "Attribute 'all' has the name of all cases in the results. Give it another name."
    )


PAIR = with_settings(intersections=[["sex", "age"]])


def test_an_intersection_has_a_group_for_every_pair_of_values_that_occurs() -> None:
    place = place_of(TABLE, attributes=crossed(TABLE), config=PAIR)
    pairs = {part.group: part.cases for part in place.subgroups if part.attribute == "sex × age"}
    assert list(pairs) == ["F × old", "F × young", "M × old", "M × young"]
    single = {
        part.group: part.cases for part in place.subgroups if part.attribute in ("sex", "age")
    }
    for group, cases in pairs.items():
        sex, age = group.split(" × ")
        assert np.array_equal(cases, single[sex] & single[age])


def test_a_case_without_one_of_the_values_is_unknown_in_the_pair() -> None:
    place = place_of(TABLE, attributes=crossed(TABLE, unknown=4), config=PAIR)
    pairs = {part.group: part.cases for part in place.subgroups if part.attribute == "sex × age"}
    sexes = {part.group: part.cases for part in place.subgroups if part.attribute == "sex"}
    assert np.array_equal(pairs.pop("Unknown"), sexes.pop("Unknown"))
    inside, known = pairs.values(), sexes.values()
    assert sum(int(cases.sum()) for cases in inside) == sum(int(c.sum()) for c in known) == 90


def test_the_order_of_a_pair_is_the_users() -> None:
    config = with_settings(intersections=[["age", "sex"]])
    place = place_of(TABLE, attributes=crossed(TABLE), config=config)
    assert "young × F" in {p.group for p in place.subgroups if p.attribute == "age × sex"}


def test_intersections_are_measured_and_compared_like_any_group() -> None:
    config = PAIR.model_copy(update={"minimum_group": 3})
    results = score(TABLE, crossed(TABLE), "binary", config)
    rows = results.filter(pl.col("attribute") == "sex × age", pl.col("metric") == "auroc")
    assert rows["group"].to_list() == 2 * ["F × old", "F × young", "M × old", "M × young"]
    gap = one_row(results, "auroc_gap", attribute="sex × age", cohort="a")
    own = rows.filter(pl.col("cohort") == "a")["value"].to_numpy()
    assert gap["value"] == pytest.approx(own.max() - own.min())
    assert 0 < one_row(results, "auroc_gap_p", attribute="sex × age", cohort="a")["value"] <= 1


def test_a_small_intersection_is_counts_only() -> None:
    config = with_settings(intersections=[["sex", "age"]], minimum_group=15)
    results = score(TABLE, crossed(TABLE), "binary", config)
    small = results.filter(pl.col("cohort") == "b", pl.col("group") == "F × young")
    assert len(small) > 20
    assert small["value"].null_count() == small["low"].null_count() == len(small)
    assert set(small["reason"]) == {"fewer than 15 cases"}
    assert set(small["num_cases"]) == {5}
    assert one_row(results, "accuracy", attribute="sex", group="F", cohort="b")["num_cases"] == 15


def test_an_attribute_of_a_pair_that_is_not_asked_for_makes_no_groups() -> None:
    place = place_of(TABLE, attributes=attributes_of(TABLE), config=PAIR)
    assert {part.attribute for part in place.subgroups} == {"all", "sex"}


def test_replicates_are_the_same_for_every_run_and_configuration_of_groups() -> None:
    other = TABLE.with_columns(
        run_id=pl.lit("other"), logit_x=-pl.col("logit_x"), target_x=1 - pl.col("target_x")
    )
    reference = counts_of(place_of(TABLE))
    for table, about in ((other, None), (ensemble_of(TABLE, 2), None), (TABLE, crossed(TABLE))):
        assert np.array_equal(counts_of(place_of(table, attributes=about)), reference)
    assert not np.array_equal(counts_of(place_of(TABLE, config=with_settings(seed=1))), reference)


def test_replicates_of_two_places_are_independent() -> None:
    same = binary_table({"a": Site({"tune": 20, "test": 40}), "b": Site({"test": 40})})
    one, two = (counts_of(place_of(same, name)) for name in ("a", "b"))
    assert one.shape == two.shape
    assert abs(np.corrcoef(one[:, 1:].ravel(), two[:, 1:].ravel())[0, 1]) < 0.1


def test_more_replicates_add_to_the_first_ones() -> None:
    few, many = (counts_of(place_of(TABLE, config=with_settings(replicates=n))) for n in (50, 300))
    assert np.array_equal(many[:, :51], few)


def test_all_metrics_and_groups_are_measured_on_the_same_replicates() -> None:
    # in every replicate the group numbers add up to the number of all
    run = measured(TABLE, attributes=attributes_of(TABLE))
    (place, _), (numbers, _) = run.test_sets, run.estimates
    of_sex = [
        own for part, own in zip(place.subgroups, numbers, strict=True) if part.attribute == "sex"
    ]
    weights = [
        counts_of(place)[place.replicates.patient][part.cases[place.subgroups[0].cases]].sum(axis=0)
        for part in place.subgroups
        if part.attribute == "sex"
    ]
    key = MetricKey("x", "accuracy")
    whole = numbers[0][key].values
    assert whole is not None
    parts = [n[key].values * w for n, w in zip(of_sex, weights, strict=True)]  # type: ignore[operator]
    np.testing.assert_allclose(sum(parts) / sum(weights), whole, rtol=1e-12)
    # and prevalence + share of negatives is one in every one of them
    tp, fn = (
        numbers[0][MetricKey("x", name)].values
        for name in ("sensitivity@sens90", "underdiagnosis@sens90")
    )
    np.testing.assert_allclose(tp + fn, 1)  # type: ignore[operator]


KINDS = ["patients", "stratified", "bayesian", "poisson"]


@pytest.mark.parametrize("kind", KINDS)
def test_patients_are_resampled_whole_with_all_their_cases(kind: str) -> None:
    place = place_of(TABLE, config=with_settings(resample=kind))
    assert place.replicates.num_patients == 60
    patient = place.patient[place.subgroups[0].cases]
    ids = scored_rows(TABLE, "a").sort("case_id")["patient_id"].to_list()
    assert len(set(zip(ids, patient.tolist(), strict=True))) == 60
    assert (place.patient[~place.subgroups[0].cases] == -1).all()
    counts = counts_of(place)[:, 1:]
    assert counts.mean() == pytest.approx(1, abs=0.1)
    if kind != "poisson":
        assert counts.sum(axis=0) == pytest.approx([60] * 60)


def patterns_of(table: pl.DataFrame, place: TestSet) -> dict[str, list[int]]:
    """Pattern of labels to the numbers of the patients that have it."""
    targets = [name for name in table.columns if name.startswith("target_")]
    rows = (
        scored_rows(table, place.name)
        .sort("case_id")
        .with_columns(number=pl.Series(place.replicates.patient))
    )
    found: dict[str, list[int]] = {}
    ever = rows.group_by("number").agg((pl.col(name) == 1).any() for name in targets)
    for row in ever.sort("number").iter_rows():
        found.setdefault(str(row[1:]), []).append(row[0])
    return found


def test_stratified_replicates_keep_the_number_of_patients_of_every_pattern_of_labels() -> None:
    table = binary_table({"a": Site({"tune": 20, "test": 90}, each=2)}, targets=("x", "y"))
    table = table.with_columns(
        # a pattern that is rare: only four patients have neither
        target_y=pl.when((pl.col("target_x") == 0) & (pl.col("patient_id") > "a-p0025"))
        .then(1.0)
        .otherwise("target_y")
    )
    place = place_of(table, config=with_settings(resample="stratified"))
    counts = counts_of(place)[:, 1:]
    patterns = patterns_of(table, place)
    sizes = sorted(len(members) for members in patterns.values())
    assert sizes[0] < 5 <= sizes[1]
    for members in patterns.values():
        drawn = counts[members].sum(axis=0)
        if len(members) >= 5:
            assert set(drawn) == {len(members)}
        assert (counts[members].std(axis=1) > 0).all()
    plain = counts_of(place_of(table))
    largest = max(patterns.values(), key=len)
    assert plain[largest, 1:].sum(axis=0).std() > 0


def test_stratified_replicates_of_classes_keep_the_classes() -> None:
    table = class_table({"a": Site({"tune": 40, "test": 80})})
    place = place_of(table, config=with_settings(resample="stratified"))
    results = score(
        table, no_attributes(table), "single-label", with_settings(resample="stratified")
    )
    counts = counts_of(place)[:, 1:]
    for members in patterns_of(table, place).values():
        assert set(counts[members].sum(axis=0)) == {len(members)}
    # so the prevalence of a class has no spread; its interval is of the cases
    row = one_row(results, "prevalence", target="scar")
    assert row["low"] < row["value"] < row["high"]


def test_the_cohorts_that_were_trained_on_are_an_attribute_of_their_place_alone() -> None:
    sites = {
        "b": Site({"tune": 20, "test": 30}),
        "a": Site({"tune": 20, "test": 20}),
        "c": Site({"test": 20}),
    }
    table = binary_table(sites)
    run = run_arrays(table, "binary")
    assert list(run.test_cases()) == ["internal", "c"]
    about = attributes_of(table)
    inside, outside = (place_of(table, name, about) for name in ("internal", "c"))
    assert [(p.attribute, p.group, int(p.cases.sum())) for p in inside.subgroups[:3]] == [
        ("all", "all", 50),
        ("cohort", "a", 20),
        ("cohort", "b", 30),
    ]
    assert {part.attribute for part in outside.subgroups} == {"all", "sex"}


def test_training_cohorts_can_be_crossed_with_an_attribute() -> None:
    sites = {"a": Site({"tune": 20, "test": 40}), "b": Site({"tune": 20, "test": 40})}
    table = binary_table(sites)
    config = with_settings(intersections=[["cohort", "sex"]])
    place = place_of(table, "internal", attributes_of(table), config)
    groups = [part.group for part in place.subgroups if part.attribute == "cohort × sex"]
    assert groups == ["a × F", "a × M", "b × F", "b × M"]


def test_groups_are_looked_up_again_for_other_cases_attributes_and_settings() -> None:
    about, other = crossed(TABLE), crossed(TABLE, unknown=4)
    crossing = with_settings(intersections=[("sex", "age")])
    turns = [
        (TABLE, about, QUICK),
        (TABLE.with_columns(logit_x=pl.lit(0.0)), about, QUICK),
        (TABLE.filter(pl.col("case_id") != TABLE["case_id"][0]), about, QUICK),
        (TABLE, other, QUICK),
        (TABLE, other, crossing),
    ]
    shared = SharedGroups()
    for table, attributes, config in turns:
        run = run_arrays(table, "binary")
        found = shared.find(run, attributes, config)
        wanted = attribute_groups(run, attributes, config)
        assert found.keys() == wanted.keys()
        for name, groups in wanted.items():
            assert found[name].keys() == groups.keys()
            assert all(found[name][key].equals(values) for key, values in groups.items())
    run = run_arrays(TABLE, "binary")
    assert shared.find(run, other, crossing) is shared.find(run, other, crossing)
