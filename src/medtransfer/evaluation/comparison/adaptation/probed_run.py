"""A run with new heads for a hospital, on the features of its network."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy.special import expit, softmax

from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    AdaptedRun,
    AdaptedTarget,
    home_calibrator,
)
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays
from medtransfer.evaluation.scoring.tune_fit import TuneFit
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.adaptation.arms import ArmFit, LocalCases, identity_calibrator
from medtransfer.posthoc.adaptation.home_features import Vectors
from medtransfer.posthoc.adaptation.probe import LocalProbe, fit_local_probe
from medtransfer.posthoc.adaptation.thresholds import expected_threshold

PROBE: Literal["probe"] = "probe"
NO_FEATURES = "the features of the network could not be had"
LocalProbes = Mapping[int, LocalProbe | str]
"""Probe of each target by its number, or the reason that there is none."""


def probed_run(
    run: RunArrays, fit: TuneFit, features: Vectors | None, rows: Flags, seed: int
) -> AdaptedRun:
    """Fit a new head for every target, or one for the classes together, on some cases.

    Thresholds of operating points are expected from the probabilities of these cases under heads
    that were fitted without their patient.

    Args:
        run: The predictions.
        fit: Fits on its tuning split.
        features: Of its network; rows of NaN for cases without any, which keep their carried
            logits, as those of the home hospital do. None if there are none at all. [N, D]
        rows: Cases to fit on. [N]
        seed: Of the folds of the cross-validation.
    """
    return run_with_probes(run, fit, features, local_probes(run, features, rows, seed))


def local_probes(run: RunArrays, features: Vectors | None, rows: Flags, seed: int) -> LocalProbes:
    """Probe of every target, or of the classes together, as `WHOLE_CASE`.

    Args:
        run: The predictions.
        features: As for `probed_run`.
        rows: Cases to fit on. [N]
        seed: Of the folds of the cross-validation.

    Returns:
        The reason in place of a probe that cannot be fitted.
    """
    numbers = [WHOLE_CASE] if run.single_label else run.numbers()
    return {number: _local_probe(run, features, rows, number, seed) for number in numbers}


def run_with_probes(
    run: RunArrays, fit: TuneFit, features: Vectors | None, probes: LocalProbes
) -> AdaptedRun:
    """A run with new heads; as carried where one could not be fitted.

    Args:
        run: The predictions.
        fit: Fits on its tuning split.
        features: As for `probed_run`.
        probes: From `local_probes`.
    """
    return {
        number: _adapted(
            run, fit, features, number, probes[WHOLE_CASE if run.single_label else number]
        )
        for number in run.numbers()
    }


def _local_probe(
    run: RunArrays, features: Vectors | None, rows: Flags, target: int, seed: int
) -> LocalProbe | str:
    """Probe of a target, or of the classes; the reason if there is none."""
    if features is None:
        return NO_FEATURES
    usable = rows & run.labelled(target) & np.isfinite(features).all(axis=1)
    cases = LocalCases(run.truth(target)[usable], run.scores(target)[usable], run.patient[usable])
    return fit_local_probe(cases, features[usable], seed=seed)


def _adapted(
    run: RunArrays,
    fit: TuneFit,
    features: Vectors | None,
    target: int,
    probe: LocalProbe | str,
) -> AdaptedTarget:
    """A target under a probe; as carried where there is none."""
    scored = WHOLE_CASE if run.single_label else target
    home, of_target = home_calibrator(run, fit, scored), fit[target]
    same = identity_calibrator(len(run.names) if run.single_label else None)
    if isinstance(probe, str) or features is None:
        reason = probe if isinstance(probe, str) else NO_FEATURES
        unfitted = ArmFit(PROBE, same, reason)
        thresholds, missing = of_target.thresholds, of_target.missing
        return AdaptedTarget(unfitted, home, thresholds, missing, on_network=True)
    scores = home.logits(run.scores(scored)).copy()
    has_features = np.isfinite(features).all(axis=1)
    scores[has_features] = probe.head.logits(features[has_features])
    fitted = ArmFit(PROBE, same)
    if target == WHOLE_CASE:
        thresholds, missing = of_target.thresholds, of_target.missing
        return AdaptedTarget(fitted, same, thresholds, missing, on_network=False, scores=scores)
    probabilities = _held_out(probe, target if run.single_label else None)
    expected = {point: expected_threshold(probabilities, point) for point in of_target.thresholds}
    return AdaptedTarget(
        fit=fitted,
        calibrator=same,
        thresholds={point: local.threshold for point, local in expected.items()},
        missing={p: local.reason for p, local in expected.items() if local.reason is not None},
        on_network=False,
        scores=scores,
    )


def _held_out(probe: LocalProbe, column: int | None) -> Floats:
    """Probabilities of a binary target, or of one of the classes, without the case's patient."""
    if column is None:
        return np.asarray(expit(probe.held_out))
    return np.asarray(softmax(probe.held_out, axis=1))[:, column]
