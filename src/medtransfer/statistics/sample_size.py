"""Sample size: cases that a precision or a difference needs, and what a sample can detect.

The criteria of Riley et al. 2021 for the validation of a model with a binary outcome (Statistics
in Medicine 40:4230), for independent cases. With several cases of a patient they are multiplied by
the design effect.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, nctdtrinc, ndtri, stdtrit

from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import LEVEL
from medtransfer.statistics.contrasts import ENDLESS
from medtransfer.statistics.small_samples import NORMAL_QUANTILE as Z

POWER = 0.8
"""Share of studies that show a difference of the size asked for."""
MAX_CASES = 10**9
"""Largest number of cases that is searched."""
NODES = 20_001
"""Quantiles that stand for a distribution of logits."""


def observed_expected_cases(prevalence: float, half_width: float) -> int:
    """Cases for a 95 % interval of observed over expected positives of a width around 1.

    Riley 2021, equation 5: ``(1 - φ) / (φ se²)``, with the standard error of its logarithm from
    ``exp(1.96 se) - exp(-1.96 se) = 2 half_width``.

    Args:
        prevalence: Share of positives, φ.
        half_width: Half of the width of the interval.
    """
    error = float(np.arcsinh(half_width)) / Z
    return _up((1 - prevalence) / (prevalence * error**2))


def slope_cases(
    logits: Floats, half_width: float, intercept: float = 0.0, slope: float = 1.0
) -> int:
    """Cases for a 95 % interval of the calibration slope of a half width.

    Riley 2021, equation 7: from the Fisher information of the logistic regression of the outcome
    on the logits.

    Args:
        logits: A sample of the model's logits, or quantiles of their distribution. [n]
        half_width: Half of the width of the interval.
        intercept: True intercept of that regression; 0 for a calibrated model.
        slope: True slope; 1 for a calibrated model.

    Raises:
        ValueError: All logits are equal, so no slope can be estimated.
    """
    p = expit(intercept + slope * logits)
    weights = p * (1 - p)
    first, second = float((weights * logits).mean()), float((weights * logits**2).mean())
    total = float(weights.mean())
    determinant = total * second - first**2
    if determinant <= 0:
        raise ValueError("all logits are equal: a calibration slope cannot be estimated")
    return _up(total / ((half_width / Z) ** 2 * determinant))


def auroc_error(auroc: float, prevalence: float, cases: float) -> float:
    """Standard error of an AUROC: Hanley and McNeil's with ``N = n / 2 - 1`` (Newcombe 2006)."""
    extra = cases / 2 - 1
    spread = 1 + extra * (1 - auroc) / (2 - auroc) + extra * auroc / (1 + auroc)
    return float(np.sqrt(auroc * (1 - auroc) * spread / (prevalence * (1 - prevalence)))) / cases


def auroc_cases(auroc: float, prevalence: float, half_width: float) -> int:
    """Cases for a 95 % interval of the AUROC of a half width (Riley 2021, equation 9)."""
    return _least(lambda n: Z * auroc_error(auroc, prevalence, n) <= half_width)


def proportion_cases(share: float, half_width: float) -> int:
    """Cases for a 95 % Wilson interval of a proportion of a half width.

    For sensitivity they are positives, for specificity negatives. Unlike Wald's formula it needs
    cases for a proportion of 1, too.
    """

    def is_enough(cases: float) -> bool:
        square = Z**2 / cases
        return np.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square) <= half_width

    return _least(is_enough)


def net_benefit_cases(
    sensitivity: float, specificity: float, prevalence: float, threshold: float, half_width: float
) -> int:
    """Cases for a 95 % interval of the standardised net benefit of a half width.

    Riley 2021, equation 12.

    Args:
        sensitivity: At the threshold.
        specificity: At the threshold.
        prevalence: Share of positives.
        threshold: Probability from which a case is called positive.
        half_width: Half of the width of the interval.
    """
    weight = (1 - prevalence) / prevalence * threshold / (1 - threshold)
    variance = (
        sensitivity * (1 - sensitivity) / prevalence
        + weight**2 * specificity * (1 - specificity) / (1 - prevalence)
        + weight**2 * (1 - specificity) ** 2 / (prevalence * (1 - prevalence))
    )
    return _up(variance / (half_width / Z) ** 2)


def difference_cases(
    aurocs: tuple[float, float],
    prevalence: float,
    correlation: float,
    *,
    power: float = POWER,
    comparisons: int = 1,
) -> int:
    """Cases to show the difference between two AUROCs of the same cases.

    Args:
        aurocs: True AUROCs of both networks.
        prevalence: Share of positives.
        correlation: Of the two estimates: 0 for different cases, 1 for equal networks.
        power: Share of studies that show it.
        comparisons: Number of tests that the level of 5 % is shared by (Bonferroni).

    Raises:
        ValueError: The AUROCs are equal.
    """
    if aurocs[0] == aurocs[1]:
        raise ValueError("equal AUROCs: no number of cases shows a difference of 0")
    errors = detectable_difference(1.0, comparisons=comparisons, power=power)
    allowed = abs(aurocs[0] - aurocs[1]) / errors

    def is_enough(cases: float) -> bool:
        first, second = (auroc_error(auroc, prevalence, cases) for auroc in aurocs)
        variance = first**2 + second**2 - 2 * correlation * first * second
        return variance <= allowed**2

    return _least(is_enough)


def scaled_size(
    size: int, error: float, difference: float, *, power: float = POWER, comparisons: int = 1
) -> int:
    """Patients to show a difference, from its standard error in a sample of patients.

    Args:
        size: Patients of the sample.
        error: Standard error of the difference there.
        difference: Difference to show; over 0.
        power: Share of studies that show it.
        comparisons: Number of tests that the level of 5 % is shared by (Bonferroni).
    """
    detectable = detectable_difference(error, comparisons=comparisons, power=power)
    return _up(size * (detectable / difference) ** 2)


def detectable_difference(
    error: float, degrees: float = ENDLESS, *, comparisons: int = 1, power: float = POWER
) -> float:
    """Smallest true difference that a comparison shows with a power.

    Standard errors times the noncentrality at which Student's t exceeds its two-sided quantile
    with that power.

    Args:
        error: Standard error of the difference.
        degrees: Degrees of freedom of Student's t; normal by default.
        comparisons: Number of tests that the level of 5 % is shared by, as Holm's first step.
        power: Probability that such a study shows it.
    """
    quantile = stdtrit(degrees, 1 - (1 - LEVEL) / (2 * comparisons))
    return error * float(nctdtrinc(degrees, 1 - power, quantile))


def detectable_margin(error: float, degrees: float = ENDLESS, *, power: float = POWER) -> float:
    """Smallest margin within which such a comparison shows equal networks equivalent.

    Two one-sided tests at 5 %: with no true difference both are passed with a power if the margin
    is ``(t₀.₉₅ + t₍₁₊power₎/₂) se``.

    Args:
        error: Standard error of the difference.
        degrees: Degrees of freedom of Student's t; normal by default.
        power: Probability that such a study shows it.
    """
    return error * float(stdtrit(degrees, LEVEL) + stdtrit(degrees, (1 + power) / 2))


def expected_logits(auroc: float, prevalence: float) -> Floats:
    """Quantiles of the logits of a calibrated model with an AUROC, if each class is normal.

    Riley 2021, 4.6.3: the classes differ by σ², with ``σ = √2 Φ⁻¹(AUROC)``; a calibrated model
    has the means ``logit(φ) ∓ σ² / 2``. [NODES]

    Raises:
        ValueError: The AUROC is not over ½.
    """
    if not auroc > 0.5:
        raise ValueError(f"an AUROC of {auroc:g} has no calibrated logits (allowed: over 0.5)")
    deviation = float(np.sqrt(2) * ndtri(auroc))
    quantiles = np.asarray(ndtri((np.arange(NODES) + 0.5) / NODES))
    count = NODES - round(NODES * prevalence)
    negatives = np.interp(np.linspace(0, NODES - 1, count), np.arange(NODES), quantiles)
    positives = np.interp(np.linspace(0, NODES - 1, NODES - count), np.arange(NODES), quantiles)
    centre = float(logit(prevalence))
    shift = deviation**2 / 2
    return np.concatenate(
        [centre - shift + deviation * negatives, centre + shift + deviation * positives]
    )


def design_effect(influence: Floats, patient: NDArray[np.int64]) -> float:
    """Variance with patients as clusters over that with independent cases; at least 1.

    Args:
        influence: Contribution of each case to the estimate, less its mean. [n]
        patient: Patient of each case, as numbers. [n]
    """
    unit = np.unique(patient, return_inverse=True)[1].ravel()
    patients, cases = int(unit.max()) + 1, len(influence)
    independent = cases / max(1, cases - 1) * float((influence**2).sum())
    if patients < 2 or not independent:
        return cases / patients
    totals = np.bincount(unit, weights=influence)
    return max(1.0, patients / (patients - 1) * float((totals**2).sum()) / independent)


def slope_influence(targets: Labels, logits: Floats) -> tuple[float, float, Floats]:
    """Logistic regression of the outcome on the logits, and each case's part in its slope.

    Args:
        targets: 0 or 1. [n]
        logits: [n]

    Returns:
        Intercept, slope, and the influence on the slope. [n]

    Raises:
        ValueError: The regression has no finite solution.
    """
    design = np.stack([np.ones(len(logits)), logits], axis=1)
    beta = np.array([0.0, 1.0])
    for _ in range(50):
        p = expit(design @ beta)
        information = (design * (p * (1 - p))[:, None]).T @ design
        if np.linalg.cond(information) > 1 / np.finfo(float).eps:
            break
        step = np.linalg.solve(information, design.T @ (targets - p))
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            influence = np.linalg.solve(information, (design * (targets - p)[:, None]).T)[1]
            return float(beta[0]), float(beta[1]), influence
    raise ValueError("the calibration slope has no finite value in this sample")


def _up(cases: float) -> int:
    """The next whole number; rounding of the formula itself is not counted."""
    return max(1, int(np.ceil(cases - 1e-9)))


def _least(is_enough: Callable[[float], bool]) -> int:
    """Smallest number from 2 that is enough, by bisection; more is enough as well."""
    low, high = 1, 2
    while not is_enough(high):
        low, high = high, high * 2
        if high > MAX_CASES:
            raise ValueError(f"more than {MAX_CASES:,} cases are needed")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
