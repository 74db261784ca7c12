"""Statistics of out-of-distribution detectors, to and from the arrays of a bundle.

`knn` is left out: it keeps the features of every training case, and a bundle holds nothing of a
single patient that can be left out.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import BundleError, ConfigError, listed
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.ood_detectors import DETECTORS, Scorer
from medtransfer.posthoc.ood_feature_scores import (
    Hopfield,
    Mahalanobis,
    OODReference,
    RelativeMahalanobis,
    Residual,
    VirtualLogit,
)
from medtransfer.posthoc.ood_gaussians import CovarianceMap, Gaussians, PrincipalSpace
from medtransfer.posthoc.ood_logit_scores import (
    KLMatching,
    LogitScore,
    energy,
    gen,
    max_logit,
    max_probability,
)

Arrays = Mapping[str, NDArray[np.float64]]
PORTABLE = tuple(name for name in DETECTORS if name != "knn")
"""Detectors that a bundle can hold."""
GAUSSIAN = ("mahalanobis", "relative_mahalanobis")
PRINCIPAL = ("residual", "vim")
LOGIT_SCORES: dict[str, Callable[..., Floats]] = {
    "max_probability": max_probability,
    "energy": energy,
    "gen": gen,
}


def check_detectors(names: Sequence[str], *, single_label: bool) -> None:
    """Check the names of detectors that are to go into a bundle.

    Raises:
        ConfigError: One does not exist, cannot be carried along, or is undefined for the task.
    """
    allowed = [n for n in PORTABLE if single_label or not DETECTORS[n].single_label_only]
    wrong = [name for name in names if name not in allowed]
    if not wrong:
        return
    reason = (
        " 'knn' keeps the features of every training patient, which a bundle must not hold."
        if "knn" in wrong
        else ""
    )
    raise ConfigError(
        f"Detector {listed(map(repr, wrong))} cannot go into the bundle.{reason} Allowed: "
        f"{listed(allowed, 20)}."
    )


def detector_arrays(reference: OODReference, names: Sequence[str]) -> dict[str, Floats]:
    """Statistics that detectors need besides the head.

    Args:
        reference: Training cases of the network, and its head.
        names: Of detectors, from `PORTABLE`.
    """
    arrays: dict[str, Floats] = {}
    if set(names) & set(GAUSSIAN):
        gaussians = reference.gaussians
        arrays |= {
            "gaussians.centre": gaussians.centre,
            "gaussians.axes": gaussians.map.axes,
            "gaussians.scales": gaussians.map.scales,
            "gaussians.rest": np.array([gaussians.map.rest]),
            "gaussians.means": gaussians.means,
            "gaussians.shares": gaussians.shares,
        }
    if set(names) & set(PRINCIPAL):
        arrays |= {
            "principal.origin": reference.principal.origin,
            "principal.axes": reference.principal.axes,
        }
    if "vim" in names:
        arrays["vim.factor"] = np.array([VirtualLogit.fit(reference).factor])
    if "she" in names:
        arrays["she.patterns"] = Hopfield.fit(reference).patterns
    if "kl_matching" in names:
        arrays["kl_matching.templates"] = KLMatching.fit(reference.logits).templates
    return {name: np.ascontiguousarray(value, np.float64) for name, value in arrays.items()}


def carried_detectors(
    names: Sequence[str], arrays: Arrays, width: int, targets: int, *, single_label: bool
) -> dict[str, Scorer]:
    """Detectors of a bundle, ready to score cases.

    Args:
        names: Of the detectors.
        arrays: From `detector_arrays`.
        width: Length of the feature vector D.
        targets: Number of targets T.
        single_label: True if each case has one class of several.

    Raises:
        BundleError: An array is missing, or does not have the shape that the network needs.
    """
    unknown = [name for name in names if name not in PORTABLE]
    if unknown:
        raise BundleError(f"The bundle names detectors that do not exist: {listed(unknown)}.")
    stored = _Stored(arrays, width)
    return {name: _scorer(name, stored, targets, single_label=single_label) for name in names}


class _Stored:
    """Arrays of a bundle, checked as they are taken."""

    def __init__(self, arrays: Arrays, width: int) -> None:
        self._arrays = arrays
        self.width = width

    def take(self, name: str, *shape: int | None) -> Floats:
        """An array whose shape is as given; None stands for any length from 1."""
        array = self._arrays.get(name)
        fits = (
            array is not None
            and array.dtype == np.float64
            and array.ndim == len(shape)
            and all(
                n == size if size is not None else n > 0
                for n, size in zip(array.shape, shape, strict=True)
            )
        )
        if array is None or not fits or not np.isfinite(array).all():
            raise BundleError(
                f"The bundle's array '{name}' is missing or has not the shape or the numbers that "
                "its network needs. Ask for the bundle again."
            )
        return array

    def gaussians(self) -> Gaussians:
        axes = self._arrays.get("gaussians.axes", np.empty((0, 0)))
        rank = axes.shape[1] if axes.ndim == 2 else 0
        axes = self.take("gaussians.axes", self.width, rank) if rank else np.empty((self.width, 0))
        shares = self.take("gaussians.shares", None)
        return Gaussians(
            centre=self.take("gaussians.centre", self.width),
            map=CovarianceMap(
                axes,
                self.take("gaussians.scales", rank) if rank else np.empty(0),
                float(self.take("gaussians.rest", 1)[0]),
            ),
            means=self.take("gaussians.means", len(shares), self.width),
            shares=shares,
        )

    def principal(self) -> PrincipalSpace:
        axes = self._arrays.get("principal.axes", np.empty((0, 0)))
        rank = axes.shape[1] if axes.ndim == 2 else 0
        axes = self.take("principal.axes", self.width, rank) if rank else np.empty((self.width, 0))
        return PrincipalSpace(self.take("principal.origin", self.width), axes)


def _scorer(name: str, stored: _Stored, targets: int, *, single_label: bool) -> Scorer:
    scorer: Scorer
    match name:
        case "mahalanobis":
            scorer = Mahalanobis(stored.gaussians())
        case "relative_mahalanobis":
            scorer = RelativeMahalanobis(stored.gaussians())
        case "residual":
            scorer = Residual(stored.principal())
        case "vim":
            factor = float(stored.take("vim.factor", 1)[0])
            scorer = VirtualLogit(stored.principal(), factor, single_label)
        case "she":
            classes = targets if single_label else targets + 1
            scorer = Hopfield(stored.take("she.patterns", classes, stored.width), single_label)
        case "kl_matching":
            scorer = KLMatching(stored.take("kl_matching.templates", None, targets))
        case "max_logit":
            scorer = LogitScore(max_logit)
        case _:
            scorer = LogitScore(partial(LOGIT_SCORES[name], single_label=single_label))
    return scorer
