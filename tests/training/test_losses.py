"""Losses equal a plain calculation, and micro-batches add up to their step."""

from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torchvision.ops import sigmoid_focal_loss

from medtransfer.data.config import Task
from medtransfer.data.loader import Batch
from medtransfer.training.config import LossConfig
from medtransfer.training.losses import (
    ClassWeights,
    Loss,
    class_weights,
    count_targets,
    loss_entries,
    make_loss,
    partial_loss,
)


def batch(targets: torch.Tensor, known: torch.Tensor) -> Batch:
    cases = len(targets)
    return Batch(torch.zeros(cases, 3, 2, 2), torch.arange(cases), targets, known)


def random(cases: int = 7, targets: int = 3):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(cases, targets, generator=generator)
    truth = torch.randint(0, 2, (cases, targets), generator=generator).float()
    known = torch.rand(cases, targets, generator=generator) < 0.7
    return logits, truth * known, known


def test_binary_cross_entropy_is_the_mean_over_unmasked_entries() -> None:
    logits, truth, known = random()
    terms = [
        -(y * p.log() + (1 - y) * (1 - p).log())
        for p, y, k in zip(logits.sigmoid().ravel(), truth.ravel(), known.ravel(), strict=True)
        if k
    ]
    found = partial_loss(logits, batch(truth, known), Loss("multi-label"), int(known.sum()))
    torch.testing.assert_close(found, torch.stack(terms).mean())


def test_masked_entries_give_no_gradient() -> None:
    logits, truth, known = random()
    logits.requires_grad_()
    partial_loss(logits, batch(truth, known), Loss("multi-label"), int(known.sum())).backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).all()


def test_softmax_cross_entropy_is_the_mean_over_cases() -> None:
    logits, _, _ = random()
    classes = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    truth = torch.nn.functional.one_hot(classes, 3).float()
    known = torch.ones(7, 3, dtype=torch.bool)
    found = partial_loss(logits, batch(truth, known), Loss("single-label"), 7)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, classes))


def test_mixed_classes_weigh_both() -> None:
    logits, _, _ = random(cases=1)
    known = torch.ones(1, 3, dtype=torch.bool)
    mixed = torch.tensor([[0.25, 0.75, 0.0]])
    found = partial_loss(logits, batch(mixed, known), Loss("single-label"), 1)
    parts = [torch.nn.functional.cross_entropy(logits, torch.tensor([c])) for c in (0, 1)]
    torch.testing.assert_close(found, 0.25 * parts[0] + 0.75 * parts[1])


@pytest.mark.parametrize("task", ["multi-label", "single-label"])
def test_micro_batches_add_up_to_the_step(task) -> None:
    logits, truth, known = random()
    if task == "single-label":
        truth, known = torch.eye(3)[torch.randint(0, 3, (7,))], torch.ones(7, 3, dtype=torch.bool)
    entries = loss_entries(int(known.sum()), 3, task)
    whole = partial_loss(logits, batch(truth, known), Loss(task), entries)
    parts = [
        partial_loss(logits[rows], batch(truth[rows], known[rows]), Loss(task), entries)
        for rows in (slice(0, 2), slice(2, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_a_step_without_any_label_costs_nothing_and_is_finite() -> None:
    logits, truth, known = random()
    none = torch.zeros_like(known)
    entries = loss_entries(0, 3, "multi-label")
    assert partial_loss(logits, batch(truth * 0, none), Loss("multi-label"), entries).item() == 0


NONE = np.empty((0, 3))
FOCAL = LossConfig(kind="focal", gamma=1.5)
ASYMMETRIC = LossConfig(kind="asymmetric", gamma=1.0, gamma_negative=3.0, margin=0.1)
NAMES = ["a", "b", "c"]


def made(config: LossConfig, task: Task = "multi-label") -> Loss:
    return make_loss(config, task, NAMES, NONE)


def test_focal_loss_is_torchvisions() -> None:
    logits, truth, known = random()
    for gamma in (None, 0.5, 3.0):
        loss = made(LossConfig(kind="focal", gamma=gamma))
        exponent = 2.0 if gamma is None else gamma
        each = sigmoid_focal_loss(logits, truth, alpha=-1, gamma=exponent)
        found = partial_loss(logits, batch(truth, known), loss, int(known.sum()))
        torch.testing.assert_close(found, each[known].mean())


def test_the_weights_of_both_sides_are_torchvisions_alpha() -> None:
    logits, truth, known = random()
    sides = ClassWeights((0.25,) * 3, (0.75,) * 3)
    loss = Loss("multi-label", gamma=2.0, gamma_negative=2.0, weights=sides)
    each = sigmoid_focal_loss(logits, truth, alpha=0.25, gamma=2.0)
    found = partial_loss(logits, batch(truth, known), loss, int(known.sum()))
    torch.testing.assert_close(found, each[known].mean())


def ridnik(logits: torch.Tensor, truth: torch.Tensor, positive, negative, margin) -> torch.Tensor:
    """Asymmetric loss entry by entry, from equations 4 to 7 of arXiv 2009.14119."""
    terms = []
    for p, y in zip(logits.double().sigmoid().ravel(), truth.ravel(), strict=True):
        shifted = torch.maximum(p - margin, torch.zeros_like(p))
        terms.append(
            -((1 - p) ** positive) * p.log()
            if y == 1
            else -(shifted**negative) * (1 - shifted).log()
        )
    return torch.stack(terms).reshape(logits.shape)


def test_asymmetric_loss_is_ridniks_with_its_gradient() -> None:
    logits, truth, known = random()
    logits.requires_grad_()
    found = partial_loss(logits, batch(truth, known), made(ASYMMETRIC), int(known.sum()))
    expected = ridnik(logits, truth, 1.0, 3.0, 0.1)[known].mean().float()
    torch.testing.assert_close(found, expected)
    both = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(both[0], both[1], rtol=1e-4, atol=1e-7)


def test_asymmetric_loss_has_the_papers_defaults() -> None:
    loss = made(LossConfig(kind="asymmetric"))
    assert (loss.gamma, loss.gamma_negative, loss.margin) == (0.0, 4.0, 0.05)


@pytest.mark.parametrize("config", [FOCAL, ASYMMETRIC, LossConfig(kind="focal", gamma=0.3)])
def test_extreme_logits_keep_a_finite_loss_and_gradient(config: LossConfig) -> None:
    logits = torch.tensor([[-300.0, 300.0, -2.3], [300.0, -300.0, 0.0]], requires_grad=True)
    truth = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    partial_loss(logits, batch(truth, truth > -1), made(config), 6).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_smoothed_classes_are_torchs(share: float) -> None:
    logits, _, _ = random()
    classes = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    truth = torch.eye(3)[classes]
    loss = made(LossConfig(smoothing=share), "single-label")
    found = partial_loss(logits, batch(truth, truth > -1), loss, 7)
    expected = torch.nn.functional.cross_entropy(logits, classes, label_smoothing=share)
    torch.testing.assert_close(found, expected)


def test_smoothed_targets_are_pulled_to_a_half() -> None:
    logits, truth, known = random()
    found = partial_loss(
        logits, batch(truth, known), made(LossConfig(smoothing=0.2)), int(known.sum())
    )
    pulled = partial_loss(
        logits, batch(0.8 * truth + 0.1, known), Loss("multi-label"), int(known.sum())
    )
    torch.testing.assert_close(found, pulled)


def test_the_focal_loss_of_classes_weighs_each_case_by_what_is_missing() -> None:
    logits, _, _ = random()
    classes = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    truth = torch.eye(3)[classes]
    found = partial_loss(logits, batch(truth, truth > -1), made(FOCAL, "single-label"), 7)
    chance = logits.softmax(dim=1)[range(7), classes]
    torch.testing.assert_close(found, (-((1 - chance) ** 1.5) * chance.log()).mean())


def test_balanced_weights_are_scikit_learns_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 3)) < [0.05, 0.3, 0.5]).astype(float)
    targets[0, 0] = 1
    targets[1:][rng.random((59, 3)) < 0.2] = np.nan
    found = class_weights(
        LossConfig(weights="balanced"),
        "multi-label",
        NAMES,
        count_targets(targets, "multi-label"),
    )
    assert found is not None
    for t in range(3):
        known = targets[~np.isnan(targets[:, t]), t]
        both = compute_class_weight("balanced", classes=np.array([0, 1]), y=known)
        assert (found.negative[t], found.positive[t]) == pytest.approx(tuple(both))


def test_balanced_weights_of_classes_are_scikit_learns() -> None:
    classes = np.array([0] * 7 + [1] * 2 + [2])
    targets = np.vstack([np.eye(3)[classes], np.full((1, 3), np.nan)])
    found = class_weights(
        LossConfig(weights="balanced"),
        "single-label",
        NAMES,
        count_targets(targets, "single-label"),
    )
    expected = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    assert found is not None
    assert found.positive == pytest.approx(tuple(expected))
    loss = Loss("single-label", weights=found)
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    truth = torch.eye(3)[torch.tensor(classes)]
    each = torch.nn.functional.cross_entropy(
        logits, torch.tensor(classes), weight=torch.tensor(expected).float(), reduction="sum"
    )
    torch.testing.assert_close(partial_loss(logits, batch(truth, truth > -1), loss, 10), each / 10)


def test_a_side_that_no_case_is_on_weighs_one() -> None:
    targets = np.zeros((4, 3))
    found = class_weights(
        LossConfig(weights="balanced"),
        "multi-label",
        NAMES,
        count_targets(targets, "multi-label"),
    )
    assert found == ClassWeights((1.0,) * 3, (0.5,) * 3)


def test_weights_by_name_are_torchs_weight_of_positives() -> None:
    logits, truth, known = random()
    loss = made(LossConfig(weights={"b": 3.0}))
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, truth, pos_weight=torch.tensor([1.0, 3.0, 1.0]), reduction="none"
    )
    found = partial_loss(logits, batch(truth, known), loss, int(known.sum()))
    torch.testing.assert_close(found, each[known].mean())


@pytest.mark.parametrize("task", ["multi-label", "single-label"])
@pytest.mark.parametrize("kind", ["focal", "asymmetric"])
def test_every_loss_adds_up_over_micro_batches_and_honours_masks(
    task: Task, kind: Literal["focal", "asymmetric"]
) -> None:
    logits, truth, known = random()
    if task == "single-label":
        truth, known = torch.eye(3)[torch.randint(0, 3, (7,))], torch.ones(7, 3, dtype=torch.bool)
        known[2] = False
        kind = "focal"
    loss = made(LossConfig(kind=kind, weights={"a": 5.0}, smoothing=0.1), task)
    entries = loss_entries(int(known.sum()), 3, task)
    logits.requires_grad_()
    whole = partial_loss(logits, batch(truth, known), loss, entries)
    parts = [
        partial_loss(logits[rows], batch(truth[rows], known[rows]), loss, entries)
        for rows in (slice(0, 2), slice(2, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(parts), whole)
    (slopes,) = torch.autograd.grad(whole, logits)
    assert (slopes[~known] == 0).all()
    assert (slopes[known] != 0).any()


def test_a_mixed_target_costs_the_mean_of_both_sides() -> None:
    logits, _, _ = random(cases=1)
    known = torch.ones(1, 3, dtype=torch.bool)
    loss = made(ASYMMETRIC)
    mixed, low, high = (
        partial_loss(logits, batch(torch.full((1, 3), y), known), loss, 3) for y in (0.3, 0.0, 1.0)
    )
    torch.testing.assert_close(mixed, 0.7 * low + 0.3 * high)
