"""Detectors of out-of-distribution (OOD) input, by name.

An OOD case is unlike the training cases of a network: another organ, device or disease. Every score
increases with the distance from the training cases; column ``ood_<name>`` of the predictions table
holds it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.ood_feature_scores import (
    Hopfield,
    Mahalanobis,
    Neighbours,
    OODReference,
    RelativeMahalanobis,
    Residual,
    VirtualLogit,
)
from medtransfer.posthoc.ood_gaussians import Features
from medtransfer.posthoc.ood_logit_scores import (
    KLMatching,
    LogitScore,
    energy,
    gen,
    max_logit,
    max_probability,
)

KEPT_SHARE = 0.95
"""Share of tuning cases that are not flagged."""


class Scorer(Protocol):
    """Detector that is fitted to a network and its training cases."""

    def score(self, features: Features, logits: Floats, /) -> Floats:
        """OOD score of each case. [N, D], [N, T] to [N]"""
        ...


@dataclass(frozen=True)
class Detector:
    """One entry of the catalogue.

    Attributes:
        name: Name in the column ``ood_<name>``.
        title: Name in plain words.
        formula: Its definition, for features f, logits l and probabilities p.
        reference: Source of the definition.
        needs: ``features`` if it uses the features of a case, ``logits`` if its logits alone.
        fit: Fits it to the training cases of a network.
        single_label_only: True if it is undefined for targets with a sigmoid each.
    """

    name: str
    title: str
    formula: str
    reference: str
    needs: Literal["logits", "features"]
    fit: Callable[[OODReference], Scorer]
    single_label_only: bool = False


def _of_logits(function: Callable[..., Floats]) -> Callable[[OODReference], Scorer]:
    return lambda trained: LogitScore(partial(function, single_label=trained.single_label))


_ENTRIES = (
    Detector(
        name="max_probability",
        title="Maximum probability",
        formula="1 − max p",
        reference="Hendrycks and Gimpel 2017, arXiv 1610.02136",
        needs="logits",
        fit=_of_logits(max_probability),
    ),
    Detector(
        name="max_logit",
        title="Maximum logit",
        formula="−max l",
        reference="Hendrycks et al. 2022, arXiv 1911.11132",
        needs="logits",
        fit=lambda _trained: LogitScore(max_logit),
    ),
    Detector(
        name="energy",
        title="Energy",
        formula="−log Σ eˡ; with sigmoids −Σ log(1 + eˡ)",
        reference="Liu et al. 2020, arXiv 2010.03759; Wang et al. 2021, arXiv 2109.14162",
        needs="logits",
        fit=_of_logits(energy),
    ),
    Detector(
        name="gen",
        title="Generalised entropy",
        formula="Σ pᵞ (1 − p)ᵞ, γ = 0.1",
        reference="Liu, Lochman and Zach 2023, CVPR",
        needs="logits",
        fit=_of_logits(gen),
    ),
    Detector(
        name="kl_matching",
        title="KL matching",
        formula="min over classes of KL(p ‖ mean p of the class)",
        reference="Hendrycks et al. 2022, arXiv 1911.11132",
        needs="logits",
        fit=lambda trained: KLMatching.fit(trained.logits),
        single_label_only=True,
    ),
    Detector(
        name="mahalanobis",
        title="Mahalanobis distance",
        formula="min over classes of (f − μ)ᵀ Σ⁻¹ (f − μ)",
        reference="Lee et al. 2018, arXiv 1807.03888",
        needs="features",
        fit=Mahalanobis.fit,
    ),
    Detector(
        name="relative_mahalanobis",
        title="Relative Mahalanobis distance",
        formula="mahalanobis − (f − μ₀)ᵀ Σ₀⁻¹ (f − μ₀)",
        reference="Ren et al. 2021, arXiv 2106.09022",
        needs="features",
        fit=RelativeMahalanobis.fit,
    ),
    Detector(
        name="knn",
        title="Nearest neighbours",
        formula="‖f/‖f‖ − f₍ₖ₎/‖f₍ₖ₎‖‖, the k-th nearest training case",
        reference="Sun et al. 2022, arXiv 2204.06507",
        needs="features",
        fit=Neighbours.fit,
    ),
    Detector(
        name="vim",
        title="Virtual-logit matching",
        formula="α · residual + energy",
        reference="Wang et al. 2022, arXiv 2203.10807",
        needs="features",
        fit=VirtualLogit.fit,
    ),
    Detector(
        name="residual",
        title="Residual",
        formula="‖(I − P Pᵀ)(f + W⁺b)‖, P the principal subspace",
        reference="Wang et al. 2022, arXiv 2203.10807; Ndiour et al. 2020, arXiv 2012.04250",
        needs="features",
        fit=Residual.fit,
    ),
    Detector(
        name="she",
        title="Simplified Hopfield energy",
        formula="−f · mean f of the predicted class",
        reference="Zhang et al. 2023, ICLR",
        needs="features",
        fit=Hopfield.fit,
    ),
)

DETECTORS: dict[str, Detector] = {detector.name: detector for detector in _ENTRIES}
"""Every detector, by its name."""


def ood_scores(reference: OODReference, features: Features, logits: Features) -> dict[str, Floats]:
    """OOD scores of cases, from every detector that the network's task allows.

    Args:
        reference: Training cases of the network.
        features: Of the cases. [N, D]
        logits: Of the cases. [N, T]

    Returns:
        Scores by name, in the catalogue's order; NaN if the network's outputs are not finite.
        [N] each
    """
    allowed = [d for d in DETECTORS.values() if reference.single_label or not d.single_label_only]
    outputs = (reference.features, reference.logits, features, logits)
    if not all(np.isfinite(values).all() for values in outputs):
        return {detector.name: np.full(len(logits), np.nan) for detector in allowed}
    exact = logits.astype(np.float64)
    return {detector.name: detector.fit(reference).score(features, exact) for detector in allowed}


def flag_threshold(scores: Floats, keep: float = KEPT_SHARE) -> float | None:
    """Score above which a case is flagged as OOD.

    Args:
        scores: Scores of the tuning split alone. [n]
        keep: Minimum share of them that is not flagged. Over 0 up to 1.

    Returns:
        The smallest of the scores that keeps that share; None without a tuning case.
    """
    if not len(scores):
        return None
    # a share of n cases carries rounding: 0.55 of 100 is 55
    rank = math.ceil(keep * len(scores) - 1e-9)
    return float(np.sort(scores)[rank - 1])
