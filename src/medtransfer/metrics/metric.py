"""Entry of the catalogue of metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medtransfer.metrics.cases import COST, UNFITTED, AnyCases, ClassCases, TargetCases
from medtransfer.metrics.weighted import Weighted

RequiredClasses = Literal["case", "positive", "negative", "both"]
Better = Literal["higher", "lower", "neither"]
Share = Literal["case", "positive", "negative", "called", "cleared", "ill"]
"""Cases that a share is taken of: all, of a class, predicted positive or negative, or the ill."""
POINT = "@<point>"
"""End of the name of a metric at an operating point."""
RISK = "@<risk>"
"""End of the name of a metric at a decision threshold."""


@dataclass(frozen=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: Name in the results table; ``<point>`` stands for an operating point, ``<risk>`` for
            a decision threshold.
        title: Name in plain words.
        better: ``higher``, ``lower``, or ``neither`` for a descriptive metric.
        low: Smallest possible value.
        high: Largest possible value.
        needs: Cases without which it is undefined.
        formula: Its definition.
        reference: Source of the definition.
        of_target: Binds it to the cases of a binary target, at an operating point if it has one.
        of_classes: Binds it to the cases of a single-label task.
        ranking: True if it depends on the order of the scores alone.
        biased: True if chance alone increases it, so that its interval must correct for that.
        of_squares: True if it is a sum of squares, so that the contribution of chance is additive.
        calibrator: Calibrator of the probabilities; none by default.
        conformal: Conformal method of the sets.
        spread: Measure of an ensemble's disagreement.
        adjusted: True if it is computed at the prevalence of the tuning split.
        costs: True if it needs the cost of a missed positive, or the costs of all answers.
        ordinal: True if it needs the order of the classes.
        one_against_rest: True if it is also reported for each class of a single-label task.
        micro: True if it is also reported for all targets pooled.
        by_group: True if it is also reported for every group.
        partial: True if it can be undefined for other reasons too, which its formula states.
        share: Cases that it is a plain share of; None if it is no share.
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
    costs: bool = False
    ordinal: bool = False
    one_against_rest: bool = False
    micro: bool = False
    by_group: bool = True
    partial: bool = False
    share: Share | None = None

    @property
    def at_point(self) -> bool:
        """True if it is computed at an operating point."""
        return self.name.endswith(POINT)

    @property
    def at_risk(self) -> bool:
        """True if it is computed at a decision threshold."""
        return self.name.endswith(RISK)

    @property
    def span(self) -> float:
        """Largest possible difference of two of its values; infinite where there is none."""
        return self.high - self.low

    def undefined(self, positives: int, negatives: int) -> str | None:
        """Reason that it is undefined for some numbers of cases; None if it is defined."""
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
        """Reason that a fit or a setting that it needs is missing; None if all are there."""
        unfitted = cases.missing.get(UNFITTED, "tune lacks a class")
        why = cases.missing.get(self.calibrator or "", unfitted)
        no_sets = cases.missing.get(self.conformal or "", unfitted)
        missing = {
            f"no {self.calibrator} calibration: {why}": self.calibrator is not None
            and self.calibrator not in cases.calibrated,
            f"no {self.conformal} sets: {no_sets}": self.conformal is not None
            and self.conformal not in cases.sets,
            "no ensemble: one member": self.spread is not None and self.spread not in cases.spread,
        }
        if isinstance(cases, TargetCases):
            missing |= {
                cases.missing.get(point or "", f"no threshold: {unfitted}"): self.at_point
                and point not in cases.predicted_positive,
                f"no prevalence to adjust to: {unfitted}": self.adjusted
                and cases.prevalence is None,
                cases.missing.get(
                    COST, "no cost of a missed positive: evaluation.miss_cost is not set"
                ): self.costs and cases.miss_cost is None,
            }
        else:
            missing |= {
                "no order of the classes: evaluation.grades is not set": self.ordinal
                and cases.grades is None,
                "no costs of classes: evaluation.miss_cost does not state them": self.costs
                and cases.costs is None,
            }
        return next((reason for reason, applies in missing.items() if applies), None)
