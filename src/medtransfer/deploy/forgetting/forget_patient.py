"""Forgetting a patient: in a study's folder, and in bundles and tables that were made elsewhere.

Files outside of the study are named and never changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.errors import BundleError, ConfigError, plural
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.care.forget import forget_in_study
from medtransfer.study.care.patient_traces import StudyTraces

BUNDLE = ".medt"
TABLES = (".csv", ".parquet")
Certainty = Literal["patient", "image", "run"]
CERTAINTIES: dict[Certainty, str] = {
    "patient": "was trained on this patient, by its digests of patients",
    "image": "was trained on an image of this patient, by its digests of images",
    "run": "was made of a run that was trained on this patient",
}


@dataclass(frozen=True)
class KnownBundle:
    """A bundle whose networks were trained on the patient.

    Attributes:
        path: The file.
        by: Evidence.
    """

    path: str
    by: Certainty


@dataclass(frozen=True)
class ForgottenPatient:
    """Files that hold or were made from the data of one patient.

    Attributes:
        study: Those in the study's folder.
        bundles: Bundles whose networks were trained on the patient.
        tables: Tables outside of the study's folder, with the number of the patient's rows.
        searched: Number of bundles and tables that were opened.
        notes: Files that could not be opened.
        is_deleted: True if the traces in the study's folder were deleted.
    """

    study: StudyTraces
    bundles: tuple[KnownBundle, ...]
    tables: tuple[tuple[str, int], ...]
    searched: int
    notes: tuple[str, ...]
    is_deleted: bool

    def plain(self) -> dict[str, object]:
        """The outcome as a JSON object."""
        return asdict(self)


def forget_patient(
    folder: StudyFolder,
    patient: str,
    *,
    search: Sequence[Path | str] = (),
    delete: bool = False,
) -> ForgottenPatient:
    """Name everything that holds or was made from a patient's data, and delete it in the study.

    Runs that were trained on the patient are deleted, rows of predictions, prepared images,
    features and tables of the study too. Bundles and tables elsewhere are named. Copies of a bundle
    that others have, and pre-trained networks, are out of reach.

    Args:
        folder: Of the study.
        patient: The id, as in the manifest; it is in no message.
        search: Folders or files to look for bundles and tables in, beside the study's folder.
        delete: Delete what lies in the study's folder; otherwise it is named.

    Returns:
        The traces as they were before.

    Raises:
        StudyError: Another process works on the study, or it was never run.
        ConfigError: The id is empty, or a place to search is not there.
    """
    if not patient.strip():
        raise ConfigError("The patient's id is empty. Give it as it is in the manifest.")
    places = [Path(place) for place in search]
    if missing := [number for number, place in enumerate(places, 1) if not place.exists()]:
        numbers = ", ".join(str(number) for number in missing)
        raise ConfigError(f"Of the places to search, number {numbers} is not there.")
    traces, contents = forget_in_study(folder, patient, delete=delete)
    bundles, tables, notes, searched = list[KnownBundle](), list[tuple[str, int]](), list[str](), 0
    for path in _files([folder.path, *places], folder.path):
        searched += 1
        try:
            if path.suffix == BUNDLE:
                by = _evidence(read_bundle(path), patient, contents, traces.trained)
                bundles += [] if by is None else [KnownBundle(str(path), by)]
            elif count := _count_rows(path, patient):
                tables.append((str(path), count))
        except (BundleError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            notes.append(f'"{path}" could not be opened, so it was not searched.')
    return ForgottenPatient(
        study=traces,
        bundles=tuple(bundles),
        tables=tuple(tables),
        searched=searched,
        notes=tuple(notes),
        is_deleted=delete,
    )


def forgotten_text(outcome: ForgottenPatient) -> str:
    """The number of files that were searched, in words."""
    runs = plural(outcome.study.runs, "run")
    return f"{runs} and {plural(outcome.searched, 'file')} outside of them were searched."


def _files(places: Sequence[Path], study: Path) -> Iterator[Path]:
    """Bundles in all places, and tables outside of the study's folder, each once."""
    seen: set[Path] = set()
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            whole = path.resolve()
            is_table = path.suffix in TABLES and not whole.is_relative_to(study.resolve())
            if (path.suffix == BUNDLE or is_table) and path.is_file() and whole not in seen:
                seen.add(whole)
                yield path


def _evidence(
    bundle: Bundle, patient: str, contents: frozenset[str], trained: Sequence[str]
) -> Certainty | None:
    """The reason to take a bundle's networks for trained on the patient; None if there is none."""
    digests = bundle.training_digests
    is_known = digests.known_patients([patient])
    if is_known is not None and is_known.any():
        return "patient"
    if contents and digests.known_images(contents).any():
        return "image"
    return "run" if set(bundle.facts.training.run_ids) & set(trained) else None


def _count_rows(path: Path, patient: str) -> int:
    """Rows of a patient in a table with a column `patient_id`."""
    if path.suffix == ".csv":
        table = pl.scan_csv(path, infer_schema=False, glob=False)
    else:
        table = pl.scan_parquet(path, glob=False)
    if "patient_id" not in table.collect_schema():
        return 0
    rows = table.filter(pl.col("patient_id").cast(pl.String) == patient)
    return int(rows.select(pl.len()).collect().item())
