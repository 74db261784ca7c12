"""Answers to the questions of understanding for one finished run."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.analysis.convergence import NEVER_ABOVE_CHANCE, steps_to_share
from medtransfer.analysis.discrimination import interval_of, macro_auroc, patient_weights
from medtransfer.analysis.interval import Interval
from medtransfer.analysis.probes import linear_scores, neighbour_scores
from medtransfer.analysis.questions import FEATURES
from medtransfer.analysis.similarity import cka, require_same_cases
from medtransfer.analysis.stages import StageOutputs, stage_outputs, stages_of
from medtransfer.analysis.table import AskedRun, UnderstandingRow
from medtransfer.analysis.weights import relative_distance, stage_reset
from medtransfer.data.cases import Cases
from medtransfer.runs.records import RunCheck
from medtransfer.runs.understanding.network import TunedNetwork

BEFORE, AFTER, BOTH = "before", "after", "before and after"
WHOLE = "network"
ONE_NETWORK = "one network: an interval needs several seeds"
PROBES = {"linear_auroc": linear_scores, "neighbour_auroc": neighbour_scores}
MIN_GROUP = 20
"""Cases of a group, and outside of it, from which it is probed."""
FEW_IN_GROUP = f"fewer than {MIN_GROUP} cases in the group or outside it"


def convergence_rows(name: AskedRun, history: Sequence[RunCheck]) -> Iterator[UnderstandingRow]:
    """Steps until 95 % of the way from chance to the last tuning AUROC."""
    steps = steps_to_share([c.step for c in history], [c.tune_auroc for c in history])
    last = history[-1].step if history else 0
    share = None if steps is None else steps / max(last, 1)
    values = {"steps_to_95": steps, "share_of_steps_to_95": share}
    for metric, value in values.items():
        result = (
            Interval.undefined(NEVER_ABOVE_CHANCE)
            if value is None
            else Interval.without_interval(value, ONE_NETWORK)
        )
        yield name.row("convergence", (0, WHOLE), AFTER, metric, result, cases=0)


def similarity_rows(name: AskedRun, network: TunedNetwork) -> Iterator[UnderstandingRow]:
    """CKA of each stage before and after training."""
    require_same_cases(network.first.case_ids, network.last.case_ids)
    patients = network.cases.patient_ids
    for stage, first in _numbered(network.first):
        result = cka(first, network.last.by_stage[stage[1]], patients)
        yield name.row("similarity", stage, BOTH, "cka", result, cases=len(first))


def distance_rows(name: AskedRun, network: TunedNetwork) -> Iterator[UnderstandingRow]:
    """Change of the weights of each stage, relative to their length."""
    for stage in stages_of(network.classifier.backbone):
        value = relative_distance(network.before, network.after, stage)
        result = Interval.without_interval(value, ONE_NETWORK)
        place = (stage.number, stage.name)
        yield name.row("weight_distance", place, BOTH, "relative_l2", result, cases=0)


def reset_rows(name: AskedRun, network: TunedNetwork) -> Iterator[UnderstandingRow]:
    """Drop of the tuning AUROC if one stage goes back to the weights before training."""
    cases = network.cases
    weights = patient_weights(cases.patient_ids)
    whole = macro_auroc(cases.targets, network.last.logits, weights)
    for stage in stages_of(network.classifier.backbone):
        with stage_reset(network.classifier.backbone, stage, network.before):
            reset = stage_outputs(network.classifier, network.images, logits_alone=True)
        result = interval_of(whole - macro_auroc(cases.targets, reset.logits, weights))
        place = (stage.number, stage.name)
        yield name.row("reset", place, AFTER, "auroc_drop", result, cases=len(cases))


def layer_rows(name: AskedRun, network: TunedNetwork) -> Iterator[UnderstandingRow]:
    """AUROC of probes on each stage before and after training."""
    for time, outputs in ((BEFORE, network.first), (AFTER, network.last)):
        for stage, values in _numbered(outputs):
            yield from probe_rows(name, stage, time, values, network.cases)


def probe_rows(
    name: AskedRun, stage: tuple[int, str], time: str, values: NDArray[np.float32], cases: Cases
) -> Iterator[UnderstandingRow]:
    """AUROC of a linear and a nearest-neighbour probe, cross-validated over patients.

    Args:
        name: Of the run.
        stage: Number and name.
        time: Before or after training.
        values: Output of the stage. [N, C]
        cases: The same N.
    """
    weights = patient_weights(cases.patient_ids)
    for metric, probe in PROBES.items():
        scores = probe(values, cases.targets[:], cases.patient_ids)
        result = interval_of(macro_auroc(cases.targets[:], scores, weights))
        yield name.row("layer_probe", stage, time, metric, result, cases=len(cases))


def attribute_rows(
    name: AskedRun,
    features: dict[str, NDArray[np.float32]],
    attributes: pl.DataFrame,
    patients: NDArray[np.str_],
) -> Iterator[UnderstandingRow]:
    """AUROC of a linear probe for each group of each attribute against all other cases.

    Args:
        name: Of the run.
        features: Before or after training, or both. [N, D] each
        attributes: Of the cases, in their order.
        patients: Of the cases. [N]
    """
    weights = patient_weights(patients)
    for attribute in attributes.columns[1:]:
        values = attributes[attribute].cast(pl.String)
        groups = values.drop_nulls().unique().sort().to_list()
        for group in groups[:1] if len(groups) == 2 else groups:
            member = (values == group).cast(pl.Float64).to_numpy()[:, None]
            inside = int(np.nansum(member))
            outside = int((~np.isnan(member)).sum()) - inside
            for time, vectors in features.items():
                if min(inside, outside) < MIN_GROUP:
                    result = Interval.undefined(FEW_IN_GROUP)
                else:
                    scores = linear_scores(vectors, member, patients)
                    result = interval_of(macro_auroc(member, scores, weights))
                yield name.row(
                    "attribute_probe",
                    (0, FEATURES),
                    time,
                    "auroc",
                    result,
                    cases=inside + outside,
                    group=(attribute, group),
                )


def _numbered(outputs: StageOutputs) -> list[tuple[tuple[int, str], NDArray[np.float32]]]:
    """Stages with their numbers, and what they put out."""
    return [((outputs.numbers[name], name), values) for name, values in outputs.by_stage.items()]
