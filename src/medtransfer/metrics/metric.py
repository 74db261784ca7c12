"""What an entry of the catalogue states of a metric."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medtransfer.metrics.cases import AnyCases, ClassCases, TargetCases
from medtransfer.metrics.weighted import Weighted

RequiredClasses = Literal["case", "positive", "negative", "both"]
Better = Literal["higher", "lower", "neither"]
POINT = "@<point>"


@dataclass(frozen=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: In the results table; ``<point>`` stands for an operating point.
        title: In words.
        better: ``higher``, ``lower``, or ``neither`` for what describes and does not judge.
        low: Least possible value.
        high: Largest possible value.
        needs: Which cases it is undefined without.
        formula: Its definition.
        reference: Where that comes from.
        of_target: Binds it to the cases of a binary target, at an operating point if it has one.
        of_classes: Binds it to the cases of a single-label task.
        ranking: Whether it depends on the order of the scores alone.
        biased: Whether chance alone pushes it up, so that its interval must take that out.
        of_squares: Whether it is a sum of squares already, so that what chance adds to it adds up.
        calibrator: Whose probabilities it is taken of; the network's own by default.
        conformal: Method whose sets it is taken of.
        spread: Measure of an ensemble's disagreement that it is taken of.
        adjusted: Whether it is taken at the prevalence of the tuning split.
        one_against_rest: Whether it is also reported for each class of a single-label task.
        micro: Whether it is also reported for all targets pooled.
        by_group: Whether it is also reported for every group.
        partial: Whether it can be undefined for other reasons too, which its formula states.
    """

    name: str
    title: str
    better: Better
    low: float
    high: float
    needs: RequiredClasses
    formula: str
    reference: str
    of_target: Callable[[TargetCases, str], Weighted] | None = None
    of_classes: Callable[[ClassCases], Weighted] | None = None
    ranking: bool = False
    biased: bool = False
    of_squares: bool = False
    calibrator: str | None = None
    conformal: str | None = None
    spread: str | None = None
    adjusted: bool = False
    one_against_rest: bool = False
    micro: bool = False
    by_group: bool = True
    partial: bool = False

    @property
    def at_point(self) -> bool:
        """Whether it is taken at an operating point."""
        return self.name.endswith(POINT)

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

    def lacking(self, cases: AnyCases, point: str | None = None) -> str | None:
        """What it needs of the tuning split that is not there, or None."""
        if self.calibrator is not None and self.calibrator not in cases.calibrated:
            why = cases.missing.get(self.calibrator, "tune lacks a class")
            return f"no {self.calibrator} calibration: {why}"
        if self.conformal is not None and self.conformal not in cases.sets:
            return f"no {self.conformal} sets: tune lacks a class"
        if self.spread is not None and self.spread not in cases.spread:
            return "no ensemble: one member"
        if isinstance(cases, TargetCases):
            if point is not None and point not in cases.predicted_positive:
                return "no threshold: tune lacks a class"
            if self.adjusted and cases.prevalence is None:
                return "no prevalence to adjust to: tune lacks a class"
        return None
