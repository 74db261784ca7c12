"""Every metric by name: what it is, which way is better, when it is undefined.

The reference page is printed from here, and the laws in ``tests/laws`` run over all of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics import calibration, discrimination
from medtransfer.metrics.bootstrap import Floats, Weighted

Labels = NDArray[np.int64]
Needs = Literal["case", "positive", "negative", "both"]
LIMIT = 0.5
"""Probability from which a binary target is called positive where no operating point is named."""


@dataclass(frozen=True)
class TargetCases:
    """Cases of one binary target (of a multi-label or one-against-rest task) that are labelled.

    Attributes:
        targets: 0 or 1. [n]
        logits: [n]
        probabilities: Before scaling. [n]
        scaled: After temperature scaling; None where no temperature could be fitted. [n]
    """

    targets: Labels
    logits: Floats
    probabilities: Floats
    scaled: Floats | None = None


@dataclass(frozen=True)
class ClassCases:
    """Cases of a single-label task whose class is known.

    Attributes:
        classes: Number of the true class. [n]
        logits: [n, C]
        probabilities: Before scaling. [n, C]
        scaled: After temperature scaling; None where no temperature could be fitted. [n, C]
    """

    classes: Labels
    logits: Floats
    probabilities: Floats
    scaled: Floats | None = None


@dataclass(frozen=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: In the results table; ``<point>`` stands for an operating point.
        title: In words.
        better: ``higher`` or ``lower``.
        low: Least possible value.
        high: Largest possible value.
        needs: Which cases it is undefined without.
        formula: Its definition.
        reference: Where that comes from.
        ranking: Whether it depends on the order of the scores alone.
        biased: Whether chance alone pushes it up, so that its interval must take that out.
        scaled: Whether it is taken after temperature scaling.
        of_target: Binds it to the cases of a binary target and a threshold.
        of_classes: Binds it to the cases of a single-label task.
        one_against_rest: Whether it is also reported for each class of a single-label task.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    low: float
    high: float
    needs: Needs
    formula: str
    reference: str
    ranking: bool = False
    biased: bool = False
    scaled: bool = False
    of_target: Callable[[TargetCases, float], Weighted] | None = None
    of_classes: Callable[[ClassCases], Weighted] | None = None
    one_against_rest: bool = False

    @property
    def at_point(self) -> bool:
        """Whether it is taken at an operating point."""
        return self.name.endswith("@<point>")

    def undefined(self, positives: int, negatives: int) -> str | None:
        """Why it has no value for some numbers of cases, or None if it has one."""
        missing = {
            "case": positives + negatives == 0,
            "positive": positives == 0,
            "negative": negatives == 0,
            "both": positives == 0 or negatives == 0,
        }
        if not missing[self.needs]:
            return None
        if positives + negatives == 0:
            return "no labelled case"
        return "no positive case" if positives == 0 else "no negative case"


def _top(cases: ClassCases, probabilities: Floats) -> tuple[Floats, Floats]:
    """Whether the most probable class is right, and its probability. [n], [n]"""
    right = probabilities.argmax(axis=1) == cases.classes
    return right.astype(np.float64), probabilities.max(axis=1)


def _known(scaled: Floats | None) -> Floats:
    if scaled is None:
        raise ValueError("a scaled metric was asked for without a temperature")
    return scaled


_ECE = "Σ_b n_b/n · |mean outcome_b − mean confidence_b|, 15 equal-width bins on [0, 1]"
_GUO = "Guo et al. 2017, arXiv 1706.04599"

_ENTRIES = (
    Metric(
        "auroc", "AUROC", "higher", 0, 1, "both",
        "P(s⁺ > s⁻) + ½ P(s⁺ = s⁻)", "Hanley and McNeil 1982", ranking=True,
        of_target=lambda c, _t: discrimination.auroc(c.targets, c.logits),
        one_against_rest=True,
    ),
    Metric(
        "auprc", "AUPRC", "higher", 0, 1, "positive",
        "Σ_k (R_k − R_{k−1}) P_k over falling thresholds", "Davis and Goadrich 2006; average "
        "precision as in scikit-learn", ranking=True,
        of_target=lambda c, _t: discrimination.average_precision(c.targets, c.logits),
        one_against_rest=True,
    ),
    Metric(
        "accuracy", "Accuracy", "higher", 0, 1, "case",
        "share of cases decided rightly, at probability ½ or for the top class", "–",
        of_target=lambda c, _t: discrimination.accuracy(c.targets, c.probabilities >= LIMIT),
        of_classes=lambda c: discrimination.weighted_mean(_top(c, c.probabilities)[0]),
    ),
    Metric(
        "balanced_accuracy", "Balanced accuracy", "higher", 0, 1, "both",
        "mean over the classes that occur of the share decided rightly", "Brodersen et al. 2010",
        of_target=lambda c, _t: discrimination.balanced_accuracy(
            c.targets, (c.probabilities >= LIMIT).astype(np.int64)),
        of_classes=lambda c: discrimination.balanced_accuracy(
            c.classes, c.probabilities.argmax(axis=1)),
    ),
    Metric(
        "top3_accuracy", "Top-3 accuracy", "higher", 0, 1, "case",
        "share of cases whose class is among the three most probable", "Liu et al. 2020",
        of_classes=lambda c: discrimination.top_k_accuracy(
            c.classes, c.probabilities, min(3, c.probabilities.shape[1])),
    ),
    Metric(
        "nll", "Negative log-likelihood", "lower", 0, np.inf, "case",
        "mean of −log p(truth)", "Good 1952",
        of_target=lambda c, _t: calibration.binary_nll(c.targets, c.logits),
        of_classes=lambda c: calibration.class_nll(c.classes, c.logits),
    ),
    Metric(
        "brier", "Brier score", "lower", 0, 2, "case",
        "mean of (p − y)²; for several classes summed over them", "Brier 1950",
        of_target=lambda c, _t: calibration.binary_brier(c.targets, c.probabilities),
        of_classes=lambda c: calibration.class_brier(c.classes, c.probabilities),
    ),
    Metric(
        "ece", "Calibration error (ECE)", "lower", 0, 1, "case", _ECE, _GUO, biased=True,
        of_target=lambda c, _t: calibration.calibration_error(
            c.targets.astype(np.float64), c.probabilities),
        of_classes=lambda c: calibration.calibration_error(*_top(c, c.probabilities)),
    ),
    Metric(
        "brier_scaled", "Brier score after scaling", "lower", 0, 2, "case",
        "as brier, after temperature scaling on tune", _GUO, scaled=True,
        of_target=lambda c, _t: calibration.binary_brier(c.targets, _known(c.scaled)),
        of_classes=lambda c: calibration.class_brier(c.classes, _known(c.scaled)),
    ),
    Metric(
        "ece_scaled", "ECE after scaling", "lower", 0, 1, "case",
        "as ece, after temperature scaling on tune", _GUO, biased=True, scaled=True,
        of_target=lambda c, _t: calibration.calibration_error(
            c.targets.astype(np.float64), _known(c.scaled)),
        of_classes=lambda c: calibration.calibration_error(*_top(c, _known(c.scaled))),
    ),
    Metric(
        "sensitivity@<point>", "Sensitivity", "higher", 0, 1, "positive",
        "share of positives with p ≥ t, t fixed on tune", "Altman and Bland 1994",
        of_target=lambda c, t: discrimination.sensitivity(c.targets, c.probabilities >= t),
        one_against_rest=True,
    ),
    Metric(
        "specificity@<point>", "Specificity", "higher", 0, 1, "negative",
        "share of negatives with p < t, t fixed on tune", "Altman and Bland 1994",
        of_target=lambda c, t: discrimination.specificity(c.targets, c.probabilities >= t),
        one_against_rest=True,
    ),
    Metric(
        "balanced_accuracy@<point>", "Balanced accuracy", "higher", 0, 1, "both",
        "mean of sensitivity and specificity at t, t fixed on tune", "Brodersen et al. 2010",
        of_target=lambda c, t: discrimination.balanced_accuracy(
            c.targets, (c.probabilities >= t).astype(np.int64)),
        one_against_rest=True,
    ),
)  # fmt: skip

CATALOG: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}
"""Every metric, by its name."""


def find_metric(name: str) -> Metric:
    """The catalogue's entry for a name in the results table, e.g. ``sensitivity@sens90``."""
    base, at, _point = name.partition("@")
    return CATALOG[f"{base}@<point>" if at else name]


def spelled(metric: Metric, points: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """The names a metric has in the results table, each with its operating point."""
    if metric.at_point:
        for point in points:
            yield metric.name.replace("<point>", point), point
    else:
        yield metric.name, None
