"""A run's members become one prediction, and what they disagree about is kept."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal
from scipy.special import expit, logsumexp, softmax
from scipy.stats import entropy
from tests.prediction_tables import (
    CLASSES,
    QUICK,
    Site,
    binary_table,
    class_table,
    ensemble_of,
    no_attributes,
    one_row,
)

from medtransfer.data.config import Task
from medtransfer.errors import TableError
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays, run_arrays
from medtransfer.evaluation.scoring.score import score
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.tables.predictions import read_predictions

SITES = {"a": Site({"tune": 20, "test": 30}), "b": Site({"test": 10})}
TABLES: dict[Task, pl.DataFrame] = {
    "binary": binary_table(SITES),
    "multi-label": binary_table(SITES, targets=("x", "y"), masked=0.1),
    "single-label": class_table(SITES),
}


def chances_of(table: pl.DataFrame, task: str) -> Floats:
    """Probabilities of each member by hand. [M, N, T]"""
    members = table.sort("member", "case_id").partition_by("member", maintain_order=True)
    logits = np.stack([part.select(pl.col("^logit_.*$")).to_numpy() for part in members])
    return softmax(logits, axis=-1) if task == "single-label" else expit(logits)


def members_of(*logits: list[float]) -> RunArrays:
    """A binary run with one test case per column and one member per row."""
    rows = [
        ("run", member, f"c{case}", f"p{case}", "a", "test", 1.0, value)
        for member, values in enumerate(logits)
        for case, value in enumerate(values)
    ]
    names = ["run_id", "member", "case_id", "patient_id", "cohort", "split", "target_x", "logit_x"]
    return run_arrays(pl.DataFrame(rows, schema=names, orient="row"), "binary")


@pytest.mark.parametrize("task", TABLES)
def test_an_ensemble_predicts_the_mean_probability_of_its_members(task: Task) -> None:
    table = ensemble_of(TABLES[task], 3)
    run = run_arrays(table, task)
    mean = chances_of(table, task).mean(axis=0)
    assert run.members == 3
    assert_allclose(run.probabilities, mean, rtol=1e-12)
    of_logits = softmax(run.logits, axis=1) if task == "single-label" else expit(run.logits)
    assert_allclose(of_logits, mean, rtol=1e-10)


def test_the_mean_of_two_members_by_hand() -> None:
    # odds of 1 to 3 and 3 to 1: probabilities 0.25 and 0.75, mean 0.5, logit 0
    run = members_of([-np.log(3), 0.0], [np.log(3), 0.0])
    assert_allclose(run.probabilities[:, 0], [0.5, 0.5])
    assert_allclose(run.logits[:, 0], [0, 0], atol=1e-15)


@pytest.mark.parametrize("task", TABLES)
def test_a_single_member_keeps_its_logits_to_the_last_bit(task: Task) -> None:
    table = TABLES[task].sort("case_id")
    run = run_arrays(table, task)
    assert (run.members, run.spread) == (1, {})
    assert np.array_equal(run.logits, table.select(pl.col("^logit_.*$")).to_numpy())


@pytest.mark.parametrize("task", TABLES)
def test_members_that_are_all_the_same_are_as_good_as_one(task: Task) -> None:
    alone, twins = TABLES[task], ensemble_of(TABLES[task], 4, noise=0)
    one, four = run_arrays(alone, task), run_arrays(twins, task)
    assert_allclose(four.probabilities, one.probabilities, rtol=1e-12)
    for value in four.spread.values():
        assert_allclose(value, np.zeros(four.targets.shape), atol=1e-12)
    first, second = (score(t, no_attributes(t), task, QUICK) for t in (alone, twins))
    shared = first.join(second, on=["cohort", "target", "metric"], suffix="_twins")
    assert len(shared) == len(first)
    for column in ("value", "low", "high"):
        pair = shared.select(column, f"{column}_twins").drop_nulls().to_numpy()
        assert_allclose(pair[:, 0], pair[:, 1], atol=1e-9)
    for name in ("disagreement", "mutual_information", "diversity"):
        target = "case" if task == "single-label" else "x"
        row = one_row(second, name, target=target, cohort="b")
        assert row["value"] == pytest.approx(0, abs=1e-12)


def test_the_energy_of_an_ensemble_is_the_mean_of_its_members() -> None:
    table = ensemble_of(TABLES["single-label"], 3)
    run = run_arrays(table, "single-label")
    members = table.sort("member", "case_id").partition_by("member", maintain_order=True)
    each = [logsumexp(part.select(pl.col("^logit_.*$")).to_numpy(), axis=1) for part in members]
    assert_allclose(logsumexp(run.logits, axis=1), np.mean(each, axis=0), rtol=1e-12)


def test_members_that_are_all_the_same_keep_the_order_of_certain_cases() -> None:
    # the probability of a logit of 40 is 1 in floating point, as is that of 41
    run = members_of([41.0, 40.0, -800.0, 30.0], [41.0, 40.0, -800.0, 30.0])
    assert_allclose(run.logits[:, 0], [41, 40, -800, 30], rtol=1e-12)


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_spread_of_binary_targets_by_hand(task: Task) -> None:
    table = ensemble_of(TABLES[task], 5, noise=3.0)
    run, each = run_arrays(table, task), chances_of(table, task)
    mean = each.mean(axis=0)
    split = ((each >= 0.5) != (mean >= 0.5)).mean(axis=0)
    assert split.max() > 0.2
    assert_allclose(run.spread["disagreement"], split)
    bits = entropy(np.stack([mean, 1 - mean])) - entropy(np.stack([each, 1 - each])).mean(axis=0)
    assert_allclose(run.spread["mutual_information"], bits, atol=1e-12)
    assert_allclose(run.spread["diversity"], 2 * each.var(axis=0))


def test_spread_of_a_single_label_task_by_hand_is_that_of_the_case() -> None:
    table = ensemble_of(TABLES["single-label"], 5, noise=3.0)
    run, each = run_arrays(table, "single-label"), chances_of(table, "single-label")
    mean = each.mean(axis=0)
    split = (each.argmax(axis=-1) != mean.argmax(axis=-1)).mean(axis=0)
    bits = entropy(mean, axis=-1) - entropy(each, axis=-1).mean(axis=0)
    expected = {
        "disagreement": split,
        "mutual_information": bits,
        "diversity": each.var(axis=0).sum(axis=-1),
    }
    assert set(run.spread) == set(expected)
    for name, value in expected.items():
        assert run.spread[name].shape == (60, len(CLASSES))
        assert_allclose(run.spread[name], np.repeat(value[:, None], len(CLASSES), 1), atol=1e-12)


def test_spread_of_two_members_as_numbers() -> None:
    run = members_of([20.0, 0.0], [-20.0, 0.0])
    # sure of opposite answers: half disagree with the mean, and all uncertainty is between them
    assert_allclose(run.spread["disagreement"][:, 0], [0.5, 0])
    assert_allclose(run.spread["mutual_information"][:, 0], [np.log(2), 0], atol=1e-7)
    assert_allclose(run.spread["diversity"][:, 0], [0.5, 0], atol=1e-8)


def test_a_member_at_one_half_answers_positive_as_everywhere() -> None:
    # ½ is called positive; the mean of 0.5 and 0.27 is called negative
    run = members_of([0.0], [-1.0])
    assert run.spread["disagreement"][0, 0] == 0.5


def test_mutual_information_is_not_below_zero() -> None:
    table = ensemble_of(TABLES["single-label"], 3, noise=1e-9)
    assert run_arrays(table, "single-label").spread["mutual_information"].min() >= 0


CHANGES = {
    "a case less": lambda table: table.head(-1),
    "another case": lambda table: table.with_columns(case_id=pl.col("case_id") + "?"),
    "another label": lambda table: table.with_columns(target_x=1 - pl.col("target_x")),
    "a masked label": lambda table: table.with_columns(target_x=pl.lit(None, dtype=pl.Float64)),
    "another patient": lambda table: table.with_columns(patient_id=pl.lit("someone")),
    "another cohort": lambda table: table.with_columns(cohort=pl.lit("b")),
    "another split": lambda table: table.with_columns(split=pl.lit("test")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_members_must_agree_on_the_cases(change: str) -> None:
    table = binary_table({"a": Site({"tune": 5, "test": 5})})
    other = CHANGES[change](table).with_columns(member=pl.lit(1, dtype=pl.Int64))
    with pytest.raises(TableError) as caught:
        run_arrays(pl.concat([table, other]), "binary")
    assert str(caught.value) == (
        "The 2 members of run 'run' do not have the same cases with the same targets, patients, "
        "cohorts and splits. An ensemble's members must all predict the same cases."
    )


def test_members_may_come_in_any_order_and_with_any_numbers(tmp_path) -> None:
    table = ensemble_of(TABLES["multi-label"], 3)
    other = table.with_columns(member=7 - 2 * pl.col("member")).sample(
        fraction=1, shuffle=True, seed=1
    )
    other.write_parquet(tmp_path / "predictions.parquet")
    one = run_arrays(table, "multi-label")
    two = run_arrays(read_predictions(tmp_path / "predictions.parquet"), "multi-label")
    assert_frame_equal(one.frame, two.frame)
    assert_allclose(one.probabilities, two.probabilities, rtol=1e-14)
    assert_allclose(one.spread["diversity"], two.spread["diversity"], rtol=1e-9)


def test_two_runs_are_not_scored_as_one() -> None:
    two = pl.concat([binary_table(), binary_table(run_id="other")])
    with pytest.raises(TableError, match="one run_id at a time; the table holds 2"):
        run_arrays(two, "binary")


def test_cases_are_taken_in_the_order_of_their_ids() -> None:
    table = TABLES["binary"]
    shuffled = run_arrays(table.sample(fraction=1, shuffle=True, seed=1), "binary")
    assert_frame_equal(shuffled.frame, run_arrays(table, "binary").frame)
    assert np.array_equal(shuffled.logits, run_arrays(table, "binary").logits)


def test_scores_of_detectors_are_the_mean_over_the_members() -> None:
    table = ensemble_of(TABLES["binary"], 3).with_columns(
        ood_far=pl.col("member") * pl.col("logit_x")
    )
    each = table.sort("member", "case_id")["ood_far"].to_numpy().reshape(3, -1)
    run = run_arrays(table, "binary")
    assert_allclose(run.frame["ood_far"].to_numpy(), each.mean(axis=0))


def test_places_are_home_and_every_other_cohort_with_test_cases() -> None:
    sites = {"b": Site({"tune": 4, "test": 6}), "a": Site({"test": 5}), "c": Site({"train": 3})}
    run = run_arrays(binary_table(sites), "binary")
    places = run.test_cases()
    assert list(places) == ["b", "a"]
    assert [int(cases.sum()) for cases in places.values()] == [6, 5]
    assert run.internal_name() == "b"


def test_a_shifted_cohort_may_not_have_the_name_of_the_training_cohorts_together() -> None:
    two = {"a": Site({"tune": 5, "test": 5}), "b": Site({"tune": 5, "test": 5})}
    named = binary_table(two | {"internal": Site({"test": 5})})
    with pytest.raises(TableError) as caught:
        run_arrays(named, "binary")
    assert str(caught.value) == (
        "Cohort 'internal' has no tuning split, and the 2 cohorts that have one are together "
        "called 'internal' in the results. Give the cohort another name."
    )
    # one of them may: it is a group of the place
    inside = binary_table(two | {"internal": Site({"tune": 5, "test": 5})})
    assert list(run_arrays(inside, "binary").test_cases()) == ["internal"]


@pytest.mark.parametrize("name", ["macro", "micro", "case"])
def test_a_target_may_not_have_a_name_that_stands_for_all(name: str) -> None:
    table = binary_table(SITES, targets=("x", name))
    with pytest.raises(TableError) as caught:
        run_arrays(table, "multi-label")
    assert str(caught.value) == (
        f"Target '{name}' has a name that stands for all targets in the results (not allowed: "
        "macro, micro, case). Give the target another name."
    )


def test_a_case_of_a_single_label_task_is_known_only_with_all_its_targets() -> None:
    table = class_table(SITES, masked=0.2)
    run = run_arrays(table, "single-label")
    assert 0 < (~run.labelled(WHOLE_CASE)).sum() < 20
    soft = table.with_columns(target_nevus=pl.col("target_nevus") * 0.7)
    found = run_arrays(soft, "single-label")
    assert (found.labelled(WHOLE_CASE) < run.labelled(WHOLE_CASE)).sum() == (
        run.targets[:, 0] == 1
    ).sum()
