"""Metrics of conformal sets and of ensembles: means of one number per case."""

import numpy as np

from medtransfer.metrics.cases import AnyCases, TargetCases
from medtransfer.metrics.metric import Metric
from medtransfer.metrics.weighted import Weighted, mean_of

SET_COVERAGE = 0.9
"""Intended share of cases whose set contains the truth."""
METHODS = {
    "split": ("split conformal", "Vovk et al. 2005; Sadinle et al. 2019", True),
    "class": ("class-conditional conformal", "Vovk 2012", True),
    "group": ("group-conditional conformal", "Vovk 2012; Romano et al. 2020a", True),
    "shifted": ("conformal for shifted frequencies", "Podkopaev and Ramdas 2021", True),
    "aps": ("adaptive sets (APS)", "Romano et al. 2020b", False),
    "raps": ("regularised adaptive sets (RAPS)", "Angelopoulos et al. 2021", False),
}
"""Conformal method to its description, its reference, and True if it is for binary targets."""
SPREADS = {
    "disagreement": (
        "Disagreement of members",
        "share of members whose answer differs from that of their mean",
        "Fort et al. 2019",
        1.0,
    ),
    "mutual_information": (
        "Mutual information",
        "entropy of the mean − mean entropy, in nats",
        "Depeweg et al. 2018",
        np.inf,
    ),
    "diversity": (
        "Diversity of members",
        "variance of p over members, summed over classes",
        "Krogh and Vedelsby 1995",
        2.0,
    ),
}
"""Measure of an ensemble's disagreement to its title, formula, reference and maximum."""


def coverage(cases: AnyCases, method: str) -> Weighted:
    """Share of cases whose set contains the truth."""
    truth = cases.targets if isinstance(cases, TargetCases) else cases.classes
    held = cases.sets[method][np.arange(len(cases)), truth]
    return mean_of(held.astype(np.float64))


def set_size(cases: AnyCases, method: str) -> Weighted:
    """Mean number of classes in a case's set."""
    return mean_of(cases.sets[method].sum(axis=1).astype(np.float64))


def _of_method(method: str) -> tuple[Metric, ...]:
    words, reference, binary = METHODS[method]
    return (
        Metric(
            name=f"coverage_{method}",
            share="case",
            title=f"Coverage of {words}",
            better="neither",
            low=0,
            high=1,
            needs="case",
            formula=f"share of cases whose set has the truth; goal {SET_COVERAGE:.0%}, fit on tune",
            reference=reference,
            conformal=method,
            of_target=(lambda c, _p: coverage(c, method)) if binary else None,
            of_classes=lambda c: coverage(c, method),
        ),
        Metric(
            name=f"set_size_{method}",
            title=f"Set size of {words}",
            better="lower",
            low=0,
            high=np.inf,
            needs="case",
            formula="mean number of classes in a case's set",
            reference=reference,
            conformal=method,
            of_target=(lambda c, _p: set_size(c, method)) if binary else None,
            of_classes=lambda c: set_size(c, method),
        ),
    )


def _of_spread(name: str) -> Metric:
    title, formula, reference, high = SPREADS[name]
    return Metric(
        name=name,
        title=title,
        better="neither",
        low=0,
        high=high,
        needs="case",
        formula=f"mean of: {formula}",
        reference=reference,
        spread=name,
        of_target=lambda c, _p: mean_of(c.spread[name]),
        of_classes=lambda c: mean_of(c.spread[name]),
    )


ENTRIES = (
    *(metric for method in METHODS for metric in _of_method(method)),
    *(_of_spread(name) for name in SPREADS),
)
