"""torch's global generator is borrowed, never used up."""

import pytest
import torch

from medtransfer.models.runtime import seeded


def draws(seed: int, *purpose: str | int) -> torch.Tensor:
    with seeded(seed, *purpose):
        return torch.rand(4)


def test_draws_depend_on_seed_and_purpose_alone() -> None:
    torch.manual_seed(1)
    first = draws(3, "step", 7)
    torch.manual_seed(2)
    assert torch.equal(draws(3, "step", 7), first)


@pytest.mark.parametrize("other", [(4, "step", 7), (3, "step", 8), (3, "dropout", 7), (3, "step")])
def test_another_seed_or_purpose_has_other_draws(other: tuple[int, str, int]) -> None:
    assert not torch.equal(draws(*other), draws(3, "step", 7))


def test_the_outside_goes_on_as_if_nothing_had_been_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draws(3, "step")
    assert torch.equal(torch.rand(3), expected)


def test_the_outside_is_put_back_after_an_error_too() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(ZeroDivisionError), seeded(3, "step"):
        torch.rand(9 // int(torch.zeros(1)))
    assert torch.equal(torch.rand(3), expected)


def test_a_dropout_layer_inside_draws_the_same_mask_again() -> None:
    layer = torch.nn.Dropout(0.5)
    ones = torch.ones(64)
    with seeded(3, "step", 1):
        first = layer(ones)
    with seeded(3, "step", 1):
        assert torch.equal(layer(ones), first)
    with seeded(3, "step", 2):
        assert not torch.equal(layer(ones), first)
