"""Choice of an arm by cross-validation within the cases that it is fitted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, log_softmax

from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.arms import MIN_ISOTONIC, Arm, ArmFit, LocalCases, fit_arm
from medtransfer.posthoc.adaptation.folds import patient_folds

SIMPLEST_FIRST: tuple[Arm, ...] = (
    "carried",
    "prevalence",
    "intercept",
    "temperature",
    "platt",
    "isotonic",
)
"""Arms that change probabilities, by the numbers that they fit; `carried` changes none."""


def select_arm(
    cases: LocalCases,
    home: Floats | None,
    arms: Sequence[Arm],
    *,
    seed: int,
    min_isotonic: int = MIN_ISOTONIC,
) -> ArmFit:
    """Fit the simplest arm that is about as good as the best one in a cross-validation.

    Whole patients are left out in turn. An arm is about as good if its log loss is at most one
    standard error of the difference above the smallest (Breiman et al. 1984, by patient): with few
    cases the smallest loss alone picks arms that fit chance. `threshold` changes no probability and
    takes no part. An arm that lacks a class in a fold predicts as carried there.

    Args:
        cases: Cases of another hospital.
        home: As for `fit_arm`.
        arms: The arms to choose from.
        seed: Of the folds.
        min_isotonic: As for `fit_arm`; of all cases, not of each fold.
    """
    candidates: list[Arm] = [arm for arm in SIMPLEST_FIRST if arm in arms or arm == "carried"]
    fits = {arm: fit_arm(arm, cases, home, min_isotonic=min_isotonic) for arm in candidates}
    fitted: list[Arm] = [arm for arm in candidates if fits[arm].reason is None]
    folds = patient_folds(cases, seed)
    if len(fitted) == 1 or not cases.labelled.any() or folds.max(initial=0) == 0:
        return fits["carried"]
    losses = np.stack([_held_out_losses(arm, cases, home, folds) for arm in fitted])
    best = losses[int(np.argmin(losses.mean(axis=1)))]
    patient = np.unique(cases.patients[cases.labelled], return_inverse=True)[1].ravel()
    good_enough = (
        arm
        for arm, excess in zip(fitted, losses - best, strict=True)
        if excess.mean() <= _clustered_error(excess, patient)
    )
    return fits[next(good_enough)]  # the best arm at the latest: its excess is 0


def _held_out_losses(
    arm: Arm, cases: LocalCases, home: Floats | None, folds: NDArray[np.int64]
) -> Floats:
    """Log loss of each labelled case under a fit without its patient. [labelled]"""
    losses = np.zeros(len(cases))
    for fold in range(int(folds.max()) + 1):
        inside = (folds == fold) & cases.labelled
        fit = fit_arm(arm, cases.take(folds != fold), home, min_isotonic=1)
        losses[inside] = log_losses(cases.take(inside), fit)
    return losses[cases.labelled]


def _clustered_error(values: Floats, patient: NDArray[np.int64]) -> float:
    """Standard error of a mean over cases, with patients as clusters. [n], [n]"""
    totals = np.bincount(patient, weights=values - values.mean())
    number = len(totals)
    if number < 2:
        return 0.0
    return float(np.sqrt(number / (number - 1) * (totals**2).sum())) / len(values)


def log_losses(cases: LocalCases, fit: ArmFit) -> Floats:
    """Negative log-likelihood of labelled cases under an arm. [n]"""
    logits = fit.calibrator.logits(cases.logits)
    if cases.is_binary:
        return -np.asarray(log_expit(np.where(cases.targets == 1, logits, -logits)))
    logs = np.asarray(log_softmax(logits, axis=1))
    return -logs[np.arange(len(cases)), cases.targets]
