"""Groups of training cases count alike: in the draw, in the loss, or by their loss."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.data.stratify import balanced_order
from medtransfer.errors import StudyError
from medtransfer.training.linear_probe import LinearHead, fit_probe
from medtransfer.training.loop import TuneScore
from medtransfer.training.losses import Loss
from medtransfer.training.mitigation.groups import (
    balancing_weights,
    case_groups,
    dro_case_weights,
    stepped_weights,
)

NUMBERS = st.lists(st.integers(0, 3), min_size=4, max_size=80).map(
    lambda drawn: np.unique(drawn, return_inverse=True)[1].astype(np.int64)
)


@given(NUMBERS)
def test_weights_make_groups_weigh_the_same(number: np.ndarray) -> None:
    weights = balancing_weights(number)
    assert weights.mean() == pytest.approx(1)
    sums = np.bincount(number, weights)
    assert np.allclose(sums, sums[0])


@given(NUMBERS, st.integers(0, 99))
def test_a_balanced_epoch_draws_groups_equally_often(number: np.ndarray, seed: int) -> None:
    rows, repeats = balanced_order(number, np.random.default_rng(seed))
    again, _ = balanced_order(number, np.random.default_rng(seed))
    assert np.array_equal(rows, again)
    assert len(rows) == len(repeats) == len(number)
    counts = np.bincount(number[rows], minlength=int(number.max()) + 1)
    assert counts.max() - counts.min() <= 1
    pairs = set(zip(rows.tolist(), repeats.tolist(), strict=True))
    assert len(pairs) == len(rows)  # no case comes twice with one augmentation
    for group in np.unique(number):
        drawn = np.bincount(rows[number[rows] == group], minlength=len(number))
        used = drawn[number == group]
        assert used.max() - used.min() <= 1


@given(NUMBERS, st.data())
def test_dro_weights_give_the_weighted_mean_of_the_groups_losses(
    number: np.ndarray, data: st.DataObject
) -> None:
    count = int(number.max()) + 1
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    mass = draw.integers(1, 4, len(number)).astype(float)
    weights = draw.dirichlet(np.ones(count))
    losses = draw.random(len(number)) * mass  # summed over the targets of a case
    step = (dro_case_weights(number, mass, weights) * losses).sum() / mass.sum()
    means = np.bincount(number, losses) / np.bincount(number, mass)
    assert step == pytest.approx(float(weights @ means))


def test_a_group_of_larger_loss_gains_weight_and_an_absent_one_keeps_its_share() -> None:
    before = np.full(3, 1 / 3)
    after = stepped_weights(before, np.array([2.0, 0.5, np.nan]), 0.1)
    assert after.sum() == pytest.approx(1)
    assert after[0] / after[1] == pytest.approx(np.exp(0.1 * 1.5))
    assert after[0] / after[2] == pytest.approx(np.exp(0.1 * 2.0))
    absent = dro_case_weights(np.array([0, 0, 1]), np.ones(3), np.array([0.5, 0.25, 0.25]))
    assert absent == pytest.approx([1.0, 1.0, 1.0])


def test_rare_values_are_one_group_and_one_group_is_refused() -> None:
    ids = np.array([f"c{n:02}" for n in range(60)])
    sites = ["a"] * 25 + ["b"] * 20 + ["c"] * 6 + ["d"] * 5 + [None] * 4
    frame = pl.DataFrame({"case_id": ids.tolist(), "site": sites})
    groups = case_groups(frame, "site", ids)
    assert groups.names == ("a", "b", "rare values")
    assert np.bincount(groups.number).tolist() == [25, 20, 15]
    with pytest.raises(StudyError, match="needs two groups of at least 10 training cases"):
        case_groups(frame, "site", ids[:25])
    with pytest.raises(StudyError, match="mitigation.groups names 'sit', which is no column"):
        case_groups(frame, "sit", ids)


def test_weights_of_a_probe_serve_a_small_group_that_is_told_by_another_feature() -> None:
    """One case in ten is of a group whose label goes the other way: without weights it is lost."""
    draw = np.random.default_rng(0)
    number = (np.arange(600) % 10 == 0).astype(np.int64)
    labels = draw.integers(0, 2, 600)
    sign = np.where(number == 0, 1.0, -0.6)
    features = ((2 * labels - 1) * sign + draw.normal(size=600))[:, None].astype(np.float32)

    def losses(weights: np.ndarray | None) -> np.ndarray:
        fitted = fit_probe(
            features,
            labels[:, None].astype(float),
            Loss("binary"),
            [1e-3],
            tune=lambda _head: TuneScore(0.0, 0.5),
            case_weights=weights,
        )
        head: LinearHead = fitted.head
        logits = head.logits(features)[:, 0]
        each = np.logaddexp(0, -logits * (2 * labels - 1))
        return np.bincount(number, each) / np.bincount(number)

    plain, weighed = losses(None), losses(balancing_weights(number))
    assert plain[1] - plain[0] > 2 * abs(weighed[1] - weighed[0])
    assert weighed[1] < plain[1] - 0.2
    assert weighed[0] > plain[0]  # it is paid for by the others
    assert np.allclose(losses(np.ones(600)), plain, atol=1e-6)
