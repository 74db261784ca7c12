"""Training of a bundle with patients of another hospital joined to it: facts and digests."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.deploy.bundle.reader import Bundle, array_bytes
from medtransfer.deploy.bundle.schema import TrainingFacts
from medtransfer.deploy.bundle.training_digests import (
    DIGEST_BYTES,
    digest_table,
    image_digests,
    patient_digests,
)
from medtransfer.deploy.inference.sources import CaseSource
from medtransfer.deploy.validation.overlap import content_digests


@dataclass(frozen=True)
class JoinedPatients:
    """Patients of a hospital that a bundle was fitted on again.

    Attributes:
        hospital: Its name.
        train_cases: Cases that the network, or its head, was trained on.
        train_patients: Their patients.
        tune_cases: Cases that thresholds were fitted on.
        tune_patients: Their patients.
    """

    hospital: str
    train_cases: int
    train_patients: int
    tune_cases: int
    tune_patients: int


def joined_facts(training: TrainingFacts, joined: JoinedPatients) -> TrainingFacts:
    """Facts of a training with patients of a hospital joined to it, which tests alone.

    Args:
        training: Of the parent.
        joined: The patients.
    """
    return replace(
        training,
        cohorts=tuple(dict.fromkeys((*training.cohorts, joined.hospital))),
        test_cohorts=(joined.hospital,),
        train_cases=training.train_cases + joined.train_cases,
        train_patients=training.train_patients + joined.train_patients,
        tune_cases=joined.tune_cases,
        tune_patients=joined.tune_patients,
    )


def joined_digests(bundle: Bundle, case_ids: Collection[str], source: CaseSource) -> bytes:
    """Digests of a bundle's training, with those of the cases that it was fitted on again.

    Args:
        bundle: The parent.
        case_ids: Of the cases.
        source: Cases of the hospital with their images.
    """
    digests = bundle.training_digests
    cases = [place for place, case in enumerate(source.cases) if case.case_id in case_ids]
    contents = {content for _, content in content_digests(source, cases)}
    tables = {"images": [*_rows(digests.images), *image_digests(contents, digests.salt)]}
    if digests.patients is not None:
        patients = sorted({source.cases[place].patient_id for place in cases})
        added = patient_digests(patients, digests.salt)
        tables["patients"] = [*_rows(digests.patients), *added]
    return array_bytes({name: digest_table(rows) for name, rows in tables.items()})


def _rows(table: np.ndarray) -> list[bytes]:
    content = table.tobytes()
    return [content[at : at + DIGEST_BYTES] for at in range(0, len(content), DIGEST_BYTES)]
