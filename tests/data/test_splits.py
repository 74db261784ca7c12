"""Who is trained, tuned and tested on: by patient, in proportion, the same every time."""

from dataclasses import replace
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW, SAME, manifest_of, manifests, question

from medtransfer.data.config import SplitConfig
from medtransfer.data.splits import (
    assign_splits,
    internal_rows,
    leave_one_cohort_out,
)
from medtransfer.errors import TableError
from medtransfer.tables.manifest import SPLITS, Manifest

seeds = st.integers(0, 10**6)
SHARES = (0.65, 0.15, 0.2)


def most_splits(frame: pl.DataFrame, owner: str) -> int:
    """The most splits that one owner's rows are in."""
    counts = (
        frame.filter(pl.col(owner).is_not_null()).group_by(owner).agg(pl.col("split").n_unique())
    )
    return int(counts["split"].max() or 0)  # type: ignore[arg-type]


@FEW
@given(manifests(targets=3, cohorts=3), seeds)
def test_no_patient_is_ever_in_two_splits(manifest: Manifest, seed: int) -> None:
    frame = assign_splits(manifest, question("t0", "t1", "t2", seed=seed))
    assert most_splits(frame, "patient_id") == 1
    assert set(frame["split"]) <= set(SPLITS)
    assert frame.drop("split").equals(manifest.frame)


@FEW
@given(manifests(targets=2, lesions=8), seeds)
def test_patients_who_share_a_group_stay_together(manifest: Manifest, seed: int) -> None:
    frame = assign_splits(manifest, question("t0", "t1", seed=seed, group_columns=["lesion"]))
    assert most_splits(frame, "patient_id") == 1
    assert most_splits(frame, "lesion") <= 1


def test_patients_linked_through_others_stay_together() -> None:
    # p0 – p1 share a lesion, p1 – p2 a scanner, and so on: one chain through both columns
    count = 20
    frame = pl.DataFrame(
        {
            "image_id": [f"{i:02d}{side}" for i in range(count) for side in "ab"],
            "case_id": [f"{i:02d}{side}" for i in range(count) for side in "ab"],
            "patient_id": [f"p{i:02d}" for i in range(count) for _ in "ab"],
            "cohort": ["A"] * 2 * count,
            "t": ["1", "0"] * count,
            "lesion": [f"L{i // 2}" for i in range(count) for _ in "ab"],
            "scanner": [f"S{(i + 1) // 2}" for i in range(count) for _ in "ab"],
        }
    )
    asked = question("t", group_columns=["lesion", "scanner"])
    assert assign_splits(manifest_of(frame), asked)["split"].n_unique() == 1
    alone = question("t", group_columns=["lesion"])
    assert assign_splits(manifest_of(frame), alone)["split"].n_unique() == 3


def test_patients_without_a_group_are_not_linked_by_having_none() -> None:
    count = 40
    names = [f"{i:02d}" for i in range(count)]
    frame = pl.DataFrame({"image_id": names, "case_id": names, "patient_id": names}).with_columns(
        cohort=pl.lit("A"), t=pl.Series(["0", "1"] * (count // 2)), lesion=pl.lit(None, pl.String)
    )
    drawn = assign_splits(manifest_of(frame), question("t", group_columns=["lesion"]))
    counts = drawn["split"].value_counts().sort("split")["count"]
    assert counts.to_list() == [26, 6, 8]  # train, tune, test


@FEW
@given(manifests(targets=2, cohorts=2, lesions=10), seeds, st.randoms())
def test_a_draw_depends_on_the_seed_and_not_on_the_order_of_rows(
    manifest: Manifest, seed: int, random: Random
) -> None:
    asked = question("t0", "t1", seed=seed, group_columns=["lesion"])
    first = assign_splits(manifest, asked)
    again = assign_splits(manifest, asked)
    assert first.equals(again)
    order = list(range(len(manifest)))
    random.shuffle(order)
    shuffled = Manifest(manifest.frame[order], manifest.path, manifest.root, embedded=False)
    moved = assign_splits(shuffled, asked).sort("image_id")
    assert moved.equals(first.sort("image_id"))


def test_another_seed_gives_another_draw() -> None:
    names = [f"{i:03d}" for i in range(60)]
    frame = pl.DataFrame({"image_id": names, "case_id": names, "patient_id": names}).with_columns(
        cohort=pl.lit("A"), t=pl.Series(["0", "1", "0"] * 20)
    )
    draws = {
        tuple(assign_splits(manifest_of(frame), question("t", seed=seed))["split"])
        for seed in range(5)
    }
    assert len(draws) == 5


@SAME
@given(manifests(patients=(60, 150), targets=3), seeds)
def test_shares_of_patients_are_close_to_those_wanted(manifest: Manifest, seed: int) -> None:
    frame = assign_splits(manifest, question("t0", "t1", "t2", seed=seed))
    patients = frame.unique("patient_id")
    for name, share in zip(SPLITS, SHARES, strict=True):
        got = patients.filter(pl.col("split") == name).height
        assert abs(got - share * patients.height) <= max(3, 0.06 * patients.height)


def test_cohorts_that_are_pooled_are_spread_like_findings() -> None:
    names = [f"{i:03d}" for i in range(200)]
    frame = pl.DataFrame({"image_id": names, "case_id": names, "patient_id": names}).with_columns(
        cohort=pl.Series(["B" if i < 20 else "A" for i in range(200)]),
        t=pl.Series([str(i % 2) for i in range(200)]),
    )
    small = assign_splits(manifest_of(frame), question("t")).filter(cohort="B")
    counts = dict(small["split"].value_counts().iter_rows())
    assert abs(counts["train"] - 13) + abs(counts["tune"] - 3) + abs(counts["test"] - 4) <= 2


@FEW
@given(manifests(cohorts=4, patients=(12, 40)), seeds)
def test_cohorts_that_are_not_trained_on_are_test_data(manifest: Manifest, seed: int) -> None:
    some = manifest.frame["cohort"][0]
    frame = assign_splits(manifest, question("t0", seed=seed, train_cohorts=[some]))
    assert set(frame.filter(pl.col("cohort") != some)["split"]) <= {"test"}
    # and what becomes of the trained cohort does not hang on the others being there
    alone = Manifest(
        manifest.frame.filter(cohort=some), manifest.path, manifest.root, embedded=False
    )
    expected = assign_splits(alone, question("t0", seed=seed))
    assert frame.filter(cohort=some).equals(expected)


@FEW
@given(manifests(cohorts=3, patients=(6, 30)), seeds)
def test_a_split_column_is_kept_inside_and_overruled_outside(manifest: Manifest, seed: int) -> None:
    given_split = (
        pl.col("patient_id")
        .str.slice(-1)
        .replace_strict({str(d): SPLITS[d % 3] for d in range(10)})
    )
    own = Manifest(
        manifest.frame.with_columns(split=given_split), manifest.path, manifest.root, embedded=False
    )
    some = manifest.frame["cohort"][0]
    frame = assign_splits(own, question("t0", seed=seed, train_cohorts=[some]))
    inside = frame["cohort"] == some
    assert frame.filter(inside)["split"].equals(own.frame.filter(inside)["split"])
    assert set(frame.filter(~inside)["split"]) <= {"test"}


def cohorts(*names: str) -> pl.DataFrame:
    return pl.DataFrame({"cohort": list(names)})


def test_a_cohort_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(TableError) as caught:
        internal_rows(cohorts("north", "south"), SplitConfig(train_cohorts=("nort", "south")))
    assert str(caught.value) == (
        "data.split.train_cohorts names nort, which is not a cohort of the manifest "
        "(cohorts: north, south). Did you mean 'north'?"
    )


def test_without_training_cohorts_all_are_pooled() -> None:
    assert internal_rows(cohorts("a", "b"), SplitConfig()).to_list() == [True, True]


def test_each_cohort_is_left_out_once() -> None:
    split = SplitConfig(tune_fraction=0.1, seed=4)
    rounds = leave_one_cohort_out(cohorts("b", "a", "c", "a"), split)
    assert [r.train_cohorts for r in rounds] == [("b", "c"), ("a", "c"), ("a", "b")]
    assert all(r.tune_fraction == 0.1 and r.seed == 4 for r in rounds)


def test_a_single_cohort_cannot_be_left_out() -> None:
    with pytest.raises(TableError, match=r"at least two cohorts; the manifest has one \(a\)"):
        leave_one_cohort_out(cohorts("a", "a"), SplitConfig())


AGAIN = {"cohort": "other", "fraction": 1.0}


def two_cohorts(patients: int = 40) -> Manifest:
    """`patients` patients at home and as many elsewhere, two cases each, half positive."""
    number = [n for n in range(2 * patients) for _ in range(2)]
    names = [f"{i:03d}" for i in range(len(number))]
    frame = pl.DataFrame({"image_id": names, "case_id": names}).with_columns(
        patient_id=pl.Series([f"p{n:03d}" for n in number]),
        cohort=pl.Series(["home" if n < patients else "other" for n in number]),
        t0=pl.Series([str(n % 2) for n in number]),
    )
    return Manifest(frame, Path("m.csv"), Path(), embedded=False)


@pytest.mark.parametrize("pool", [0.25, 0.5])
def test_a_cohort_that_is_trained_on_again_keeps_patients_to_test_on(pool: float) -> None:
    manifest = two_cohorts()
    plain = assign_splits(manifest, question("t0", train_cohorts=["home"]))
    frame = assign_splits(
        manifest, question("t0", train_cohorts=["home"], retrain=AGAIN | {"pool": pool})
    )
    assert most_splits(frame, "patient_id") == 1
    home = pl.col("cohort") == "home"
    assert frame.filter(home).equals(plain.filter(home))
    of_patient = frame.filter(~home).unique("patient_id")
    assert (of_patient["split"] == "train").mean() == pytest.approx(pool)
    assert set(of_patient["split"]) == {"train", "test"}
    positive = of_patient.filter(split="train")["t0"] == "1"
    assert positive.mean() == pytest.approx(0.5, abs=0.1)


def test_a_split_column_says_who_is_set_apart_elsewhere() -> None:
    manifest = two_cohorts()
    column = pl.when(pl.col("patient_id") < "p045").then(pl.lit("tune")).otherwise(pl.lit("test"))
    given_split = replace(manifest, frame=manifest.frame.with_columns(split=column))
    frame = assign_splits(given_split, question("t0", train_cohorts=["home"], retrain=AGAIN))
    apart = frame.filter(cohort="other", split="train")["patient_id"].unique().sort()
    assert apart.to_list() == ["p040", "p041", "p042", "p043", "p044"]


@pytest.mark.parametrize(("cohort", "patients"), [("nowhere", 0), ("other", 1)])
def test_a_cohort_without_patients_to_spare_is_not_trained_on_again(
    cohort: str, patients: int
) -> None:
    few = two_cohorts().frame.filter(
        (pl.col("cohort") == "home") | (pl.col("patient_id") == "p040")
    )
    manifest = replace(two_cohorts(), frame=few)
    asked = question("t0", train_cohorts=["home"], retrain=AGAIN | {"cohort": cohort})
    with pytest.raises(TableError, match=f"Cohort '{cohort}' has {patients} patient"):
        assign_splits(manifest, asked)
