"""Facts of an adapted bundle: calibrators and thresholds of an arm in place of the parent's."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import polars as pl

from medtransfer.deploy.bundle.facts.targets import PromisedNumber, TargetFacts
from medtransfer.deploy.bundle.fits import calibrator_facts, carried_fit
from medtransfer.deploy.bundle.promises import promised_numbers
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import BundleFacts, DeferralRule
from medtransfer.deploy.validation.from_predictions import Numbers, Recalibration
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.errors import ConfigError
from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    AdaptedRun,
    AdaptedTarget,
    adapt_run,
    adapted_probabilities,
)
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.measure import measure
from medtransfer.evaluation.scoring.run import WHOLE_CASE, run_arrays
from medtransfer.evaluation.scoring.score import MeasuredRun
from medtransfer.evaluation.scoring.test_set import attribute_groups, make_test_sets
from medtransfer.posthoc.adaptation.network_thresholds import network_threshold
from medtransfer.posthoc.calibrators import (
    Calibrator,
    CalibratorKind,
    Isotonic,
    Platt,
    Temperature,
    Vector,
)

KINDS: dict[type[Calibrator], CalibratorKind] = {
    Temperature: "temperature",
    Platt: "platt",
    Isotonic: "isotonic",
    Vector: "vector",
}


def child_facts(
    bundle: Bundle,
    network: LocalNetwork,
    adapted: AdaptedRun,
    recalibration: Recalibration | None,
    changes: tuple[str, ...],
) -> BundleFacts:
    """Facts of a bundle that is adapted to a hospital.

    Args:
        bundle: The parent.
        network: Its predictions at home and at the hospital.
        adapted: Calibrators and thresholds, fitted on all of the hospital's cases.
        recalibration: The same arm fitted on some patients and measured on the others.
        changes: Sentences on what was changed.

    Raises:
        ConfigError: The arm turns the order of the cases round.
    """
    facts = bundle.facts
    if network.run.single_label:
        adapted = _with_network_thresholds(network, adapted)
    targets = tuple(
        _target(target, network, adapted[number], number)
        for number, target in enumerate(facts.targets)
    )
    case = None if facts.case is None else _case(facts.case, adapted[WHOLE_CASE])
    child = replace(
        facts,
        medtransfer=version("medtransfer"),
        targets=targets,
        case=case,
        parent=bundle.digest,
        changes=(*facts.changes, *changes, *without_levels(facts)),
        levels=(),
    )
    at_home = promises_of(bundle.predictions(), child, network.evaluation)
    return replace(child, promises=(*at_home, *_promises_here(network, recalibration)))


def _with_network_thresholds(network: LocalNetwork, adapted: AdaptedRun) -> AdaptedRun:
    """Classes with thresholds on the network's own probabilities.

    After calibration of all classes together, a threshold on the probability of one does not stand
    for a threshold of the network's own, so it is set anew on the labels.
    """
    if all(of_target.on_network for of_target in adapted.values()):
        return adapted
    observed = adapt_run(network.run, network.fit, "threshold", network.cases, AdaptConfig())
    return {
        number: of_target
        if number == WHOLE_CASE
        else replace(observed[number], fit=of_target.fit, calibrator=of_target.calibrator)
        for number, of_target in adapted.items()
    }


def _target(
    target: TargetFacts, network: LocalNetwork, adapted: AdaptedTarget, number: int
) -> TargetFacts:
    """Facts of a target as an arm leaves it."""
    target = replace(target, thresholds=_thresholds(target, adapted))
    changed = adapted.fit.arm not in ("carried", "threshold") and adapted.fit.reason is None
    if not changed:
        return target
    probabilities = adapted_probabilities(network.run, adapted.calibrator, number)
    prevalence = float(probabilities[network.cases].mean())
    if network.run.single_label:
        return replace(target, prevalence=prevalence)
    return replace(_calibrated(target, adapted.calibrator), prevalence=prevalence)


def _case(case: TargetFacts, adapted: AdaptedTarget) -> TargetFacts:
    """Facts of the case as a whole as an arm leaves it."""
    changed = adapted.fit.arm not in ("carried", "threshold") and adapted.fit.reason is None
    return _calibrated(case, adapted.calibrator) if changed else case


def _calibrated(target: TargetFacts, calibrator: Calibrator) -> TargetFacts:
    kind = KINDS[type(calibrator)]
    missing = {name: why for name, why in target.missing.items() if name != kind}
    facts = calibrator_facts(kind, calibrator)
    return replace(target, calibrators=(facts,), calibrator=kind, missing=missing)


def _thresholds(target: TargetFacts, adapted: AdaptedTarget) -> dict[str, float | None]:
    """Thresholds on the network's own probabilities; what the arm does not set is carried."""
    thresholds: dict[str, float | None] = {}
    for point, carried in target.thresholds.items():
        threshold = adapted.thresholds.get(point)
        if threshold is None:
            thresholds[point] = carried
        elif adapted.on_network:
            thresholds[point] = threshold
        else:
            edge = network_threshold(adapted.calibrator, threshold)
            if edge is None:
                raise ConfigError(
                    f"The arm '{adapted.fit.arm}' turns the order of the cases of "
                    f"'{target.name}' round: their logits fall with the disease here. No bundle "
                    "was written. Check the labels, or do not use this network here."
                )
            thresholds[point] = edge
    return thresholds


def without_levels(facts: BundleFacts) -> list[str]:
    """A sentence on the levels that an adapted bundle does not have."""
    return [
        f"units by {level.name} were left out: their fits were the parent's"
        for level in facts.levels
    ]


def remaining_deferral(rule: DeferralRule, targets: Sequence[TargetFacts]) -> DeferralRule:
    """The rule without prediction sets where none is left that could defer."""
    methods = {record.method for target in targets for record in target.sets}
    return rule if rule.set_method in methods else replace(rule, set_method=None)


def promises_of(
    frame: pl.DataFrame, facts: BundleFacts, config: EvaluationConfig
) -> tuple[PromisedNumber, ...]:
    """Numbers of a bundle's promised cases with its own thresholds and calibrators.

    Args:
        frame: The promised cases, from `promised_frame`.
        facts: Of the bundle.
        config: Replicates and seed.
    """
    run, fit = run_arrays(frame, facts.task), carried_fit(facts)
    nothing = frame.filter(member=0).select("case_id")
    test_sets = make_test_sets(run, fit, attribute_groups(run, nothing, config), config)
    measured = MeasuredRun(run, fit, test_sets, measure(test_sets, config))
    return promised_numbers(measured, config, [detector.name for detector in facts.detectors])


def _promises_here(
    network: LocalNetwork, recalibration: Recalibration | None
) -> list[PromisedNumber]:
    """Numbers of the hospital's patients that the arm was not fitted on."""
    numbers: Numbers = {} if recalibration is None else recalibration.numbers
    return [
        PromisedNumber(
            split="test",
            cohort=network.hospital,
            target=key.target,
            metric=key.metric,
            value=measured.value,
            low=measured.low,
            high=measured.high,
            cases=measured.cases,
            patients=measured.patients,
            positives=measured.positives,
            reason=measured.reason,
        )
        for key, measured in numbers.items()
    ]
