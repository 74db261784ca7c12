"""What a step makes of its gradients: groups, clipping, averages; resumed in the same bits."""

from pathlib import Path

import pytest
import timm
import torch
from tests.training.conftest import Bench
from timm.optim import param_groups_layer_decay
from timm.utils import ModelEmaV2
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medtransfer.models.classifier import Classifier, build_classifier
from medtransfer.models.config import ModelConfig
from medtransfer.training.config import TrainingConfig
from medtransfer.training.loop import Stopped, TuneScore
from medtransfer.training.optim import OptimizerStep, WeightAverage, make_updater, parameter_groups

CPU = torch.device("cpu")


def classifier(rung: str = "scratch/r14x0.5") -> Classifier:
    return build_classifier(
        ModelConfig(rung=rung), 2, seed=0, device=CPU, precision="float32"
    ).classifier


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def by_name(network: nn.Module, groups: list[dict], factor: str) -> dict[str, tuple[float, float]]:
    """Factor of the learning rate and weight decay of each weight."""
    names = {weight: name for name, weight in network.named_parameters()}
    return {
        names[weight]: (group[factor], group["weight_decay"])
        for group in groups
        for weight in group["params"]
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["vit_tiny_patch16_224", "convnext_atto", "resnetv2_50x1_bit", "tf_efficientnet_lite0"],
)
def test_layers_their_rates_and_their_decay_are_timms(name: str) -> None:
    own = classifier(f"scratch/timm:{name}")
    config = TrainingConfig(optimiser="adamw", layer_decay=0.7, weight_decay=0.05)
    found = by_name(own, parameter_groups(own, config), "scale")
    with torch.device("meta"):
        peer = timm.create_model(name, num_classes=2)
    bare = getattr(peer, "no_weight_decay", set)()
    groups = param_groups_layer_decay(peer, 0.05, no_weight_decay_list=bare, layer_decay=0.7)
    expected = by_name(peer, groups, "lr_scale")
    backbone = {n.removeprefix("backbone."): v for n, v in found.items() if n[:9] == "backbone."}
    assert backbone == {n: pytest.approx(expected[n]) for n in backbone}
    assert len(expected) == len(found)  # our head is the one timm's own has in its place
    assert (found["head.weight"], found["head.bias"]) == ((1.0, 0.05), (1.0, 0.0))
    assert len({scale for scale, _ in found.values()}) > 5


def test_without_layer_decay_there_is_one_group_of_all_weights_in_their_order() -> None:
    own = classifier()
    (group,) = parameter_groups(own, TrainingConfig(weight_decay=0.1))
    assert (group["scale"], group["weight_decay"]) == (1.0, 0.1)
    assert all(a is b for a, b in zip(group["params"], own.parameters(), strict=True))


def test_the_rate_of_a_step_reaches_each_layer_by_its_factor() -> None:
    own = classifier()
    updater = make_updater(own, TrainingConfig(layer_decay=0.5))
    updater.begin(0.8)
    rates = [group["lr"] for group in updater.optimiser.param_groups]
    assert rates == sorted(rates)
    assert rates[-1] == 0.8
    assert rates[-2] == pytest.approx(0.4)


def line(config: TrainingConfig) -> tuple[nn.Linear, OptimizerStep]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    groups = [{"params": list(model.parameters()), "weight_decay": 0.0, "scale": 1.0}]
    return model, OptimizerStep(model, config, groups)


@pytest.mark.parametrize(("most", "expected"), [(0.5, 0.5), (1e6, None)])
def test_a_gradient_longer_than_allowed_is_scaled_down_to_it(most, expected) -> None:
    model, updater = line(TrainingConfig(momentum=0, clip_norm=most))
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    updater.begin(1.0)
    model(torch.full((4, 3), 7.0)).square().sum().backward()
    slopes = torch.cat([w.grad.ravel() for w in model.parameters() if w.grad is not None])
    updater.apply(0)
    moved = before - nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(moved.norm(), torch.tensor(expected or float(slopes.norm())))
    torch.testing.assert_close(moved / moved.norm(), slopes / slopes.norm())


def test_the_average_is_timms_once_the_first_steps_are_over() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    average, peer = WeightAverage(model, 0.5), ModelEmaV2(model, decay=0.5)
    for step in range(8, 14):  # (1 + 8) / (10 + 8) is a half
        model(torch.randn(2, 3, 5, 5))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        average.update(model, step)
        peer.update(model)
    for name, value in peer.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(average.state[name], value)
    assert average.state["1.num_batches_tracked"] == 6  # counters are counted, not averaged


def test_the_average_is_torchs_to_the_bit_once_the_first_steps_are_over() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    average = WeightAverage(model, 0.5)
    peer = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    peer.n_averaged += 1  # its first update would take the weights as they are
    for step in range(8, 14):
        model(torch.randn(2, 3, 5, 5))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        average.update(model, step)
        peer.update_parameters(model)
    for name, value in peer.module.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(average.state[name], value)


def test_the_first_steps_are_averaged_less() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.999)
    nn.init.ones_(model.weight)
    average.update(model, 0)
    assert average.state["weight"].item() == pytest.approx(0.9)
    average.update(model, 1)
    assert average.state["weight"].item() == pytest.approx(1 - 0.1 * 2 / 11)


def test_the_network_gets_its_own_weights_back_to_the_bit() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    average, before = WeightAverage(model, 0.9), weights_of(model)
    average.state["0.weight"].zero_()
    with average.applied(model):
        assert not model.get_parameter("0.weight").any()
    assert same(weights_of(model), before)


@pytest.mark.slow
def test_checks_and_selection_see_the_average(bench: Bench, tmp_path: Path) -> None:
    trained, seen = [], []
    network = bench.classifier()
    expected = {name: value.double() for name, value in weights_of(network).items()}

    def watch(_report) -> bool:
        trained.append(weights_of(network))
        return False

    def tune(model: Classifier) -> TuneScore:
        seen.append(weights_of(model))
        return TuneScore(0.5, [0.6, 0.9, 0.7][len(seen) - 1])

    kept, state = bench.fit(tmp_path, classifier=network, watch=watch, tune=tune, ema=0.3)
    assert state.selected == 4
    assert same(weights_of(kept), seen[1])
    for step, weights in enumerate(trained):
        decay = min(0.3, (1 + step) / (10 + step))
        expected = {n: decay * e + (1 - decay) * weights[n] for n, e in expected.items()}
        if step in (1, 3, 5):
            found = seen[step // 2]
            for name, value in expected.items():
                torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-7)
    assert not same(seen[1], trained[3])


RECIPES = {
    "adamw": {
        "optimiser": "adamw",
        "learning_rate": 0.001,
        "weight_decay": 0.05,
        "layer_decay": 0.7,
        "clip_norm": 0.5,
        "schedule": "cosine",
        "ema": 0.9,
    },
    "sgd": {"ema": 0.5, "loss": {"kind": "focal", "weights": "balanced"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_moments_and_averages_resume_in_the_same_bits(
    bench: Bench, tmp_path: Path, recipe: str
) -> None:
    whole, state = bench.fit(tmp_path / "whole", **RECIPES[recipe])
    for step in (1, 3, 4):
        with pytest.raises(Stopped):
            bench.fit(tmp_path / "cut", watch=lambda r, s=step: r.step == s, **RECIPES[recipe])
    again, resumed = bench.fit(tmp_path / "cut", **RECIPES[recipe])
    assert same(weights_of(whole), weights_of(again))
    assert [vars(check) for check in state.checks] == [vars(check) for check in resumed.checks]


def test_adamw_is_torchs(bench: Bench, tmp_path: Path) -> None:
    # the plain recipe is SGD: another optimiser must be another road from the first step on
    plain, _ = bench.fit(tmp_path / "sgd", steps=3, checks=1)
    adam, _ = bench.fit(tmp_path / "adam", steps=3, checks=1, optimiser="adamw")
    assert not same(weights_of(plain), weights_of(adam))
    model, updater = line(TrainingConfig(optimiser="adamw", momentum=0.8))
    torch.manual_seed(0)
    peer = nn.Linear(3, 2)
    torch_own = torch.optim.AdamW(peer.parameters(), 0.01, betas=(0.8, 0.999), weight_decay=0)
    for step in range(3):
        updater.begin(0.01)
        torch_own.zero_grad()
        for one in (model, peer):
            one(torch.ones(1, 3)).square().sum().backward()
        updater.apply(step)
        torch_own.step()
    assert same(weights_of(model), weights_of(peer))
