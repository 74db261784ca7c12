"""Cases with their truth and predictions, as every metric takes them.

Anything that several metrics need (a column of ones, the order of the scores, the decisions at an
operating point) is computed once per set of cases and shared.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.ranking import ranking_sums
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array
from medtransfer.metrics.weighted import Scan, WeightedTerm, run_ends

Labels = NDArray[np.int64] | NDArray[np.int8]
T = TypeVar("T")
HALF = "half"
"""Name of the decision at probability ½, for metrics without an operating point."""
HALF_THRESHOLD = 0.5
BUDGET = "recall"
"""Start of the name of an operating point that calls a share of the cases."""
COST = "cost"
"""Name of the reason that a target has no cost of a miss."""
UNFITTED = "tune"
"""Name of the reason that the tuning split determines nothing."""
PER_TARGET = (
    "thresholds",
    "prevalence",
    "from_logits",
    "healthy",
    "missing",
    "miss_cost",
    "grades",
    "costs",
)
"""Fields with one value for all cases."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """Confusion matrix of a threshold, as columns to be summed. Each [n]"""

    true_positive: WeightedTerm
    false_positive: WeightedTerm
    false_negative: WeightedTerm
    true_negative: WeightedTerm

    @property
    def four(self) -> tuple[WeightedTerm, WeightedTerm, WeightedTerm, WeightedTerm]:
        """All of them, in the order of the fields."""
        return (
            self.true_positive,
            self.false_positive,
            self.false_negative,
            self.true_negative,
        )


class Sharing:
    """Cache of objects that several metrics share, by name."""

    def shared(self, name: str, make: Callable[[], T]) -> T:
        """The object of a name; `make` is called for the first request only."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @cached_property
    def _made(self) -> dict[str, Any]:  # objects of any type, by the names their users choose
        return {}


@dataclass(frozen=True, eq=False)
class TargetCases(Sharing):
    """Labelled cases of one binary target (also of a multi-label or one-against-rest task).

    Attributes:
        targets: 0 or 1. [n]
        logits: Scores that cases are ranked by. [n]
        probabilities: Before any calibration. [n]
        calibrated: Calibrator to probabilities after it. Each [n]
        recalibrated: Calibrator to logits after it, if the loss is computed from them: it stays
            finite when a probability has rounded to 0 or 1. Each [n]
        predicted_positive: Operating point to True for cases predicted positive. Each [n]
        thresholds: Operating point to its threshold on the probability.
        sets: Conformal method to True for members of the case's set. Each [n, 2]
        spread: Measure of an ensemble's disagreement to its value. Each [n]
        prevalence: Share of positives in the tuning split, which other cohorts are adjusted to.
        from_logits: True if the probabilities are the sigmoid of the logits.
        healthy: True if the target means "no finding".
        missing: Calibrator that tune does not determine, `UNFITTED` or `COST`, to the reason.
        miss_cost: Cost of a missed positive, in false alarms.
    """

    targets: Labels
    logits: Floats
    probabilities: Floats
    calibrated: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    recalibrated: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    predicted_positive: Mapping[str, Flags] = field(default_factory=dict[str, Flags])
    thresholds: Mapping[str, float] = field(default_factory=dict[str, float])
    sets: Mapping[str, Flags] = field(default_factory=dict[str, Flags])
    spread: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    prevalence: float | None = None
    from_logits: bool = True
    healthy: bool = False
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    miss_cost: float | None = None

    def __len__(self) -> int:
        """Number of cases, n."""
        return len(self.targets)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "TargetCases":
        """Some of the cases."""
        return _subset(self, rows)

    @cached_property
    def ones(self) -> WeightedTerm:
        """1 for every case."""
        return WeightedTerm(np.ones(len(self), dtype=np.bool_))

    @cached_property
    def positive(self) -> WeightedTerm:
        """1 for the positives."""
        return WeightedTerm(self.targets == 1)

    @cached_property
    def negative(self) -> WeightedTerm:
        """1 for the negatives."""
        return WeightedTerm(self.targets == 0)

    @cached_property
    def order(self) -> "Order":
        """Cases by falling logit, positives marked."""
        return Order.of(self.logits, self.targets == 1)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the more likely of the two answers. [n]"""
        return np.maximum(self.probabilities, 1 - self.probabilities)

    @cached_property
    def correct(self) -> Flags:
        """True for cases whose more likely answer is correct. [n]"""
        return (self.probabilities >= HALF_THRESHOLD) == (self.targets == 1)

    def decisions(self, point: str) -> Decisions:
        """Confusion matrix at an operating point.

        Raises:
            KeyError: The operating point has no threshold.
        """
        return self.shared(f"decisions {point}", lambda: self._decide(point))

    def _decide(self, point: str) -> Decisions:
        predicted_positive = (
            self.probabilities >= HALF_THRESHOLD
            if point == HALF
            else self.predicted_positive[point]
        )
        tp, fp = (predicted_positive & (self.targets == t) for t in (1, 0))
        fn, tn = (~predicted_positive & (self.targets == t) for t in (1, 0))
        columns = (WeightedTerm(part) for part in (tp, fp, fn, tn))
        return Decisions(*columns)


@dataclass(frozen=True, eq=False)
class ClassCases(Sharing):
    """Cases of a single-label task with a known class.

    Attributes:
        classes: Number of the true class. [n]
        logits: [n, C]
        probabilities: Before any calibration. [n, C]
        calibrated: Calibrator to probabilities after it. Each [n, C]
        recalibrated: Calibrator to logits after it, likewise. Each [n, C]
        sets: Conformal method to True for classes in the case's set. Each [n, C]
        spread: Measure of an ensemble's disagreement to its value. Each [n]
        missing: Calibrator that tune does not determine, or `UNFITTED`, to the reason.
        grades: Grade of each class if the classes have an order: 0 for the lowest. [C]
        costs: Cost of each answer to a case of each class, true class by class called. [C, C]
    """

    classes: Labels
    logits: Floats
    probabilities: Floats
    calibrated: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    recalibrated: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    sets: Mapping[str, Flags] = field(default_factory=dict[str, Flags])
    spread: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    grades: Labels | None = None
    costs: Floats | None = None

    def __len__(self) -> int:
        """Number of cases, n."""
        return len(self.classes)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "ClassCases":
        """Some of the cases."""
        return _subset(self, rows)

    @cached_property
    def ones(self) -> WeightedTerm:
        """1 for every case."""
        return WeightedTerm(np.ones(len(self), dtype=np.bool_))

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the most likely class. [n]"""
        return self.probabilities.max(axis=1)

    @cached_property
    def correct(self) -> Flags:
        """True for cases whose most likely class is correct. [n]"""
        return self.probabilities.argmax(axis=1) == self.classes


AnyCases = TargetCases | ClassCases
Cases = TypeVar("Cases", TargetCases, ClassCases)


@dataclass(frozen=True, eq=False)
class Order:
    """Cases by falling score, as the ranking kernels take them.

    Attributes:
        cases: The cases in that order. [n]
        positive: True for positives. [n]
        last: True for cases that end a run of equal scores. [n]
    """

    cases: Int32Array
    positive: Flags
    last: Flags

    @classmethod
    def of(cls, scores: Floats, positive: Flags) -> "Order":
        """Order cases by falling score. [n], [n]"""
        order = np.argsort(-scores, kind="stable").astype(np.int32)
        return cls(order, positive[order], run_ends(scores[order]))

    def patients(self, patient: Int32Array) -> Int32Array:
        """The patients of the cases in this order. [n]"""
        return patient[self.cases]

    @cached_property
    def ranking(self) -> Scan:
        """One pass for AUROC and average precision; rows as `ranking_sums` gives them."""

        def run(patient: Int32Array, counts: Counts) -> Floats:
            return ranking_sums(self.patients(patient), self.positive, self.last, counts)

        return Scan(run)


def pooled(targets: Iterable[TargetCases], size: int) -> TargetCases:
    """Cases of several targets as if they were one target, for micro averages.

    Args:
        targets: Taken one after the other, so that no two of them need be held at once.
        size: Cases of all targets together.
    """
    truth, logits, probabilities = np.empty(size, dtype=np.int8), np.empty(size), np.empty(size)
    called: dict[str, Flags] | None = None
    unfitted: dict[str, str] = {}
    start = 0
    for part in targets:
        rows = slice(start, start + len(part))
        truth[rows], logits[rows] = part.targets, part.logits
        probabilities[rows] = part.probabilities
        if called is None:
            points = sorted(part.predicted_positive)
            called = {point: np.empty(size, dtype=np.bool_) for point in points}
        called = {p: flags for p, flags in called.items() if p in part.predicted_positive}
        for point, flags in called.items():
            flags[rows] = part.predicted_positive[point]
        unfitted = unfitted or {k: why for k, why in part.missing.items() if k == UNFITTED}
        start = rows.stop
    return TargetCases(
        truth, logits, probabilities, predicted_positive=called or {}, missing=unfitted
    )


def _subset(cases: Cases, rows: NDArray[Any]) -> Cases:
    values = {part.name: getattr(cases, part.name) for part in fields(cases)}
    return type(cases)(
        **{name: v if name in PER_TARGET else _rows(v, rows) for name, v in values.items()}
    )


def _rows(value: Any, rows: NDArray[Any]) -> Any:
    """Rows of an array, or of every array of a mapping."""
    if isinstance(value, Mapping):
        return {name: array[rows] for name, array in cast("dict[str, Any]", value).items()}
    return value[rows]
