"""Effects of scale on a metric: of the network, of the pre-training data, and of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.sums import Floats

Term = Literal["network", "data", "interaction"]
Model = Literal["interaction model", "within pre-training sets", "within architectures"]
MIN_RUNGS = 5
"""Of the interaction model: more than its four terms."""
EXACT = "an exact fit of two network sizes by two pre-training sizes: no check of the model"
"""Note on effects of four rungs, as many as the model has terms."""
MAX_INFLATION = 10.0
"""Variance inflation from which two scales count as not told apart."""


@dataclass(frozen=True)
class ScaleEffect:
    """The slope of a metric on one term.

    Attributes:
        slopes: Change of the metric per factor of ten; for the interaction, change of the one
            slope per factor of ten of the other. NaN where undefined. [1 + R]
        model: Where it comes from; None where undefined.
        rungs: How many rungs it rests on.
        reason: Why it is undefined, or why a simpler model was used.
    """

    slopes: Floats
    model: Model | None
    rungs: int
    reason: str | None = None


def scale_effects(
    values: Floats,
    parameters: Floats,
    images: Floats,
    architecture: Sequence[str],
    pretraining: Sequence[str],
) -> dict[Term, ScaleEffect]:
    """Effects of network scale, of data scale and of their interaction on a metric.

    Over the pre-trained rungs, in every replicate, by least squares::

        value = mean + network · n + data · d + interaction · n d
        n = log10(parameters), d = log10(images), both minus their means

    It needs five rungs, and scales that vary apart: variance inflation of at most 10 in every
    term. Four rungs are enough if they are two networks by two pre-training sizes; the fit is then
    exact, and `reason` says so. Otherwise like is compared with like, by least squares with one
    intercept for each group: network scale among rungs of one pre-training set, data scale among
    rungs of one architecture. With two rungs in each group that is the mean of the paired
    contrasts, larger spans of scale counting for more. The interaction is then undefined.

    Rungs are taken as they are, not as drawn from more: replicates are of patients alone.

    Args:
        values: Of each rung, in the sample and in every replicate. [K, 1 + R]
        parameters: Weights of the network. [K]
        images: That it was pre-trained on; 0 for none, NaN where it is not known: such rungs are
            left out, as are those that are undefined in the sample. [K]
        architecture: Its name, which sets rungs of one architecture apart from others. [K]
        pretraining: Name of what it was pre-trained on, likewise. [K]
    """
    kept = (images > 0) & (parameters > 0) & np.isfinite(values[:, 0])
    y = values[kept]
    n, d = np.log10(parameters[kept]), np.log10(images[kept])
    slopes, reason = _interaction_model(y, n, d)
    if slopes is not None:
        network, data, both = (
            ScaleEffect(row, "interaction model", len(y), reason or None) for row in slopes
        )
        return {"network": network, "data": data, "interaction": both}
    sets, kinds = (np.asarray(names)[kept] for names in (pretraining, architecture))
    nothing = np.full(values.shape[1], np.nan)
    return {
        "network": _within(y, n, sets, "within pre-training sets", reason)
        or ScaleEffect(nothing, None, 0, "no pre-training set has networks of two sizes"),
        "data": _within(y, d, kinds, "within architectures", reason)
        or ScaleEffect(nothing, None, 0, "no architecture has pre-training sets of two sizes"),
        "interaction": ScaleEffect(nothing, None, 0, reason),
    }


def _interaction_model(y: Floats, n: Floats, d: Floats) -> tuple[Floats | None, str]:
    """The three slopes [3, 1 + R] with a note on them, or why there are none."""
    exact = _is_two_by_two(n, d)
    if len(y) < MIN_RUNGS and not exact:
        return None, f"{len(y)} of the {MIN_RUNGS} pre-trained rungs that the model needs"
    n, d = n - n.mean(), d - d.mean()
    terms = np.stack([n, d, n * d - (n * d).mean()])
    design = np.concatenate([np.ones((1, len(y))), terms]).T
    spread = terms.std(axis=1)
    scaled = terms / np.where(spread > 0, spread, 1)[:, None]
    if not spread.all() or np.linalg.matrix_rank(scaled) < len(terms):
        return None, "network and data scale are not told apart by these rungs"
    inflation = np.diag(np.linalg.inv(scaled @ scaled.T / len(y))).max()
    if inflation > MAX_INFLATION:
        return None, f"network and data scale are hardly told apart (inflation {inflation:.0f})"
    return (np.linalg.pinv(design) @ y)[1:], EXACT if exact else ""


def _is_two_by_two(n: Floats, d: Floats) -> bool:
    """True if four rungs are two network sizes by two pre-training sizes."""
    sizes, sets = np.unique(n.round(3)), np.unique(d.round(3))  # heads differ in a few weights
    cells = set(zip(n.round(3).tolist(), d.round(3).tolist(), strict=True))
    return len(n) == len(cells) == 4 and len(sizes) == len(sets) == 2


def _within(
    y: Floats, x: Floats, group: NDArray[np.str_], model: Model, reason: str
) -> ScaleEffect | None:
    """The slope on x with one intercept for each group; None where no group has two x."""
    centred, deviations = np.zeros_like(x), np.zeros_like(y)
    for name in np.unique(group):
        rows = group == name
        if np.ptp(x[rows]) > 0:
            centred[rows] = x[rows] - x[rows].mean()
            deviations[rows] = y[rows] - y[rows].mean(axis=0)
    used = np.isin(group, np.unique(group[centred != 0]))
    if not used.any():
        return None
    slopes = centred[used] @ deviations[used] / (centred[used] ** 2).sum()
    return ScaleEffect(slopes, model, int(used.sum()), reason)
