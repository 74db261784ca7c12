"""Search for a bundle's training images and patients among the cases of a hospital."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.bundle.training_digests import TrainingDigests
from medtransfer.deploy.inference.sources import CaseSource
from medtransfer.errors import ImageError, TableError, plural
from medtransfer.metrics.kernels.sums import Flags


@dataclass(frozen=True)
class Overlap:
    """Cases that a network was trained or tuned on.

    Attributes:
        cases: True for cases of a patient to leave out, in the order of the source. [N]
        images: Number of images with the content of a training image.
        patients: Number of patients whose id is that of a training patient; None if the bundle
            does not say.
        notes: All of it in sentences.
    """

    cases: Flags
    images: int
    patients: int | None
    notes: tuple[str, ...]


def training_overlap(source: CaseSource, facts: BundleFacts, digests: TrainingDigests) -> Overlap:
    """Find cases whose patients were trained or tuned on.

    A patient with a training image is left out. An id alone says it of a hospital that was trained
    on; of another one it can be the same number by chance, which is said.

    Args:
        source: Cases with their images.
        facts: Of the bundle.
        digests: Of its training.

    Raises:
        TableError: No patient is left.
    """
    contents = content_digests(source, range(len(source.cases)))
    is_trained = digests.known_images(digest for _, digest in contents)
    patients = sorted({case.patient_id for case in source.cases})
    by_id = digests.known_patients(patients)
    positions = [
        case for (case, _), is_known in zip(contents, is_trained.tolist(), strict=True) if is_known
    ]
    seen = {source.cases[case].patient_id for case in positions}
    cohorts = {case.cohort for case in source.cases}
    trained_on = bool(cohorts & set(facts.training.cohorts))
    named: set[str] = set()
    if by_id is not None:
        named = {name for name, is_known in zip(patients, by_id.tolist(), strict=True) if is_known}
    left_out = seen | named if trained_on else seen
    cases = np.array([case.patient_id in left_out for case in source.cases], dtype=np.bool_)
    notes = _notes(int(is_trained.sum()), len(named), len(left_out), trained_on=trained_on)
    if by_id is None:
        notes.append("The bundle holds no digests of patients: only images were looked for.")
    if cases.all():
        raise TableError(
            f"All {plural(len(patients), 'patient')} were used to train or to tune the network, so "
            "nothing can be validated on them. Give cases of other patients."
        )
    return Overlap(
        cases, int(is_trained.sum()), None if by_id is None else len(named), tuple(notes)
    )


def content_digests(source: CaseSource, cases: Sequence[int]) -> list[tuple[int, str]]:
    """Case and SHA-256 of each readable image of some cases; arrays have none."""
    contents: list[tuple[int, str]] = []
    for request in source.images(cases):
        try:
            content = request.read()
        except (ImageError, OSError):
            continue  # it is refused when it is predicted, with its reason
        if isinstance(content, bytes):
            contents.append((request.case, _digest(content, request.frame)))
    return contents


def _digest(content: bytes, frame: int | None) -> str:
    """SHA-256 of an image, as `data.images.decode` gives it."""
    whole = hashlib.sha256(content).hexdigest()
    return whole if frame is None else hashlib.sha256(f"{whole} frame {frame}".encode()).hexdigest()


def _notes(images: int, named: int, left_out: int, *, trained_on: bool) -> list[str]:
    notes: list[str] = []
    if trained_on:
        notes.append("The network was trained on this hospital.")
    if images:
        notes.append(f"{plural(images, 'image')} are those of training cases.")
    if named and not trained_on:
        notes.append(
            f"{plural(named, 'patient')} have an id that a training patient has. Another hospital "
            "may give the same numbers: they are kept unless an image is the same."
        )
    if left_out:
        notes.append(f"{plural(left_out, 'patient')} used in training are left out.")
    return notes or ["No image and no patient of the training was found."]


def without_cases(frame: pl.DataFrame, source: CaseSource, cases: Flags) -> pl.DataFrame:
    """Rows of a table without some cases of the source."""
    ids = [case.case_id for case, out in zip(source.cases, cases.tolist(), strict=True) if out]
    return frame.filter(~pl.col("case_id").is_in(ids))
