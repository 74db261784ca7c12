"""Cases with their truth and predictions, as every metric takes them.

What several metrics need (a column of ones, the order of the scores, the decisions at an operating
point) is made once per set of cases and shared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from medtransfer.metrics.kernels.ranking import ranking_sums
from medtransfer.metrics.kernels.sums import Counts, Flags, Floats, Int32Array
from medtransfer.metrics.weighted import Scan, WeightedTerm, run_ends

Labels = NDArray[np.int64]
T = TypeVar("T")
HALF = "half"
"""The decision at probability ½, where no operating point is named."""
HALF_THRESHOLD = 0.5
PER_TARGET = ("thresholds", "prevalence", "from_logits", "healthy", "missing")
"""Fields that say something of all cases alike."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a threshold makes of the cases, as columns to be summed. Each [n]"""

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
    """Makes a thing once, for all who ask for it by the same name."""

    def shared(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gave when the name was first asked for."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class TargetCases(Sharing):
    """Labelled cases of one binary target (of a multi-label or one-against-rest task).

    Attributes:
        targets: 0 or 1. [n]
        logits: What cases are ranked by. [n]
        probabilities: Before any calibration. [n]
        calibrated: Calibrator to probabilities after it. Each [n]
        recalibrated: Calibrator to logits after it, where the loss is taken from them: it stays
            finite where a probability has rounded to 0 or 1. Each [n]
        called: Operating point to whether a case is called positive. Each [n]
        limits: Operating point to its threshold on the probability.
        sets: Conformal method to which of (0, 1) are in the case's set. Each [n, 2]
        spread: Measure of an ensemble's disagreement to its value. Each [n]
        prevalence: Share of positives in the tuning split, that other cohorts are adjusted to.
        from_logits: Whether the probabilities are the sigmoid of the logits.
        healthy: Whether the target means "no finding".
        missing: Calibrator that tune does not determine to why.
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

    def __len__(self) -> int:
        """Number of cases, n."""
        return len(self.targets)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "TargetCases":
        """Some of the cases."""
        return _subset(self, rows)

    @cached_property
    def ones(self) -> WeightedTerm:
        """Counts every case."""
        return WeightedTerm(np.ones(len(self)))

    @cached_property
    def positive(self) -> WeightedTerm:
        """Counts the positives."""
        return WeightedTerm((self.targets == 1).astype(np.float64))

    @cached_property
    def negative(self) -> WeightedTerm:
        """Counts the negatives."""
        return WeightedTerm((self.targets == 0).astype(np.float64))

    @cached_property
    def order(self) -> "Order":
        """By falling logit, positives marked."""
        return Order.of(self.logits, self.targets == 1)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the likelier of the two answers. [n]"""
        return np.maximum(self.probabilities, 1 - self.probabilities)

    @cached_property
    def correct(self) -> Flags:
        """Whether the likelier answer is the true one. [n]"""
        return (self.probabilities >= HALF_THRESHOLD) == (self.targets == 1)

    def decisions(self, point: str) -> Decisions:
        """What an operating point makes of the cases.

        Raises:
            KeyError: The operating point was not fixed.
        """
        return self.shared(f"decisions {point}", lambda: self._decide(point))

    def _decide(self, point: str) -> Decisions:
        called = (
            self.probabilities >= HALF_THRESHOLD
            if point == HALF
            else self.predicted_positive[point]
        )
        yes, no = (called & (self.targets == t) for t in (1, 0))
        missed, spared = (~called & (self.targets == t) for t in (1, 0))
        columns = (WeightedTerm(part.astype(np.float64)) for part in (yes, no, missed, spared))
        return Decisions(*columns)


@dataclass(frozen=True, eq=False)
class ClassCases(Sharing):
    """Cases of a single-label task whose class is known.

    Attributes:
        classes: Number of the true class. [n]
        logits: [n, C]
        probabilities: Before any calibration. [n, C]
        calibrated: Calibrator to probabilities after it. Each [n, C]
        recalibrated: Calibrator to logits after it, likewise. Each [n, C]
        sets: Conformal method to which classes are in the case's set. Each [n, C]
        spread: Measure of an ensemble's disagreement to its value. Each [n]
        missing: Calibrator that tune does not determine to why.
    """

    classes: Labels
    logits: Floats
    probabilities: Floats
    calibrated: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    recalibrated: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    sets: Mapping[str, Flags] = field(default_factory=dict[str, Flags])
    spread: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    missing: Mapping[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        """Number of cases, n."""
        return len(self.classes)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "ClassCases":
        """Some of the cases."""
        return _subset(self, rows)

    @cached_property
    def ones(self) -> WeightedTerm:
        """Counts every case."""
        return WeightedTerm(np.ones(len(self)))

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the likeliest class. [n]"""
        return self.probabilities.max(axis=1)

    @cached_property
    def correct(self) -> Flags:
        """Whether the likeliest class is the true one. [n]"""
        return self.probabilities.argmax(axis=1) == self.classes


AnyCases = TargetCases | ClassCases
Cases = TypeVar("Cases", TargetCases, ClassCases)


@dataclass(frozen=True, eq=False)
class Order:
    """Cases by falling score, as the ranking kernels take them.

    Attributes:
        cases: The cases in that order. [n]
        positive: Whether each of them is positive. [n]
        last: Whether it ends its run of equal scores. [n]
    """

    cases: NDArray[np.int64]
    positive: Flags
    last: Flags

    @classmethod
    def of(cls, scores: Floats, positive: Flags) -> "Order":
        """Order cases by falling score. [n], [n]"""
        order = np.argsort(-scores, kind="stable")
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


def pooled(targets: Sequence[TargetCases]) -> TargetCases:
    """The cases of several targets as if they were of one, for micro averages."""
    shared = set(targets[0].predicted_positive).intersection(
        *(part.predicted_positive for part in targets)
    )
    return TargetCases(
        np.concatenate([part.targets for part in targets]),
        np.concatenate([part.logits for part in targets]),
        np.concatenate([part.probabilities for part in targets]),
        predicted_positive={
            p: np.concatenate([part.predicted_positive[p] for part in targets])
            for p in sorted(shared)
        },
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
