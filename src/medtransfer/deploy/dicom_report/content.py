"""Content of a DICOM structured report on a prediction: a measurement report by TID 1500."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from medtransfer.deploy.bundle.facts.targets import TargetFacts
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.inference.decisions import BETWEEN, NO_ANSWER
from medtransfer.errors import printable
from medtransfer.metrics.calibration import probabilities_of
from medtransfer.tables.predictions import OOD_PREFIX

SCHEME = "99MEDTRANSFER"
"""Private coding scheme of what the standard has no code for."""
NOT_FOR_DIAGNOSIS = "Not for diagnosis: for research only"
MAX_TEXT = 64
"""Letters of a code's meaning, and of most short texts of the standard."""
SOFTWARE = "medtransfer"
YES, NO = ("373066001", "Yes"), ("373067005", "No")
CALLS = {1: ("10828004", "Positive"), 0: ("260385009", "Negative")}
ANSWERS = {
    "0": ("set-negative", "Negative"),
    "1": ("set-positive", "Positive"),
    f"0{BETWEEN}1": ("set-both", "Negative or positive"),
    NO_ANSWER: ("set-empty", "Neither: unlike the tuning cases"),
}
Row = Mapping[str, Any]  # a row of predictions: its columns differ by bundle


def report_content(
    bundle: Bundle, row: Row, images: Sequence[Dataset], statement: str
) -> MeasurementReport:
    """Measurement report on one case.

    Args:
        bundle: That predicted.
        row: The case's row of predictions.
        images: Headers of its images.
        statement: What the report may be used for.
    """
    facts = bundle.facts
    sources = [
        SourceImageForMeasurementGroup(str(image.SOPClassUID), str(image.SOPInstanceUID))
        for image in images
    ]
    groups = [
        _group(
            target.name,
            _algorithm(bundle, statement, target),
            measurements=list(_measurements(facts, target, row)),
            evaluations=list(_evaluations(target, row)),
            sources=sources,
        )
        for target in facts.targets
    ]
    groups.append(
        _group(
            "case",
            _algorithm(bundle, statement, None),
            measurements=list(_gate_scores(facts, row)),
            evaluations=[
                *_case_evaluations(facts, row),
                QualitativeEvaluation(private("use", "Use"), private("statement", statement)),
            ],
            sources=sources,
        )
    )
    observer = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[bundle.digest, "device"]),
        name=SOFTWARE,
        manufacturer_name=SOFTWARE,
        model_name=printable(facts.name, MAX_TEXT),
        serial_number=bundle.digest[:16],
    )
    return MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(codes.DCM.Device, observer)
        ),
        procedure_reported=sct("363679005", "Imaging procedure"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def private(value: str, meaning: str) -> CodedConcept:
    """A code of our own scheme."""
    return CodedConcept(value[:16], SCHEME, printable(meaning, MAX_TEXT))


def sct(value: str, meaning: str) -> CodedConcept:
    """A code of SNOMED CT."""
    return CodedConcept(value, "SCT", meaning)


def _group(
    name: str,
    algorithm: AlgorithmIdentification,
    *,
    measurements: list[Measurement],
    evaluations: list[QualitativeEvaluation],
    sources: list[SourceImageForMeasurementGroup],
) -> MeasurementsAndQualitativeEvaluations:
    uids = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in sources]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=generate_uid(entropy_srcs=[name, *map(str, uids)]), identifier=printable(name, 64)
        ),
        algorithm_id=algorithm,
        measurements=measurements or None,
        qualitative_evaluations=evaluations or None,
        source_images=sources,
    )


def _algorithm(
    bundle: Bundle, statement: str, target: TargetFacts | None
) -> AlgorithmIdentification:
    """Name, digest and thresholds of what predicted."""
    facts = bundle.facts
    parameters = [statement, f"rung {facts.network.rung}", f"medtransfer {facts.medtransfer}"]
    if target is not None:
        parameters.append(f"calibrator {target.calibrator or 'none'}")
        parameters += [
            f"operating point {point}: positive from {threshold:.6g} before calibration"
            for point, threshold in target.thresholds.items()
            if threshold is not None
        ]
    else:
        parameters += [f"{d.name}: flagged above {d.threshold:.6g}" for d in facts.detectors]
    return AlgorithmIdentification(
        name=printable(facts.name, MAX_TEXT),
        version=f"bundle {bundle.digest}",
        parameters=parameters,
        manufacturer=SOFTWARE,
    )


def _measurements(facts: BundleFacts, target: TargetFacts, row: Row) -> Iterator[Measurement]:
    name = f"Probability of {target.name}"
    yield _number(private("probability", name), float(row[f"probability_{target.name}"]))
    if facts.task != "single-label":
        logit = np.array([[float(row[f"logit_{target.name}"])]])
        before = float(probabilities_of(logit, single_label=False)[0, 0])
        yield _number(private("uncalibrated", f"{name} before calibration"), before)


def _evaluations(target: TargetFacts, row: Row) -> Iterator[QualitativeEvaluation]:
    for place, point in enumerate(target.thresholds):
        call = row.get(f"call_{target.name}_{point}")
        if call is not None:
            name = private(f"call-{place}", f"Call at operating point {point}")
            yield QualitativeEvaluation(name, sct(*CALLS[int(call)]))
    answer = row.get(f"set_{target.name}")
    if answer is not None:
        yield QualitativeEvaluation(
            private("set", "Prediction set"), private(*ANSWERS[str(answer)])
        )


def _case_evaluations(facts: BundleFacts, row: Row) -> Iterator[QualitativeEvaluation]:
    if row.get("class") is not None:
        place = facts.names.index(row["class"])
        name = private("class", "Most probable class")
        yield QualitativeEvaluation(name, private(f"class-{place}", row["class"]))
    if row.get("set") is not None:
        held = [] if row["set"] == NO_ANSWER else str(row["set"]).split(BETWEEN)
        for name in held:
            concept = private("set", "Class in the prediction set")
            yield QualitativeEvaluation(concept, private(f"class-{facts.names.index(name)}", name))
        if not held:
            concept = private("set", "Prediction set")
            yield QualitativeEvaluation(concept, private(*ANSWERS[NO_ANSWER]))
    if row.get("ood") is not None:
        concept = private("ood", "Unlike the training data")
        yield QualitativeEvaluation(concept, sct(*(YES if row["ood"] else NO)))
    concept = private("deferred", "Left to a person")
    yield QualitativeEvaluation(concept, sct(*(YES if row["deferred"] else NO)))


def _gate_scores(facts: BundleFacts, row: Row) -> Iterator[Measurement]:
    for place, detector in enumerate(facts.detectors):
        value = row.get(f"{OOD_PREFIX}{detector.name}")
        if value is not None:
            concept = private(f"ood-{place}", f"OOD score by {detector.name}")
            yield _number(concept, float(value))


def _number(name: CodedConcept, value: float) -> Measurement:
    """A number without a unit, at the precision that a DICOM decimal string can hold."""
    return Measurement(name=name, value=float(f"{value:.8g}"), unit=codes.UCUM.NoUnits)
