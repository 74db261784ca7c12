"""A bundle whose networks, or their heads, were replaced at a hospital: facts and entries.

Its promised cases are those of the hospital: a bundle holds no images of its own home, so nothing
is known of the new networks there.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import polars as pl

from medtransfer.deploy.adaptation.child import promises_of, remaining_deferral, without_levels
from medtransfer.deploy.adaptation.joined_training import (
    JoinedPatients,
    joined_digests,
    joined_facts,
)
from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.facts.further_training import FurtherTrainingFacts
from medtransfer.deploy.bundle.facts.targets import TargetFacts
from medtransfer.deploy.bundle.promises import promised_cases
from medtransfer.deploy.bundle.reader import (
    CARD,
    FACTS,
    PARITY,
    PROMISED,
    TRAINING,
    Bundle,
    NumpyArrays,
    array_bytes,
    detectors_name,
    onnx_name,
    promised_frame,
    weights_name,
)
from medtransfer.deploy.bundle.schema import BundleFacts, DetectorFacts, NetworkFacts
from medtransfer.deploy.inference.sources import CaseSource
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import RunArrays


@dataclass(frozen=True, eq=False)
class ReplacedNetworks:
    """Networks and fits that stand in place of a parent's.

    Attributes:
        network: Facts of the networks.
        targets: With the calibrators, thresholds and sets of the new networks.
        case: Of a single-label task, likewise; None in others.
        detectors: That are kept.
        patients: Of the hospital, who trained the networks or set their thresholds.
        case_ids: Cases of these patients.
        changes: Sentences on what differs from the parent.
        run: Predictions of the networks at the hospital, `test` the cases that judge them.
        members: The same as a table for each network, in the order of `run`.
        weights: Weights file of each network.
        statistics: Arrays of the detectors of each network.
        further_training: Training that made the networks; None for a new head.
    """

    network: NetworkFacts
    targets: tuple[TargetFacts, ...]
    case: TargetFacts | None
    detectors: tuple[DetectorFacts, ...]
    patients: JoinedPatients
    case_ids: Collection[str]
    changes: tuple[str, ...]
    run: RunArrays
    members: Sequence[pl.DataFrame]
    weights: Sequence[bytes]
    statistics: Sequence[NumpyArrays]
    further_training: FurtherTrainingFacts | None = None


def replaced_entries(
    bundle: Bundle, new: ReplacedNetworks, source: CaseSource, config: EvaluationConfig
) -> tuple[BundleFacts, dict[str, bytes]]:
    """Facts and entries of a bundle with other networks than its parent's.

    Args:
        bundle: The parent.
        new: What stands in place of its networks.
        source: The hospital's cases, whose images and patients join the digests of the training.
        config: Scoring of the promised cases.
    """
    facts = bundle.facts
    child = replace(
        facts,
        medtransfer=version("medtransfer"),
        targets=new.targets,
        case=new.case,
        network=new.network,
        detectors=new.detectors,
        deferral=remaining_deferral(
            facts.deferral, new.targets if new.case is None else (new.case,)
        ),
        training=joined_facts(facts.training, new.patients),
        parent=bundle.digest,
        changes=(*facts.changes, *new.changes),
        onnx=None,
        levels=(),
        further_training=(
            *facts.further_training,
            *([] if (made := new.further_training) is None else [made]),
        ),
    )
    names = [detector.name for detector in new.detectors]
    promised = promised_cases(new.members, new.run, names, facts.training.salt)
    child = replace(child, promises=promises_of(promised_frame(child, promised), child, config))
    left_out = {FACTS, PARITY, *(onnx_name(number) for number in range(facts.members))}
    entries = {name: data for name, data in bundle.contents().items() if name not in left_out}
    parts: Mapping[str, bytes] = {
        **{weights_name(number): data for number, data in enumerate(new.weights)},
        **{detectors_name(number): array_bytes(a) for number, a in enumerate(new.statistics)},
        PROMISED: array_bytes(vars(promised)),
        TRAINING: joined_digests(bundle, new.case_ids, source),
        CARD: bundle_card(child).encode(),
    }
    return child, {**entries, **parts}


def lost_sentences(facts: BundleFacts) -> Iterator[str]:
    """Sentences on what a bundle with other networks has no more."""
    yield from without_levels(facts)
    if facts.onnx is not None:
        yield "the network in ONNX was left out: `medtransfer export --onnx` makes it anew"
