"""From images to cases: pooling within each case, and a head that starts at zero."""

import pytest
import torch

from medtransfer.models.classifier import CasePool, zero_head

OWNER = torch.tensor([0, 0, 1, 2, 2, 2])


def features() -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def test_the_head_starts_at_zero() -> None:
    head = zero_head(7, 3)
    assert not head.weight.any()
    assert not head.bias.any()


@pytest.mark.parametrize(("pool", "by_hand"), [("mean", torch.mean), ("max", torch.amax)])
def test_pooling_is_over_the_images_of_each_case(pool, by_hand) -> None:
    found = CasePool(pool, 5, seed=0)(features(), OWNER, 3)
    for case in range(3):
        expected = by_hand(features()[case == OWNER], dim=0)
        torch.testing.assert_close(found[case], expected)


def test_attention_weights_are_positive_and_add_up_to_one_in_each_case() -> None:
    pool = CasePool("attention", 5, seed=0)
    same = torch.ones(6, 5)
    torch.testing.assert_close(pool(same, OWNER, 3), torch.ones(3, 5))
    found = pool(features(), OWNER, 3)
    for case in range(3):
        own = features()[case == OWNER]
        assert (found[case] <= own.max(dim=0).values + 1e-6).all()
        assert (found[case] >= own.min(dim=0).values - 1e-6).all()


def test_attention_stays_finite_for_large_features() -> None:
    assert CasePool("attention", 5, seed=0)(features() * 1e4, OWNER, 3).isfinite().all()


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_a_case_does_not_depend_on_its_neighbours_or_the_order_of_its_images(pool) -> None:
    layer = CasePool(pool, 5, seed=0)
    alone = layer(features()[3:], torch.tensor([0, 0, 0]), 1)
    together = layer(features(), OWNER, 3)
    torch.testing.assert_close(alone[0], together[2])
    turned = torch.tensor([1, 0, 2, 5, 4, 3])
    torch.testing.assert_close(layer(features()[turned], OWNER[turned], 3), together)


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_a_single_image_pools_to_itself(pool) -> None:
    owner = torch.arange(6)
    torch.testing.assert_close(CasePool(pool, 5, seed=0)(features(), owner, 6), features())


def test_attention_is_learned_and_the_others_have_no_weights() -> None:
    assert not list(CasePool("mean", 5, seed=0).parameters())
    assert not list(CasePool("max", 5, seed=0).parameters())
    pool = CasePool("attention", 5, seed=0)
    pool(features(), OWNER, 3).square().sum().backward()
    assert all(
        weight.grad is not None and weight.grad.any()
        for weight in (pool.score.weight, pool.gate.weight, pool.value.weight)
    )


def test_attention_is_the_gated_one_of_ilse_and_others() -> None:
    pool = CasePool("attention", 5, seed=0)
    own = features()[OWNER == 2]
    raw = pool.score(torch.tanh(pool.value(own)) * torch.sigmoid(pool.gate(own)))
    expected = (torch.softmax(raw, dim=0) * own).sum(dim=0)
    torch.testing.assert_close(pool(features(), OWNER, 3)[2], expected)


def test_attention_starts_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = CasePool("attention", 5, seed=7).state_dict()
    torch.rand(3)
    second = CasePool("attention", 5, seed=7).state_dict()
    other = CasePool("attention", 5, seed=8).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["value.weight"], other["value.weight"])
