"""Label fractions: every smaller training set lies inside the larger."""

import numpy as np
import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.strategies import FEW, manifest_of, manifests, question

from medtransfer.data.cases import Cases, build_cases, predicted_cases, training_cases
from medtransfer.data.splits import assign_splits
from medtransfer.tables.manifest import Manifest

fractions = st.floats(0.001, 1.0)
seeds = st.integers(0, 10**6)


def used(manifest: Manifest, seed: int, **split: object) -> Cases:
    """The training cases whose labels are used."""
    data = question("t0", "t1", **split)
    frame = assign_splits(manifest, data)
    return training_cases(build_cases(frame, data), frame, data, seed)


@FEW
@given(manifests(targets=2, cohorts=2, patients=(10, 40)), fractions, fractions, seeds)
def test_training_cases_are_nested_whole_patients_of_the_training_split(
    manifest: Manifest, one: float, two: float, seed: int
) -> None:
    small, large = (used(manifest, seed, train_fraction=f) for f in sorted((one, two)))
    whole = used(manifest, seed)
    assert set(small.case_ids) <= set(large.case_ids) <= set(whole.case_ids)
    assert set(whole.splits) <= {"train"}
    assert not np.isnan(whole.targets).all(axis=1).any()
    of_drawn = np.isin(whole.patient_ids, small.patient_ids)
    assert set(whole.case_ids[of_drawn]) == set(small.case_ids)


def test_a_fraction_is_of_the_patients_that_have_labels() -> None:
    names = [f"{i:03d}" for i in range(100)]
    frame = pl.DataFrame({"image_id": names, "case_id": names, "patient_id": names}).with_columns(
        cohort=pl.lit("A"),
        split=pl.lit("train"),
        t0=pl.Series([str(i % 2) if i < 20 else None for i in range(100)]),
        t1=pl.lit(None, pl.String),
    )
    for fraction, count in ((0.01, 1), (0.1, 2), (0.5, 10), (1.0, 20)):
        for seed in range(5):
            assert len(used(manifest_of(frame), seed, train_fraction=fraction)) == count


def test_the_split_does_not_move_with_the_fraction_or_the_runs_seed() -> None:
    names = [f"{i:03d}" for i in range(90)]
    frame = pl.DataFrame({"image_id": names, "case_id": names, "patient_id": names}).with_columns(
        cohort=pl.lit("A"),
        t0=pl.Series([str(i % 2) for i in range(90)]),
        t1=pl.Series([str(i % 3 // 2) for i in range(90)]),
    )
    manifest = manifest_of(frame)
    drawn = [
        assign_splits(manifest, question("t0", "t1", train_fraction=fraction))
        for fraction in (0.1, 1.0)
    ]
    assert drawn[0].equals(drawn[1])


@FEW
@given(manifests(targets=1, cohorts=2, patients=(20, 40)), fractions, fractions, seeds)
def test_cases_of_another_cohort_join_the_training_by_nested_shares(
    manifest: Manifest, one: float, two: float, seed: int
) -> None:
    first, *others = manifest.frame["cohort"].unique().sort().to_list()
    assume(others)
    elsewhere = manifest.frame.filter(cohort=others[0])["patient_id"].n_unique()
    assume(elsewhere >= 4)

    def trained(share: float | None) -> Cases:
        again = None if share is None else {"cohort": others[0], "fraction": share}
        data = question("t0", train_cohorts=[first], retrain=again)
        frame = assign_splits(manifest, data)
        cases = build_cases(frame, data)
        known = training_cases(cases, frame, data, seed)
        tested = predicted_cases(cases, data)
        assert not set(known.patient_ids) & set(tested.patient_ids)
        if again is not None:
            assert set(tested.cohorts[tested.splits == "test"]) <= {others[0]}
        return known

    never, (small, large) = trained(None), (trained(f) for f in sorted((one, two)))
    assert set(never.case_ids) <= set(small.case_ids) <= set(large.case_ids)
    home = large.cohorts == first
    assert set(large.case_ids[home]) == set(never.case_ids)
