"""Cases drawn by Hypothesis: tiny samples, many ties, every metric bound the same way."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from medtransfer.metrics.cases import AnyCases, ClassCases, Labels, TargetCases
from medtransfer.metrics.catalog import CATALOG, find_metric, result_names
from medtransfer.metrics.decisions import is_risk
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates

LAW = settings(max_examples=25, deadline=None, derandomize=True)
LIMITS = {"sens90": 0.6, "spec80": 0.7, "youden": 0.4, "recall30": 0.65}
"""Operating points and the thresholds that drawn cases carry."""
POINT = "sens90"
RISKS = ("risk20", "risk60")
"""Decision thresholds that metrics are taken at."""
MISS_COST = 4.0
COSTS = np.array([[0.0, 1, 1, 1], [5, 0, 1, 1], [1, 1, 0, 2], [20, 1, 1, 0]])
"""Of true class by class called."""
BOUND = [
    (name, kind)
    for name, metric in CATALOG.items()
    for kind, bind in (("target", metric.of_target), ("classes", metric.of_classes))
    if bind is not None
]
"""Every metric with every kind of cases it takes."""
KINDS = ("target", "classes")

_target = st.tuples(st.integers(0, 1), st.integers(-12, 12))
_classes = st.tuples(st.integers(0, 3), st.tuples(*[st.integers(-8, 8)] * 4))


def target_cases(truth: Labels, logits: Floats) -> TargetCases:
    """Cases of a binary target with every calibrator and operating point, sets, an ensemble."""
    p = expit(logits)
    maps = {
        "temperature": expit(logits / 1.7),
        "platt": expit(0.8 * logits - 0.2),
        "beta": expit(0.9 * logits + 0.1),
        "isotonic": np.round(p, 1),
    }
    sets = np.stack([p <= 0.7, p >= 0.3], axis=1)
    return TargetCases(
        truth,
        logits,
        p,
        calibrated=maps,
        predicted_positive={point: p >= limit for point, limit in LIMITS.items()},
        thresholds=LIMITS,
        sets=dict.fromkeys(("split", "class", "group", "shifted"), sets),
        spread=_spread(logits),
        prevalence=0.3,
        miss_cost=MISS_COST,
    )


def class_cases(classes: Labels, logits: Floats) -> ClassCases:
    """Cases of a single-label task with both calibrators, sets and an ensemble."""
    p = softmax(logits, axis=1)
    return ClassCases(
        classes,
        logits,
        p,
        calibrated={
            "temperature": softmax(logits / 1.7, axis=1),
            "vector": softmax(logits * np.array([1.0, 0.8, 1.2, 0.9]) + 0.1, axis=1),
        },
        sets=dict.fromkeys(("split", "class", "group", "shifted", "aps", "raps"), p >= 0.2),
        spread=_spread(logits[:, 0]),
        grades=np.array([0, 2, 1, 3]),
        costs=COSTS,
    )


def _spread(logits: Floats) -> dict[str, Floats]:
    return {
        name: np.round(expit(-np.abs(logits)) / scale, 2)
        for name, scale in (("disagreement", 1), ("mutual_information", 2), ("diversity", 4))
    }


def drawn_targets(least: int = 2) -> st.SearchStrategy[TargetCases]:
    """Cases of a binary target, logits in quarters, at least one of each class."""
    both = st.tuples(st.lists(_target, min_size=least - 2, max_size=20), _target, _target)
    return both.map(
        lambda d: target_cases(
            np.array([1, 0, *(y for y, _ in d[0])]),
            np.array([d[1][1], d[2][1], *(x for _, x in d[0])]) / 4,
        )
    )


def drawn_classes() -> st.SearchStrategy[ClassCases]:
    """Cases of a single-label task with four classes, logits in halves."""
    return st.lists(_classes, min_size=1, max_size=20).map(
        lambda d: class_cases(np.array([c for c, _ in d]), np.array([x for _, x in d]) / 2)
    )


def drawn(kind: str) -> st.SearchStrategy[AnyCases]:
    """Cases of a kind of `BOUND`."""
    return drawn_targets() if kind == "target" else drawn_classes()


def weights_of(count: int) -> st.SearchStrategy[Floats]:
    """How often each case counts: 0 to 3 times. [n]"""
    some = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    return some.map(lambda drawn: np.array(drawn, dtype=np.float64))


def names_of(cases: AnyCases) -> list[str]:
    """Every metric that takes such cases, at every operating point that it is taken at."""
    return [
        name
        for metric in CATALOG.values()
        if (metric.of_target if isinstance(cases, TargetCases) else metric.of_classes)
        for name, _ in result_names(metric, tuple(LIMITS), RISKS)
    ]


def bound(name: str, cases: AnyCases) -> Weighted:
    """A metric bound to cases, by its name in the results or in the catalogue (then at sens90)."""
    metric = find_metric(name)
    if isinstance(cases, TargetCases):
        assert metric.of_target is not None
        point = name.partition("@")[2]
        known = (
            point if point in LIMITS or is_risk(point) else RISKS[0] if metric.at_risk else POINT
        )
        return metric.of_target(cases, known)
    assert metric.of_classes is not None
    return metric.of_classes(cases)


def every_value(cases: AnyCases, weights: Floats | None = None) -> dict[str, Floats]:
    """All metrics of some cases by name, for each row of weights; plain by default. [R, n]"""
    names, count = names_of(cases), len(cases)
    if weights is None:
        weights = np.ones((1, count))
    part = SubgroupMetrics(
        np.arange(count, dtype=np.int32), tuple(bound(name, cases) for name in names)
    )
    counts = np.ascontiguousarray(weights.T)
    return dict(zip(names, evaluate_replicates([part], [counts], threads=1)[0], strict=True))


def truth_of(cases: AnyCases) -> Labels:
    """The target or the class of each case."""
    return cases.targets if isinstance(cases, TargetCases) else cases.classes


def plain(metric: Weighted, count: int) -> float:
    """A bound metric of its cases, each counted once."""
    return float(metric(np.ones((1, count)))[0])


def value(name: str, cases: AnyCases) -> float:
    """A metric of some cases."""
    return plain(bound(name, cases), len(cases))
