"""The network of a bundle: its weights are loaded after their shapes are checked."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch.overrides import TorchFunctionMode

from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import NetworkFacts
from medtransfer.deploy.clinical.facts import encoding_of
from medtransfer.errors import BundleError, ConfigError, fault_list
from medtransfer.models.backbones import build_backbone
from medtransfer.models.classifier import Classifier, assemble_classifier
from medtransfer.models.rungs.architectures import Precision
from medtransfer.models.tensors import Tensors
from medtransfer.sizes.image_size import ImageSize

MAX_TENSOR_FAULTS = 5
DRAWS = (torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.bernoulli_)


class _Undrawn(TorchFunctionMode):
    """Leaves out initial weights, which on the meta device are drawn by way of torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options: Any = kwargs or {}
        is_draw = getattr(func, "__module__", "") == "torch.nn.init" or func in DRAWS
        if is_draw and (args or "tensor" in options):
            return args[0] if args else options["tensor"]
        return func(*args, **options)


def trained_classifier(
    network: NetworkFacts,
    crop: ImageSize,
    targets: int,
    tensors: Tensors,
    device: torch.device,
    *,
    covariates: int = 0,
) -> Classifier:
    """A classifier with its trained weights, in evaluation mode.

    Shapes are compared on torch's meta device first, so that a network that the tensors do not
    belong to takes no memory.

    Args:
        network: Its facts.
        crop: Size of its input.
        targets: Number of outputs T.
        tensors: Every tensor of the classifier.
        device: Where it will run.
        covariates: Columns of clinical data that its head sees.

    Raises:
        BundleError: The tensors belong to another network.
    """
    with torch.device("meta"), _Undrawn():
        outline = _assembled(network, crop, targets, torch.device("meta"), covariates)
    _require_same(outline.state_dict(), tensors)
    classifier = _assembled(network, crop, targets, device, covariates)
    classifier.load_state_dict(tensors)
    return classifier.to(device).eval().requires_grad_(requires_grad=False)


def bundled_classifier(
    bundle: Bundle, member: int, device: torch.device, precision: Precision | None = None
) -> Classifier:
    """The network of a bundle's member.

    Args:
        bundle: The bundle.
        member: Its number.
        device: Where it will run.
        precision: Of the backbone; None for the study's.

    Raises:
        BundleError: Its weights are damaged, or belong to another network.
    """
    facts = bundle.facts
    try:
        tensors = cast("Tensors", cast("Any", safetensors.torch).load(bundle.weights(member)))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(
            f'The weights of bundle "{bundle.path.name}" hold no tensors '
            f"({type(error).__name__}). Ask for the bundle again."
        ) from error
    try:
        network = facts.network
        if precision is not None:
            network = replace(network, precision=precision)
        encoding = encoding_of(facts.clinical[member]) if facts.clinical else None
        return trained_classifier(
            network,
            facts.input.crop,
            len(facts.targets),
            tensors,
            device,
            covariates=0 if encoding is None else encoding.width,
        )
    except ConfigError as error:
        raise BundleError(
            f'The network of bundle "{bundle.path.name}" cannot be built: {error}'
        ) from error


def pick_predicting_device(name: str) -> torch.device:
    """The device to predict on: `auto` takes CUDA or MPS where they are, else the CPU.

    Raises:
        ConfigError: This machine lacks it.
    """
    is_available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    available = [kind for kind, is_here in is_available.items() if is_here]
    chosen = available[0] if name == "auto" else name
    if chosen not in available:
        raise ConfigError(
            f"--device is '{name}', which this machine lacks (it has {', '.join(available)})."
        )
    return torch.device(chosen)


def _assembled(
    network: NetworkFacts,
    crop: ImageSize,
    targets: int,
    device: torch.device,
    covariates: int,
) -> Classifier:
    architecture = network.architecture.architecture()
    backbone = build_backbone(architecture, seed=0, input_size=crop)
    classifier = assemble_classifier(
        backbone,
        architecture,
        network.pool,
        targets,
        seed=0,
        device=device,
        precision=network.precision,
    )
    if covariates:
        classifier.add_covariates(covariates)
    return classifier


def _require_same(state: Mapping[str, Any], tensors: Tensors) -> None:
    """Compare names, shapes and types.

    Raises:
        BundleError: They differ.
    """
    wanted = {name: (tuple(t.shape), t.dtype) for name, t in state.items()}
    given = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
    if wanted == given:
        return
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - given.keys())]
    faults += [
        f"{ascii(name)[:60]} is superfluous" for name in sorted(given.keys() - wanted.keys())
    ]
    faults += [
        f"{name} has another shape or type"
        for name in sorted(wanted.keys() & given.keys())
        if wanted[name] != given[name]
    ]
    if len(faults) > MAX_TENSOR_FAULTS:
        faults = [*faults[:MAX_TENSOR_FAULTS], f"and {len(faults) - MAX_TENSOR_FAULTS} more"]
    raise BundleError(
        fault_list(
            "The weights of the bundle belong to another network", faults, "Ask for it again."
        )
    )
