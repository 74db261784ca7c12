"""The networks of a bundle in torch."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.images.input_spec import InputSpec
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference.decoded import DecodedCases, bundled_spec
from medtransfer.deploy.inference.network import bundled_classifier, pick_predicting_device
from medtransfer.deploy.inference.networks import NetworkOutputs, Pictures
from medtransfer.evaluation.inference.features import outputs_of
from medtransfer.models.classifier import Classifier
from medtransfer.models.precision.choice import Passes, PrecisionChooser
from medtransfer.models.rungs.architectures import Precision

IMAGES_AT_ONCE = 128
"""Images of a pass, as `model` cuts them."""


class TorchNetwork:
    """A network in torch."""

    def __init__(self, classifier: Classifier, spec: InputSpec) -> None:
        self._classifier = classifier
        self._spec = spec

    def outputs(
        self, pictures: Pictures, clinical: NDArray[np.float32] | None = None
    ) -> NetworkOutputs:
        """Features and logits of decoded cases."""
        outputs = outputs_of(self._classifier, DecodedCases(pictures, self._spec, clinical))
        return NetworkOutputs(outputs.features, outputs.logits)


def torch_networks(bundle: Bundle, device: str, precision: Precision) -> list[TorchNetwork]:
    """The network of each member of a bundle.

    Args:
        bundle: The bundle.
        device: `cpu`, `cuda`, `mps`, or `auto`.
        precision: Of their backbones.

    Raises:
        BundleError: Weights are damaged, or belong to another network.
        ConfigError: This machine lacks the device.
    """
    chosen = pick_predicting_device(device)
    spec = bundled_spec(bundle.facts.input)
    return [
        TorchNetwork(bundled_classifier(bundle, member, chosen, precision), spec)
        for member in range(bundle.facts.members)
    ]


def fastest_precision(bundle: Bundle, device: str) -> Precision:
    """The faster precision of a bundle's network here, measured or remembered.

    Args:
        bundle: The bundle.
        device: `cpu`, `cuda`, `mps`, or `auto`.
    """
    network, crop = bundle.facts.network, bundle.facts.input.crop
    architecture = replace(network.architecture.architecture(), parameters=network.parameters)
    passes = Passes(architecture, crop, "features", 0, IMAGES_AT_ONCE)
    chooser = PrecisionChooser(pick_predicting_device(device))
    return chooser.choose(passes, short=0.0).precision
