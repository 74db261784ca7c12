"""A run with new heads for a hospital, on the features of its network."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.special import expit, softmax

from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    AdaptedRun,
    AdaptedTarget,
    home_calibrator,
)
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays, ensemble_logits
from medtransfer.evaluation.scoring.tune_fit import TuneFit
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.posthoc.adaptation.arms import ArmFit, LocalCases, identity_calibrator
from medtransfer.posthoc.adaptation.home_features import Vectors
from medtransfer.posthoc.adaptation.probe import LocalProbe, fit_local_probe
from medtransfer.posthoc.adaptation.thresholds import expected_threshold

PROBE: Literal["probe"] = "probe"
NO_FEATURES = "the features of the network could not be had"
LocalProbes = Mapping[int, tuple[LocalProbe, ...] | str]
"""Probe of each target by its number, of each network; or the reason that there is none."""
MemberVectors = Sequence[Vectors]
"""Features of each network; rows of NaN for cases without any. Each [N, D]"""


def probed_run(
    run: RunArrays, fit: TuneFit, features: MemberVectors, rows: Flags, seed: int
) -> AdaptedRun:
    """Fit a new head for every target, or one for the classes together, on some cases.

    Each network of an ensemble gets heads of its own, whose probabilities are averaged. Thresholds
    of operating points are expected from the probabilities of these cases under heads that were
    fitted without their patient.

    Args:
        run: The predictions.
        fit: Fits on its tuning split.
        features: Of each of its networks; cases without any keep their carried logits, as those of
            the home hospital do. None if they could not be had.
        rows: Cases to fit on. [N]
        seed: Of the folds of the cross-validation.
    """
    return run_with_probes(run, fit, features, local_probes(run, features, rows, seed))


def local_probes(run: RunArrays, features: MemberVectors, rows: Flags, seed: int) -> LocalProbes:
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
    run: RunArrays, fit: TuneFit, features: MemberVectors, probes: LocalProbes
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
    run: RunArrays, features: MemberVectors, rows: Flags, target: int, seed: int
) -> tuple[LocalProbe, ...] | str:
    """Probes of a target, or of the classes, of each network; the reason if there is none."""
    if not features:
        return NO_FEATURES
    usable = rows & run.labelled(target) & with_all_features(features)
    cases = LocalCases(run.truth(target)[usable], run.scores(target)[usable], run.patient[usable])
    probes: list[LocalProbe] = []
    for of_member in features:
        probe = fit_local_probe(cases, of_member[usable], seed=seed)
        if isinstance(probe, str):
            return probe
        probes.append(probe)
    return tuple(probes)


def with_all_features(features: MemberVectors) -> Flags:
    """Cases that every network has features of. [N]"""
    return np.all([np.isfinite(of_member).all(axis=1) for of_member in features], axis=0)


def _averaged(logits: Sequence[Floats], *, single_label: bool) -> Floats:
    """Logits of the mean probability of some networks. Each [n] or [n, C]"""
    stacked = np.stack(logits)
    if stacked.ndim == 3:
        return ensemble_logits(stacked, single_label=single_label)
    return ensemble_logits(stacked[:, :, None], single_label=single_label)[:, 0]


def _adapted(
    run: RunArrays,
    fit: TuneFit,
    features: MemberVectors,
    target: int,
    probes: tuple[LocalProbe, ...] | str,
) -> AdaptedTarget:
    """A target under its probes; as carried where there are none."""
    scored = WHOLE_CASE if run.single_label else target
    home, of_target = home_calibrator(run, fit, scored), fit[target]
    same = identity_calibrator(len(run.names) if run.single_label else None)
    if isinstance(probes, str):
        unfitted = ArmFit(PROBE, same, probes)
        thresholds, missing = of_target.thresholds, of_target.missing
        return AdaptedTarget(unfitted, home, thresholds, missing, on_network=True)
    scores = home.logits(run.scores(scored)).copy()
    usable = with_all_features(features)
    scores[usable] = _averaged(
        [probe.head.logits(values[usable]) for probe, values in zip(probes, features, strict=True)],
        single_label=run.single_label,
    )
    fitted = ArmFit(PROBE, same)
    if target == WHOLE_CASE:
        thresholds, missing = of_target.thresholds, of_target.missing
        return AdaptedTarget(fitted, same, thresholds, missing, on_network=False, scores=scores)
    held_out = _averaged([probe.held_out for probe in probes], single_label=run.single_label)
    probabilities = _probabilities(held_out, target if run.single_label else None)
    expected = {point: expected_threshold(probabilities, point) for point in of_target.thresholds}
    return AdaptedTarget(
        fit=fitted,
        calibrator=same,
        thresholds={point: local.threshold for point, local in expected.items()},
        missing={p: local.reason for p, local in expected.items() if local.reason is not None},
        on_network=False,
        scores=scores,
    )


def _probabilities(logits: Floats, column: int | None) -> Floats:
    """Probabilities of a binary target, or of one of the classes. [n]"""
    if column is None:
        return np.asarray(expit(logits))
    return np.asarray(softmax(logits, axis=1))[:, column]
