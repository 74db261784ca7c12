"""Agreement of predicted and true class: correlation and kappa, and errors in grades.

Grades are the places of the classes in their order, as of retinopathy or BI-RADS. A case is
predicted the class of its largest probability.
"""

from collections.abc import Callable

import numpy as np

from medtransfer.metrics.cases import ClassCases
from medtransfer.metrics.kernels.sums import Counts, Floats, Int32Array, binned_sums
from medtransfer.metrics.metric import Better, Metric, Share
from medtransfer.metrics.weighted import Scan, Weighted, mean_of, of_rows, ratio


def confusion(cases: ClassCases) -> Scan:
    """Weight of each pair of true and predicted class. [C·C, W], true class by true class"""
    count = cases.probabilities.shape[1]
    cell = (cases.classes * count + cases.probabilities.argmax(axis=1)).astype(np.int32)
    once = np.ones((len(cell), 1))

    def run(patient: Int32Array, counts: Counts) -> Floats:
        return binned_sums(patient, cell, once, count * count, counts)[0]

    return cases.shared("confusion", lambda: Scan(run))


def kappa(cases: ClassCases, disagreement: Floats) -> Weighted:
    """Kappa: 1 minus the disagreement seen over that expected by chance (Cohen 1968).

    Undefined if truth and prediction are the same one class for all cases.

    Args:
        cases: Of a single-label task.
        disagreement: Of each true with each predicted class, 0 on the diagonal. [C, C]
    """
    count = len(disagreement)

    def of(rows: Floats) -> Floats:
        pairs = rows.reshape(count, count, -1)
        seen = np.einsum("tp,tpw->w", disagreement, pairs)
        chance = np.einsum("tp,tw,pw->w", disagreement, pairs.sum(axis=1), pairs.sum(axis=0))
        return 1 - ratio(seen * pairs.sum(axis=(0, 1)), chance)

    return of_rows(confusion(cases), of)


def class_correlation(cases: ClassCases) -> Weighted:
    """Matthews correlation of several classes, R_K (Gorodkin 2004).

    Undefined if truth or prediction is one class for all cases.
    """
    count = cases.probabilities.shape[1]

    def of(rows: Floats) -> Floats:
        pairs = rows.reshape(count, count, -1)
        total, correct = pairs.sum(axis=(0, 1)), np.einsum("ccw->w", pairs)
        true, predicted = pairs.sum(axis=1), pairs.sum(axis=0)
        covariance = correct * total - (true * predicted).sum(axis=0)
        spreads = [total**2 - (margin**2).sum(axis=0) for margin in (true, predicted)]
        return ratio(covariance, np.sqrt(np.maximum(0.0, spreads[0] * spreads[1])))

    return of_rows(confusion(cases), of)


def grades_of(cases: ClassCases) -> Floats:
    """Grade of each class. [C]

    Raises:
        ValueError: The classes have no order.
    """
    if cases.grades is None:
        raise ValueError("an ordinal metric needs the order of the classes")
    return cases.grades.astype(np.float64)


def grade_errors(cases: ClassCases) -> Floats:
    """Predicted minus true grade of each case. [n]"""
    grades = grades_of(cases)
    return grades[cases.probabilities.argmax(axis=1)] - grades[cases.classes]


def ranked_probability_loss(cases: ClassCases) -> Weighted:
    """Mean squared distance of the cumulative probabilities from the truth (Epstein 1969).

    Summed over the cuts between neighbouring grades and divided by their number: the mean Brier
    score of "at least this grade".
    """
    order = np.argsort(grades_of(cases))
    truth = np.eye(len(order))[cases.classes]
    excess = np.cumsum((cases.probabilities - truth)[:, order], axis=1)[:, :-1]
    return mean_of((excess**2).mean(axis=1))


def _distances(cases: ClassCases, power: int) -> Floats:
    grades = grades_of(cases)
    return np.abs(grades[:, None] - grades[None, :]) ** power


def _of_grades(
    name: str,
    title: str,
    formula: str,
    reference: str,
    bind: Callable[[ClassCases], Weighted],
    *,
    better: Better = "lower",
    limits: tuple[float, float] = (0, 1),
    share: Share | None = None,
    partial: bool = False,
) -> Metric:
    return Metric(
        name=name,
        title=title,
        better=better,
        low=limits[0],
        high=limits[1],
        needs="case",
        formula=formula,
        reference=reference,
        ordinal=True,
        share=share,
        partial=partial,
        of_classes=bind,
    )


_UNDEFINED = "undefined if truth and prediction are the same one class for all cases"

ENTRIES = (
    Metric(
        name="mcc",
        title="Matthews correlation, classes",
        better="higher",
        low=-1,
        high=1,
        needs="case",
        formula="correlation R_K of true and most probable class; undefined if either is one class "
        "for all cases",
        reference="Gorodkin 2004",
        partial=True,
        of_classes=class_correlation,
    ),
    Metric(
        name="kappa",
        title="Kappa",
        better="higher",
        low=-np.inf,
        high=1,
        needs="case",
        formula=f"1 − share of wrong answers / share expected by chance; {_UNDEFINED}",
        reference="Cohen 1960",
        partial=True,
        of_classes=lambda c: kappa(c, 1 - np.eye(c.probabilities.shape[1])),
    ),
    _of_grades(
        name="kappa_linear",
        title="Kappa, linear weights",
        formula=f"as kappa, a wrong answer counted by its distance in grades; {_UNDEFINED}",
        reference="Cohen 1968",
        better="higher",
        limits=(-np.inf, 1),
        partial=True,
        bind=lambda c: kappa(c, _distances(c, 1)),
    ),
    _of_grades(
        name="kappa_quadratic",
        title="Kappa, quadratic weights",
        formula=f"as kappa, a wrong answer counted by its squared distance in grades; {_UNDEFINED}",
        reference="Cohen 1968",
        better="higher",
        limits=(-np.inf, 1),
        partial=True,
        bind=lambda c: kappa(c, _distances(c, 2)),
    ),
    _of_grades(
        name="grade_error",
        title="Error in grades",
        formula="mean distance of predicted and true grade",
        reference="Gaudette and Japkowicz 2009",
        limits=(0, np.inf),
        bind=lambda c: mean_of(np.abs(grade_errors(c))),
    ),
    _of_grades(
        name="within_one_grade",
        title="Within one grade",
        formula="share of cases with a predicted grade at most one from the true grade",
        reference="Gaudette and Japkowicz 2009",
        better="higher",
        share="case",
        bind=lambda c: mean_of((np.abs(grade_errors(c)) <= 1).astype(np.float64)),
    ),
    _of_grades(
        name="ranked_probability_loss",
        title="Ranked probability loss",
        formula="mean over the cuts between grades of (P(grade above) − [grade above])²",
        reference="Epstein 1969",
        bind=ranked_probability_loss,
    ),
)
