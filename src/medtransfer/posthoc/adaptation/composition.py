"""One calibrator for two in a row: that of the home hospital, then that of an arm."""

import numpy as np

from medtransfer.posthoc.calibrators import Calibrator, Isotonic, Platt, Temperature, Vector


def composed(first: Calibrator, second: Calibrator) -> Calibrator:
    """Calibrator of raw logits that applies one calibrator and then another.

    Args:
        first: `Platt` of positive slope or `Temperature`; of classes `Vector` or `Temperature`.
        second: Fitted on the logits that the first one gives.

    Raises:
        ValueError: The two have no common form.
    """
    if isinstance(first, Vector) or isinstance(second, Vector):
        inner, outer = _as_vector(first, second), _as_vector(second, first)
        intercepts = outer.slopes * inner.intercepts + outer.intercepts
        return Vector(outer.slopes * inner.slopes, intercepts - intercepts.mean())
    if isinstance(first, Temperature) and isinstance(second, Temperature):
        return Temperature(first.temperature * second.temperature)
    line = _as_line(first)
    if isinstance(second, Isotonic):
        if line.slope <= 0:
            raise ValueError("an isotonic regression after a falling line does not rise")
        return Isotonic((second.knots - line.intercept) / line.slope, second.levels)
    other = _as_line(second)
    return Platt(other.slope * line.slope, other.slope * line.intercept + other.intercept)


def _as_line(calibrator: Calibrator) -> Platt:
    match calibrator:
        case Platt():
            return calibrator
        case Temperature():
            return Platt(1 / calibrator.temperature, 0.0)
        case _:
            raise ValueError(f"{type(calibrator).__name__} is no line in the logit")


def _as_vector(calibrator: Calibrator, other: Calibrator) -> Vector:
    if isinstance(calibrator, Vector):
        return calibrator
    if isinstance(calibrator, Temperature) and isinstance(other, Vector):
        number = len(other.slopes)
        return Vector(np.full(number, 1 / calibrator.temperature), np.zeros(number))
    raise ValueError(f"{type(calibrator).__name__} is not for classes")
