"""Losses equal a plain calculation, and micro-batches add up to their step."""

import pytest
import torch

from medtransfer.data.loader import Batch
from medtransfer.training.losses import loss_entries, partial_loss


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
    found = partial_loss(logits, batch(truth, known), "multi-label", int(known.sum()))
    torch.testing.assert_close(found, torch.stack(terms).mean())


def test_masked_entries_give_no_gradient() -> None:
    logits, truth, known = random()
    logits.requires_grad_()
    partial_loss(logits, batch(truth, known), "multi-label", int(known.sum())).backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).all()


def test_softmax_cross_entropy_is_the_mean_over_cases() -> None:
    logits, _, _ = random()
    classes = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    truth = torch.nn.functional.one_hot(classes, 3).float()
    known = torch.ones(7, 3, dtype=torch.bool)
    found = partial_loss(logits, batch(truth, known), "single-label", 7)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, classes))


def test_mixed_classes_weigh_both() -> None:
    logits, _, _ = random(cases=1)
    known = torch.ones(1, 3, dtype=torch.bool)
    mixed = torch.tensor([[0.25, 0.75, 0.0]])
    found = partial_loss(logits, batch(mixed, known), "single-label", 1)
    parts = [torch.nn.functional.cross_entropy(logits, torch.tensor([c])) for c in (0, 1)]
    torch.testing.assert_close(found, 0.25 * parts[0] + 0.75 * parts[1])


@pytest.mark.parametrize("task", ["multi-label", "single-label"])
def test_micro_batches_add_up_to_the_step(task) -> None:
    logits, truth, known = random()
    if task == "single-label":
        truth, known = torch.eye(3)[torch.randint(0, 3, (7,))], torch.ones(7, 3, dtype=torch.bool)
    entries = loss_entries(int(known.sum()), 3, task)
    whole = partial_loss(logits, batch(truth, known), task, entries)
    parts = [
        partial_loss(logits[rows], batch(truth[rows], known[rows]), task, entries)
        for rows in (slice(0, 2), slice(2, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_a_step_without_any_label_costs_nothing_and_is_finite() -> None:
    logits, truth, known = random()
    none = torch.zeros_like(known)
    entries = loss_entries(0, 3, "multi-label")
    assert partial_loss(logits, batch(truth * 0, none), "multi-label", entries).item() == 0
