"""Few-shot episodes: so many patients of each class, nested, the same whatever the order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW, manifests, question

from medtransfer.data.case_table import CaseTable
from medtransfer.data.cases import build_cases, training_cases
from medtransfer.data.config import SplitConfig
from medtransfer.data.splits import assign_splits, draw_episode, patient_classes
from medtransfer.tables.manifest import Manifest

IDS = np.array([f"p{i // 2:03d}" for i in range(400)])  # two cases each


def drawn(targets: np.ndarray, task, shots: int, seed: int = 0) -> np.ndarray:
    return draw_episode(IDS, targets, task, shots, seed)


def test_classes_get_their_number_of_patients_with_all_their_cases() -> None:
    classes = np.repeat(np.random.default_rng(0).choice(4, 200, p=[0.05, 0.15, 0.3, 0.5]), 2)
    rows = drawn(np.eye(4)[classes], "single-label", 5)
    for number in range(4):
        assert len(set(IDS[rows & (classes == number)])) == 5
    assert rows.sum() == 4 * 5 * 2


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_targets_get_at_least_their_number_and_so_do_cases_without_any(task) -> None:
    rng = np.random.default_rng(1)
    targets = (rng.random((400, 1 if task == "binary" else 3)) < 0.1).astype(float)
    targets[rng.random(targets.shape) < 0.2] = np.nan
    rows = drawn(targets, task, 6)
    for column in targets.T:
        assert len(set(IDS[rows & (column == 1)])) >= 6
    none = ~(targets == 1).any(axis=1)
    assert len(set(IDS[rows & none])) >= 6
    assert len(set(IDS[rows])) <= 6 * (targets.shape[1] + 1)


def test_a_class_of_few_patients_gives_all_it_has() -> None:
    targets = np.zeros((400, 1))
    targets[:6] = 1  # three patients
    rows = drawn(targets, "binary", 10)
    assert set(IDS[:6]) <= set(IDS[rows])
    assert len(set(IDS[rows])) == 13


def test_a_patient_counts_for_each_class_it_is_of() -> None:
    ids = np.array(["a", "a", "b", "c"])
    names, members = patient_classes(ids, np.array([[1.0], [0.0], [0.0], [np.nan]]), "binary")
    assert names.tolist() == ["a", "b", "c"]
    assert members.tolist() == [[True, True], [False, True], [False, True]]


def test_seeds_draw_other_patients_and_the_order_of_cases_does_not_matter() -> None:
    targets = (np.random.default_rng(2).random((400, 1)) < 0.3).astype(float)
    draws = [set(IDS[drawn(targets, "binary", 5, seed)]) for seed in range(8)]
    assert len({frozenset(draw) for draw in draws}) == 8
    order = np.random.default_rng(3).permutation(400)
    again = draw_episode(IDS[order], targets[order], "binary", 5, 0)
    assert set(IDS[order][again]) == draws[0]


@FEW
@given(manifests(targets=2, cohorts=2, patients=(10, 40)), st.integers(0, 1000))
def test_episodes_are_nested_whole_patients_of_the_training_split(
    manifest: Manifest, seed: int
) -> None:
    plain = question("t0", "t1")
    frame = assign_splits(manifest, plain)
    cases = build_cases(frame, plain)
    everyone = training_cases(cases, frame, plain, seed)
    counts = CaseTable(frame, plain).class_counts(plain)
    draws = []
    for shots in (1, 2, 5, 100):
        own = training_cases(cases, frame, question("t0", "t1", shots=shots), seed)
        draws.append(set(own.case_ids))
        people = set(own.patient_ids)
        assert {
            c for c, p in zip(everyone.case_ids, everyone.patient_ids, strict=True) if p in people
        } == draws[-1]
        assert min(shots, counts.max(initial=0)) <= len(people) <= shots * len(counts)
    assert all(small <= large for small, large in pairwise(draws))
    assert draws[-1] == set(everyone.case_ids)


def test_shots_and_a_share_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="shots and train_fraction exclude each other"):
        SplitConfig(shots=5, train_fraction=0.5)
