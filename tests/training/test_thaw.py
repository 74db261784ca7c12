"""Stages that are frozen at first: their weights and statistics stay until their step."""

import pytest
import torch
from torch import nn

from medtransfer.errors import ConfigError
from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.training.config import TuningConfig
from medtransfer.training.thaw import Thaw, thaw_step

TUNING = TuningConfig(mode="partial", frozen_stages=3, frozen_until=0.5)


def lite() -> Classifier:
    model = ModelConfig(rung="scratch/effnet-lite0")
    return build_classifier(model, 1, seed=0, device=torch.device("cpu")).classifier


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_lowest_stages_move_from_their_step_on() -> None:
    model = lite().train()
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    thaw = Thaw(model, TUNING, steps=4)
    moved: list[set[str]] = []
    for step in range(4):
        before = copied(model)
        thaw.before(step)
        optimiser.zero_grad(set_to_none=True)
        (model(images, torch.arange(4), 4) - 1).square().mean().backward()
        optimiser.step()
        moved.append({n for n, value in model.state_dict().items() if not value.equal(before[n])})
    lowest = ("backbone.conv_stem", "backbone.bn1", "backbone.blocks.0.", "backbone.blocks.1.")
    assert not any(name.startswith(lowest) for step in moved[:2] for name in step)
    assert all("head.weight" in step for step in moved)
    assert all(any(name.startswith(part) for name in moved[3]) for part in lowest)
    assert "backbone.bn1.running_mean" in moved[2]


@pytest.mark.parametrize(("until", "steps", "step"), [(0.5, 7, 4), (0.1, 3, 0), (1.0, 8, 0)])
def test_the_share_is_of_the_steps(until: float, steps: int, step: int) -> None:
    tuning = TuningConfig(mode="partial", frozen_until=until)
    assert thaw_step(tuning, steps) == step


def test_more_stages_than_there_are_is_refused_before_the_first_step() -> None:
    tuning = TuningConfig(mode="partial", frozen_stages=40, frozen_until=0.5)
    with pytest.raises(ConfigError, match="frozen_stages is 40"):
        Thaw(lite(), tuning, steps=4)
