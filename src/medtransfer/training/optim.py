"""From gradients to new weights: the optimiser, clipping, and the moving average."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from medtransfer.models.backbones import layer_numbers, weights_without_decay
from medtransfer.models.classifier import Classifier
from medtransfer.training.config import TrainingConfig
from medtransfer.training.distributed import clip_gradients, is_sharded

SECOND_DECAY = 0.999
"""AdamW's second decay rate."""
State = dict[str, torch.Tensor]

ParameterGroup = dict[str, Any]  # of torch: weights and numbers under the names of an optimiser


class WeightAverage:
    """An exponential moving average of a network's weights and statistics.

    At step t the decay is at most (1 + t) / (10 + t), as in TensorFlow's, so that a short training
    is not held back by its first weights. Integers, such as counters, are copied.

    `torch.optim.swa_utils.AveragedModel` is not used: it copies the module by `deepcopy`, which
    FSDP2 refuses (`training.spread_weights`), and its first update takes the weights as they are
    instead of averaging them with the initial ones. After that the numbers are the same
    (tests/training/test_optim.py).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: State = {name: value.clone() for name, value in _state(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in _state(model).items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)

    @torch.no_grad()
    def restart(self, model: nn.Module) -> None:
        """Begin with the weights that the network has now."""
        for name, value in _state(model).items():
            self.state[name].copy_(value)

    @torch.no_grad()
    def load(self, state: State) -> None:
        """Take over a saved average, each tensor in the memory format it has here."""
        for name, value in self.state.items():
            value.copy_(state[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Generator[None]:
        """While inside, the network holds the average; afterwards its own weights, bit by bit."""
        original = {name: value.clone() for name, value in _state(model).items()}
        _put(model, self.state)
        try:
            yield
        finally:
            _put(model, original)


class OptimizerStep:
    """Makes a step of its gradients.

    Attributes:
        optimiser: With a factor `scale` of the learning rate in each of its groups.
        average: Of the weights, if there is one.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, groups: list[ParameterGroup]):
        self.optimiser = _optimiser(groups, config)
        self.average = WeightAverage(model, config.ema) if config.ema else None
        self._model = model
        self._clip = config.clip_norm
        if is_sharded(model):  # torch updates no list that mixes spread and whole weights
            for group in self.optimiser.param_groups:
                group["foreach"] = False

    def begin(self, rate: float) -> None:
        """Set the learning rate of a step and forget the last one's gradients."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimiser.zero_grad(set_to_none=True)

    def apply(self, step: int) -> None:
        """Turn the gradients of a step, counted from 0, into new weights."""
        if self._clip is not None:
            weights = [w for group in self.optimiser.param_groups for w in group["params"]]
            clip_gradients(weights, self._clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self._model, step)

    @contextmanager
    def averaged(self) -> Generator[None]:
        """While inside, the network holds the average, if there is one."""
        if self.average is None:
            yield
        else:
            with self.average.applied(self._model):
                yield


def make_updater(classifier: Classifier, config: TrainingConfig) -> OptimizerStep:
    """The updater of a classifier, for the weights of it that are trained.

    Raises:
        ConfigError: There is a layer decay and timm does not say what the layers are.
    """
    return OptimizerStep(classifier, config, parameter_groups(classifier, config))


def parameter_groups(classifier: Classifier, config: TrainingConfig) -> list[ParameterGroup]:
    """Trained weights that share a learning rate and a weight decay, lowest layers first.

    Layers are numbered by `timm.models.group_parameters`, and the groups are those of
    `timm.optim.param_groups_layer_decay` (tests/training/test_optim.py). That function is not
    called: it needs timm's own names and head, excludes biases and norms from weight decay for
    SGD too, and orders groups otherwise, which moves the last bits of a clipped gradient.

    Returns:
        Groups with `params`, `weight_decay` and `scale`, the factor of the learning rate.
    """
    trained = [(n, w) for n, w in classifier.named_parameters() if w.requires_grad]
    layers, top = _layers(classifier) if config.layer_decay < 1 else ({}, 0)
    bare = weights_without_decay(classifier.backbone) if config.optimiser == "adamw" else set[str]()
    groups: dict[tuple[int, float], list[nn.Parameter]] = {}
    for name, weight in trained:
        decays = config.optimiser == "sgd" or (
            weight.ndim > 1 and name.removeprefix("backbone.") not in bare
        )
        decay = config.weight_decay if decays else 0.0
        groups.setdefault((layers.get(name, top), decay), []).append(weight)
    return [
        {"params": weights, "weight_decay": decay, "scale": config.layer_decay ** (top - layer)}
        for (layer, decay), weights in sorted(groups.items(), key=lambda item: item[0])
    ]


def _layers(classifier: Classifier) -> tuple[dict[str, int], int]:
    """Layer number of each weight of the backbone, and that of the head."""
    numbers, top = layer_numbers(classifier.backbone)
    return {f"backbone.{name}": number for name, number in numbers.items()}, top


def _optimiser(groups: list[ParameterGroup], config: TrainingConfig) -> torch.optim.Optimizer:
    if config.optimiser == "adamw":
        betas = (config.momentum, SECOND_DECAY)
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas)
    return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)


def _state(model: nn.Module) -> State:
    return {name: value.detach() for name, value in model.state_dict().items()}


@torch.no_grad()
def _put(model: nn.Module, state: State) -> None:
    for name, value in _state(model).items():
        value.copy_(state[name])
