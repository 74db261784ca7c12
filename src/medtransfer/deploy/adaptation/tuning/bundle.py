"""A bundle with networks that were tuned at a hospital: facts and entries.

Everything that is fitted after training is fitted anew, on the patients who were held back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medtransfer.data.config import SEQUENTIAL, LabelPolicy
from medtransfer.deploy.adaptation.joined_training import JoinedPatients
from medtransfer.deploy.adaptation.replaced_networks import (
    ReplacedNetworks,
    lost_sentences,
    replaced_entries,
)
from medtransfer.deploy.bundle.facts.further_training import FurtherTrainingFacts
from medtransfer.deploy.bundle.facts.targets import TargetFacts
from medtransfer.deploy.bundle.fits import all_target_facts, reported_facts
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import BundleFacts, DetectorFacts
from medtransfer.deploy.inference.sources import CaseSource
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.errors import listed, plural
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.posthoc.adaptation.arms import TRAINED_MEANINGS
from medtransfer.posthoc.ood_detectors import KEPT_SHARE, flag_threshold
from medtransfer.tables.predictions import OOD_PREFIX

if TYPE_CHECKING:
    from medtransfer.deploy.adaptation.tuning.networks import TunedNetworks


def tuned_entries(
    bundle: Bundle, networks: "TunedNetworks", network: LocalNetwork, source: CaseSource
) -> tuple[BundleFacts, dict[str, bytes], tuple[str, ...]]:
    """Facts and entries of a bundle with tuned networks in place of its own.

    Args:
        bundle: The parent.
        networks: Tuned from it.
        network: Their predictions of the cases held back (`tune`) and of those that judge.
        source: The hospital's cases, whose images and patients join the digests of the training.

    Returns:
        Facts, entries, and sentences on what was changed.
    """
    facts = bundle.facts
    # classes are calibrated together
    kind = (facts.case or facts.targets[0]).calibrator or "temperature"
    policies = {
        target.name: LabelPolicy(uncertain=target.uncertain, empty=target.empty)
        for target in facts.targets
    }
    case = None
    if facts.case is not None:
        case = reported_facts("case", network.fit[WHOLE_CASE], kind, LabelPolicy())
    detectors, joined = _detectors(facts, network), _joined(networks, network)
    training = _further_training(networks, joined)
    targets = all_target_facts(policies, network.fit, kind)
    new = ReplacedNetworks(
        network=replace(facts.network, tuning=networks.training.tuning.mode),
        targets=targets,
        case=case,
        detectors=detectors,
        patients=joined,
        case_ids=networks.draw.case_ids,
        changes=(*_changes(facts, training, detectors), *_unlearned(facts, networks, targets)),
        run=network.run,
        members=[member.predictions for member in networks.members],
        weights=[member.weights for member in networks.members],
        statistics=[member.detectors if detectors else {} for member in networks.members],
        further_training=training,
    )
    child, entries = replaced_entries(bundle, new, source, network.evaluation)
    return child, entries, new.changes


def _detectors(facts: BundleFacts, network: LocalNetwork) -> tuple[DetectorFacts, ...]:
    """Detectors with thresholds of the cases held back, those whose scores are all numbers."""
    run = network.run
    detectors: list[DetectorFacts] = []
    for detector in facts.detectors:
        scores = run.frame[f"{OOD_PREFIX}{detector.name}"].to_numpy().astype(np.float64)
        threshold = flag_threshold(scores[run.tuned()])
        if threshold is not None and bool(np.isfinite(scores).all()):
            detectors.append(DetectorFacts(detector.name, threshold, KEPT_SHARE))
    return tuple(detectors)


def _joined(networks: "TunedNetworks", network: LocalNetwork) -> JoinedPatients:
    draw = networks.draw
    return JoinedPatients(
        hospital=network.hospital,
        train_cases=int(draw.train.sum()),
        train_patients=draw.patients - draw.held_patients,
        tune_cases=int(draw.held.sum()),
        tune_patients=draw.held_patients,
    )


def _further_training(networks: "TunedNetworks", joined: JoinedPatients) -> FurtherTrainingFacts:
    training, settings = networks.training, networks.settings
    return FurtherTrainingFacts(
        hospital=joined.hospital,
        train_patients=joined.train_patients,
        tune_patients=joined.tune_patients,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        steps=training.steps or 0,
        selected=tuple(member.selected for member in networks.members),
        frozen_stages=settings.frozen_stages,
        batch_norm=settings.batch_norm,
        held_share=settings.held_share,
        seed=settings.seed,
    )


def _unlearned(
    facts: BundleFacts, networks: "TunedNetworks", targets: Sequence[TargetFacts]
) -> Iterator[str]:
    """Sentences on answers that the hospital's patients did not have."""
    names = networks.draw.unlearned
    if names and facts.task == "single-label":
        yield (
            f"no patient who trained the network has the class {listed(names)}: it was trained to "
            "answer otherwise"
        )
    elif names:
        yield (
            "the patients who trained the network do not have both answers for "
            f"{listed(names)}: it did not learn to tell them apart"
        )
    for target in targets:
        points = [point for point, value in target.thresholds.items() if value is None]
        if points:
            reason = target.missing.get(points[0], "undefined")
            yield f"{target.name}: no threshold at {listed(points)} ({reason})"


def _changes(
    facts: BundleFacts, training: FurtherTrainingFacts, detectors: Sequence[DetectorFacts]
) -> Iterator[str]:
    """Sentences on what was changed."""
    yield (
        f"{listed(facts.names)}: {SEQUENTIAL} ({TRAINED_MEANINGS[SEQUENTIAL]}) "
        f"{training.sentence()}"
    )
    if facts.network.tuning not in ("full", "linear"):
        trained = "all weights were trained"
        if training.frozen_stages:
            trained = f"all but the lowest {plural(training.frozen_stages, 'stage')} were trained"
        yield (
            f"{trained}: a bundle does not hold what the study's tuning "
            f"({facts.network.tuning}) left alone"
        )
    yield (
        "thresholds, calibrators, prediction sets and the limits of the OOD gate were fitted anew "
        f"on the {plural(training.tune_patients, 'patient')} held back"
    )
    yield f"the promised cases are those of {training.hospital} that judged the network"
    lost = {d.name for d in facts.detectors} - {d.name for d in detectors}
    if lost:
        yield f"OOD detectors left out, as their scores are no numbers here: {listed(sorted(lost))}"
    yield from lost_sentences(facts)
