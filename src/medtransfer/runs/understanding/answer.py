"""One finished run asked several questions: its network is built once."""

from collections.abc import Sequence

import polars as pl

from medtransfer.analysis.questions import Understanding
from medtransfer.analysis.stages import FEATURES
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

Answers = dict[Understanding, list[UnderstandingRow]]


def answer(
    run: Transfer,
    study: StudyFolder,
    folder: RunFolder,
    questions: Sequence[Understanding],
    planned: PlannedInputs | None = None,
) -> Answers:
    """Rows of the table for some questions.

    Args:
        run: Its configuration.
        study: Holds the facts and caches of the images.
        folder: The run's; it is finished.
        questions: To be answered.
        planned: Digests of data and weights; None compares nothing.

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
    apart = ("convergence", "covariate_importance", "trajectory")
    others: list[Understanding] = [name for name in questions if name not in apart]
    if others and not find_rung(run.model.rung).reads_images:
        return answers | _of_features(run, study, name, others, planned)
    if others:
        network = open_network(run, study, folder, planned)
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
        case "convergence" | "covariate_importance" | "trajectory":
            return []


def _of_features(
    run: Transfer,
    study: StudyFolder,
    name: AskedRun,
    questions: Sequence[Understanding],
    planned: PlannedInputs | None,
) -> Answers:
    """Answers for features in a file, which are what they are before and after."""
    data = RunData(run, study.images, planned, images=False)
    frame = assign_splits(data.manifest, run.data)
    cases = tuning_cases(build_cases(frame, run.data))
    values = read_case_features(run.model, cases).of(cases)
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
