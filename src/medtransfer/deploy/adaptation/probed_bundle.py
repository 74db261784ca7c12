"""A bundle with a new head: facts and entries, where the old head's fits are left out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import polars as pl
import safetensors.numpy

from medtransfer.deploy.adaptation.joined_training import JoinedPatients
from medtransfer.deploy.adaptation.local_probe import HospitalProbe
from medtransfer.deploy.adaptation.replaced_networks import (
    ReplacedNetworks,
    lost_sentences,
    replaced_entries,
)
from medtransfer.deploy.bundle.facts.targets import TargetFacts
from medtransfer.deploy.bundle.gate import GAUSSIAN
from medtransfer.deploy.bundle.reader import Bundle, NumpyArrays
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.sources import CaseSource
from medtransfer.errors import BundleError, listed, plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import AdaptedTarget
from medtransfer.evaluation.comparison.adaptation.probed_run import PROBE, with_all_features
from medtransfer.evaluation.scoring.run import WHOLE_CASE, run_arrays
from medtransfer.posthoc.adaptation.arms import MEANINGS

KEPT_DETECTORS = (*GAUSSIAN, "residual")
"""Detectors that read the features alone, which a new head leaves as they are."""
WEIGHT, BIAS = "head.weight", "head.bias"


def probed_entries(
    bundle: Bundle, probe: HospitalProbe, source: CaseSource
) -> tuple[BundleFacts, dict[str, bytes], tuple[str, ...]]:
    """Facts and entries of a bundle with a hospital's probe in place of its head.

    Args:
        bundle: The parent.
        probe: Fitted at the hospital; a target without one keeps what it has.
        source: The hospital's cases, whose images and patients join the digests of the training.

    Returns:
        Facts, entries, and sentences on what was changed.

    Raises:
        BundleError: The parent's weights have no head.
    """
    facts = bundle.facts
    kept = tuple(d for d in facts.detectors if d.name in KEPT_DETECTORS)
    names = [detector.name for detector in kept]
    frame = _hospital_frame(probe)
    members = range(facts.members)
    new = ReplacedNetworks(
        network=facts.network,
        targets=tuple(
            _target(target, probe, probe.adapted[number], number)
            for number, target in enumerate(facts.targets)
        ),
        case=None if facts.case is None else _case(facts.case, probe),
        detectors=kept,
        patients=_joined(probe),
        case_ids=_fitted(probe),
        changes=_changes(facts, probe),
        run=run_arrays(frame, facts.task),
        members=frame.partition_by("member", maintain_order=True),
        weights=[_with_heads(bundle, probe, member) for member in members],
        statistics=[_kept_arrays(bundle.detectors(member), names) for member in members],
    )
    child, entries = replaced_entries(bundle, new, source, probe.network.evaluation)
    return child, entries, new.changes


def _replaced(probe: HospitalProbe) -> str:
    return f"it was fitted to the old head, which was replaced for {probe.network.hospital}"


def _target(
    target: TargetFacts, probe: HospitalProbe, adapted: AdaptedTarget, number: int
) -> TargetFacts:
    """Facts of a target under its new head; as they are where it has none."""
    if adapted.fit.reason is not None:
        return target
    run = probe.network.run
    rows = probe.division.pool & run.labelled(number)
    target = _without_fits(target, _replaced(probe))
    return replace(
        target,
        prevalence=float(run.truth(number)[rows].mean()),
        thresholds=dict(adapted.thresholds),
        missing={**target.missing, **adapted.missing},
    )


def _case(case: TargetFacts, probe: HospitalProbe) -> TargetFacts:
    if probe.adapted[WHOLE_CASE].fit.reason is not None:
        return case
    return _without_fits(case, _replaced(probe))


def _without_fits(target: TargetFacts, reason: str) -> TargetFacts:
    """A target without the calibrators and prediction sets of the old head."""
    kinds: list[str] = [record.kind for record in target.calibrators]
    sets = ["sets"] if target.sets else []
    return replace(
        target,
        calibrators=(),
        calibrator=None,
        sets=(),
        missing={**target.missing, **dict.fromkeys([*kinds, *sets], reason)},
    )


def _fitted(probe: HospitalProbe) -> set[str]:
    """Ids of the cases that the heads were fitted on."""
    rows = probe.network.run.frame.filter(pl.Series(probe.division.pool))
    return set(rows["case_id"].to_list())


def _joined(probe: HospitalProbe) -> JoinedPatients:
    cases, patients = int(probe.division.pool.sum()), probe.patients
    return JoinedPatients(probe.network.hospital, cases, patients, cases, patients)


def _changes(facts: BundleFacts, probe: HospitalProbe) -> tuple[str, ...]:
    fitted: list[str] = []
    run, hospital = probe.network.run, probe.network.hospital
    patients = plural(probe.patients, "patient")
    for number, of_target in probe.probes.items():
        name = listed(run.names) if number == WHOLE_CASE else run.names[number]
        if not isinstance(of_target, str):
            penalties = [f"{of_member.penalty:g}" for of_member in of_target]
            word = "penalty" if len(penalties) == 1 else "penalties"
            fitted.append(
                f"{name}: {PROBE} ({MEANINGS[PROBE]}), fitted on {patients} of {hospital}, "
                f"{word} {listed(penalties, 20)}; the probabilities are the head's own"
            )
    fitted.append("calibrators and prediction sets of the old head were left out")
    fitted.append(f"the promised cases are those of {hospital} that judged the head")
    dropped = [d.name for d in facts.detectors if d.name not in KEPT_DETECTORS]
    if dropped:
        fitted.append(f"OOD detectors left out, as they read the old head: {listed(dropped)}")
    return (*fitted, *lost_sentences(facts))


def _hospital_frame(probe: HospitalProbe) -> pl.DataFrame:
    """The hospital's labelled cases under the new heads: `tune` what they were fitted on."""
    run, division = probe.network.run, probe.division
    kept = pl.Series((division.pool | division.test) & with_all_features(probe.features))
    members: list[pl.DataFrame] = []
    for member in range(run.members):
        logits = probe.held_out_logits(member)
        table = (
            probe.network.frame.filter(member=member)
            .sort("case_id")
            .with_columns(
                split=pl.Series(np.where(division.pool, "tune", "test").tolist()),
                **{
                    f"logit_{name}": pl.Series(logits[:, n].copy())
                    for n, name in enumerate(run.names)
                },
            )
        )
        members.append(table.filter(kept))
    return pl.concat(members)


def _with_heads(bundle: Bundle, probe: HospitalProbe, member: int) -> bytes:
    """The parent's weights of a network with its new heads."""
    tensors: NumpyArrays = safetensors.numpy.load(bundle.weights(member))
    if WEIGHT not in tensors or BIAS not in tensors:
        raise BundleError(f'The weights of bundle "{bundle.path.name}" have no head.')
    weight, bias = tensors[WEIGHT].copy(), tensors[BIAS].copy()
    for number, of_target in probe.probes.items():
        if isinstance(of_target, str):
            continue
        head = of_target[member].head
        if number == WHOLE_CASE:
            weight, bias = head.weight.T, head.bias
        else:
            weight[number], bias[number] = head.weight, head.bias
    heads = {
        name: np.ascontiguousarray(value, dtype=np.float32)
        for name, value in ((WEIGHT, weight), (BIAS, bias))
    }
    # not `array_bytes`, which gives single numbers, as counts of batches, a dimension
    return cast("bytes", cast("Any", safetensors.numpy).save({**tensors, **heads}))


def _kept_arrays(arrays: NumpyArrays, names: Sequence[str]) -> NumpyArrays:
    """Statistics of the detectors that are kept."""
    groups = {"gaussians": set(names) & set(GAUSSIAN), "principal": set(names) - set(GAUSSIAN)}
    return {name: array for name, array in arrays.items() if groups.get(name.partition(".")[0])}
