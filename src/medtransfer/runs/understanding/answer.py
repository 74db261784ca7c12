"""One finished run asked several questions: its network is built once."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medtransfer.analysis.grams import network_grams, write_grams
from medtransfer.analysis.questions import FEATURES, Understanding
from medtransfer.analysis.table import AskedRun, UnderstandingRow
from medtransfer.data.cases import build_cases, reported_attributes
from medtransfer.data.splits import assign_splits
from medtransfer.models.ladder import find_rung
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.features import read_case_features
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.inputs import PlannedInputs, RunData
from medtransfer.runs.understanding.covariates import importance_rows
from medtransfer.runs.understanding.measure import (
    AFTER,
    BEFORE,
    attribute_rows,
    convergence_rows,
    distance_rows,
    layer_rows,
    probe_rows,
    reset_rows,
    similarity_rows,
)
from medtransfer.runs.understanding.network import TunedNetwork, open_network, tuning_cases

APART: tuple[Understanding, ...] = (
    "convergence",
    "covariate_importance",
    "trajectory",
    "rung_similarity",
)
"""Questions that are not asked of a single network."""
Answers = dict[Understanding, list[UnderstandingRow]]


def answer(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    questions: Sequence[Understanding],
    planned: PlannedInputs | None = None,
    *,
    grams: Path | None = None,
) -> Answers:
    """Rows of the table for some questions.

    Args:
        run: Its configuration.
        study: Holds the facts and caches of the images.
        folder: The run's; it is finished.
        questions: To be answered.
        planned: Digests of data and weights; None compares nothing.
        grams: File that the Gram matrices after training are written to, for comparisons with
            other runs; None writes none.

    Raises:
        StudyError: The data changed, or the weights are gone or damaged.
    """
    name = AskedRun(run.model.rung, folder.run_id, run.seed)
    answers: Answers = {}
    if "convergence" in questions:
        answers["convergence"] = list(convergence_rows(name, folder.history()))
    if "covariate_importance" in questions:
        rows = importance_rows(run, study, folder, name, planned)
        answers["covariate_importance"] = list(rows)
    others: list[Understanding] = [name for name in questions if name not in APART]
    if not others and grams is None:
        return answers
    if not find_rung(run.model.rung).reads_images:
        return answers | _of_features(run, study, name, others, planned, grams=grams)
    network = open_network(run, study, folder, planned)
    if grams is not None:
        last, patients = network.last, network.cases.patient_ids
        write_grams(network_grams(last.case_ids, last.by_stage, last.numbers, patients), grams)
    answers |= {question: _of_network(question, name, network) for question in others}
    return answers


def _of_network(
    question: Understanding, name: AskedRun, network: TunedNetwork
) -> list[UnderstandingRow]:
    match question:
        case "similarity":
            return list(similarity_rows(name, network))
        case "reset":
            return list(reset_rows(name, network))
        case "weight_distance":
            return list(distance_rows(name, network))
        case "layer_probe":
            return list(layer_rows(name, network))
        case "attribute_probe":
            features = {
                BEFORE: network.first.by_stage[FEATURES],
                AFTER: network.last.by_stage[FEATURES],
            }
            cases = network.cases
            return list(attribute_rows(name, features, network.attributes, cases.patient_ids))
        case "convergence" | "covariate_importance" | "trajectory" | "rung_similarity":
            return []


def _of_features(
    run: Transfer,
    study: StudyFolder,
    name: AskedRun,
    questions: Sequence[Understanding],
    planned: PlannedInputs | None,
    *,
    grams: Path | None,
) -> Answers:
    """Answers for features in a file, which are what they are before and after."""
    data = RunData(run, study.images, planned, images=False)
    frame = assign_splits(data.manifest, run.data)
    cases = tuning_cases(build_cases(frame, run.data))
    values = read_case_features(run.model, cases).of(cases)
    if grams is not None:
        ids = cases.case_ids.tolist()
        write_grams(network_grams(ids, {FEATURES: values}, {FEATURES: 0}, cases.patient_ids), grams)
    answers: Answers = {}
    if "layer_probe" in questions:
        answers["layer_probe"] = list(probe_rows(name, (0, FEATURES), BEFORE, values, cases))
    if "attribute_probe" in questions:
        columns = reported_attributes(frame, run.data.attributes, run.evaluation.minimum_group)
        ids = pl.DataFrame({"case_id": cases.case_ids.tolist()}, schema={"case_id": pl.String})
        attributes = ids.join(columns, on="case_id", how="left", maintain_order="left")
        answers["attribute_probe"] = list(
            attribute_rows(name, {BEFORE: values}, attributes, cases.patient_ids)
        )
    return answers
