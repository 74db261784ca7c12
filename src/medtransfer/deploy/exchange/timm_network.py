"""The network of a bundle under timm's own names, which other libraries load it by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError

from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.errors import BundleError, ConfigError
from medtransfer.models.backbones import build_backbone, head_prefix
from medtransfer.models.tensors import Tensors

BACKBONE, HEAD, POOL = "backbone.", "head.", "pool."


@dataclass(frozen=True, eq=False)
class TimmNetwork:
    """A network as `timm.create_model` builds it.

    Attributes:
        name: Its architecture in timm.
        arguments: For `create_model`, besides the number of classes.
        head: Name of its last layer.
        first: Name of its first convolution.
        tensors: Its weights by timm's names.
    """

    name: str
    arguments: dict[str, int | tuple[int, int]]
    head: str
    first: str
    tensors: Tensors

    def weights(self) -> bytes:
        """The weights as a safetensors file."""
        return cast("bytes", cast("Any", safetensors.torch).save(self.tensors, {"format": "pt"}))


def timm_network(bundle: Bundle) -> TimmNetwork:
    """The network of a bundle under timm's names, head included.

    Raises:
        ConfigError: timm cannot build it, or it is not one network.
        BundleError: Its weights are damaged.
    """
    facts = bundle.facts
    architecture = facts.network.architecture.architecture()
    if architecture.layers is not None:
        raise ConfigError(
            f"Network '{architecture.name}' is one that timm cannot build by name, so that no "
            "other library loads it. `medtransfer export --onnx` makes a graph of it."
        )
    if facts.members > 1:
        raise ConfigError(
            f"The bundle holds {facts.members} networks, and this layout holds one. Make a bundle "
            "of one run (`medtransfer export --run ID`), or keep the bundle."
        )
    if facts.network.pool == "attention" and facts.training.images_per_case > 1:
        raise ConfigError(
            "The network weighs the images of a case by attention, for which this layout has no "
            "place. `medtransfer export --onnx` makes a graph with it."
        )
    try:
        stored = cast("Tensors", cast("Any", safetensors.torch).load(bundle.weights(0)))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError("The weights of the bundle hold no tensors. Ask for it again.") from error
    with torch.device("meta"):
        network = build_backbone(
            architecture, 0, classes=len(facts.targets), input_size=facts.input.crop
        )
    config = cast("Mapping[str, Any]", cast("Any", network).pretrained_cfg)
    head = head_prefix(network)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    tensors: Tensors = {}
    for name, tensor in stored.items():
        if name.startswith(POOL):
            continue
        plain = name.removeprefix(BACKBONE)
        if name.startswith(HEAD):
            plain = f"{head}.{name.removeprefix(HEAD)}"
            tensor = tensor.reshape(wanted.get(plain, tuple(tensor.shape)))  # noqa: PLW2901 — timm's may be a convolution
        tensors[plain] = tensor.contiguous()
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != wanted:
        raise BundleError("The weights of the bundle belong to another network. Ask for it again.")
    sized = config.get("fixed_input_size") and config["input_size"][-1] != facts.input.crop
    first = config.get("first_conv") or ""
    return TimmNetwork(
        name=architecture.timm.split(".", 1)[0],
        arguments={"img_size": facts.input.crop} if sized else {},
        head=head,
        first=first if isinstance(first, str) else "",
        tensors=tensors,
    )
