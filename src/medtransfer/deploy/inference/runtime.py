"""The networks of a bundle at work: features, logits and detector scores of decoded cases."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medtransfer.deploy.bundle.gate import carried_detectors
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.inference.decoded import DecodedCases
from medtransfer.deploy.inference.network import bundled_classifier, pick_predicting_device
from medtransfer.evaluation.inference.features import Outputs, outputs_of
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.models.classifier import Classifier
from medtransfer.posthoc.ood_detectors import Scorer


@dataclass(frozen=True, eq=False)
class MemberScores:
    """Scores of some cases by one network.

    Attributes:
        logits: [N, T]
        ood: By detector. Each [N]
    """

    logits: NDArray[np.float64]
    ood: dict[str, Floats]


class Network(Protocol):
    """A network in any runtime."""

    def outputs(self, cases: DecodedCases) -> Outputs:
        """Features and logits of decoded cases."""
        ...


class TorchNetwork:
    """A network in torch."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def outputs(self, cases: DecodedCases) -> Outputs:
        """Features and logits of decoded cases."""
        return outputs_of(self._classifier, cases)


class BundleNetworks:
    """The networks of a bundle with their detectors."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Load them.

        Args:
            bundle: The bundle.
            device: `cpu`, `cuda`, `mps`, or `auto`.

        Raises:
            BundleError: Weights or detectors are damaged, or belong to another network.
            ConfigError: This machine lacks the device.
        """
        chosen = pick_predicting_device(device)
        facts = bundle.facts
        self._members: list[tuple[Network, dict[str, Scorer]]] = []
        for member in range(facts.members):
            detectors = carried_detectors(
                [detector.name for detector in facts.detectors],
                bundle.detectors(member),
                facts.network.architecture.width,
                len(facts.targets),
                single_label=facts.task == "single-label",
            )
            network = TorchNetwork(bundled_classifier(bundle, member, chosen))
            self._members.append((network, detectors))

    def scores(self, cases: DecodedCases) -> list[MemberScores]:
        """Scores of decoded cases by each network."""
        scores: list[MemberScores] = []
        for network, detectors in self._members:
            outputs = network.outputs(cases)
            logits = outputs.logits.astype(np.float64)
            finite = np.isfinite(logits).all(axis=1) & np.isfinite(outputs.features).all(axis=1)
            ood: dict[str, Floats] = {}
            for name, scorer in detectors.items():
                values = np.full(len(logits), np.nan)
                if finite.any():
                    values[finite] = scorer.score(outputs.features[finite], logits[finite])
                ood[name] = values
            scores.append(MemberScores(logits, ood))
        return scores
