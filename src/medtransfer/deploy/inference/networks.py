"""The networks of a bundle at work, in any runtime: logits and detector scores of decoded cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.images.pictures import Pixels
from medtransfer.deploy.bundle.gate import carried_detectors
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.clinical.facts import encoding_of
from medtransfer.errors import ConfigError, listed
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.models.rungs.architectures import Precision

Runtime = Literal["torch", "onnx"]
PredictingPrecision = Literal["study", "auto", "float32", "bfloat16"]
Pictures = Sequence[Sequence[Pixels]]
"""Images of each case at the network's size, [height, width, 1 or 3] each; no case is without."""


def require_precision(precision: str, runtime: Runtime) -> None:
    """Refuse a precision that is none, or that a runtime has not.

    Raises:
        ConfigError: It is.
    """
    if precision not in get_args(PredictingPrecision):
        allowed = listed(get_args(PredictingPrecision))
        raise ConfigError(f"--precision is '{precision}' (allowed: {allowed}).")
    if runtime == "onnx" and precision not in ("study", "float32"):
        raise ConfigError(
            f"--precision is '{precision}', but --runtime onnx computes in float32. Leave one out."
        )


def precision_notes(used: Precision, of_study: Precision) -> list[str]:
    """A sentence on a precision that is not the study's; none if it is."""
    if used == of_study:
        return []
    return [
        f"Predicted in {used}, while the study tested in {of_study}: logits differ by rounding."
    ]


@dataclass(frozen=True, eq=False)
class NetworkOutputs:
    """Outputs of a network for some cases.

    Attributes:
        features: Pooled over the images of a case, before the head. [N, D]
        logits: [N, T]
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]


class Network(Protocol):
    """A network in any runtime."""

    def outputs(
        self, pictures: Pictures, clinical: NDArray[np.float32] | None = None, /
    ) -> NetworkOutputs:
        """Features and logits of decoded cases.

        Args:
            pictures: Of each case.
            clinical: Clinical data as numbers; None where the network sees none. [N, C]
        """
        ...


@dataclass(frozen=True, eq=False)
class MemberScores:
    """Scores of some cases by one network.

    Attributes:
        logits: [N, T]
        ood: By detector. Each [N]
        features: Seen by the head: pooled over the images of a case, then clinical data. [N, D]
    """

    logits: NDArray[np.float64]
    ood: dict[str, Floats]
    features: NDArray[np.float32]


class BundleNetworks:
    """The networks of a bundle with their detectors."""

    def __init__(self, bundle: Bundle, networks: Sequence[Network]) -> None:
        """Take networks and load their detectors.

        Args:
            bundle: The bundle.
            networks: One of each member, in order.

        Raises:
            BundleError: The detectors are damaged, or belong to another network.
        """
        facts = bundle.facts
        names = [detector.name for detector in facts.detectors]
        width, targets = facts.network.architecture.width, len(facts.targets)
        single_label = facts.task == "single-label"
        encodings = [encoding_of(f) for f in facts.clinical] or [None] * len(networks)
        self._members = [
            (
                network,
                encoding,
                carried_detectors(
                    names,
                    bundle.detectors(member),
                    width + (0 if encoding is None else encoding.width),
                    targets,
                    single_label=single_label,
                ),
            )
            for member, (network, encoding) in enumerate(zip(networks, encodings, strict=True))
        ]

    def scores(self, pictures: Pictures, cells: pl.DataFrame | None = None) -> list[MemberScores]:
        """Scores of decoded cases by each network.

        Args:
            pictures: Of each case.
            cells: Their clinical data as text; None where the networks see none.
        """
        scores: list[MemberScores] = []
        for network, encoding, detectors in self._members:
            clinical = None if encoding is None or cells is None else encoding.encode(cells)
            outputs = network.outputs(pictures, clinical)
            logits = outputs.logits.astype(np.float64)
            finite = np.isfinite(logits).all(axis=1) & np.isfinite(outputs.features).all(axis=1)
            ood: dict[str, Floats] = {}
            for name, scorer in detectors.items():
                values = np.full(len(logits), np.nan)
                if finite.any():
                    values[finite] = scorer.score(outputs.features[finite], logits[finite])
                ood[name] = values
            scores.append(MemberScores(logits, ood, outputs.features))
        return scores
