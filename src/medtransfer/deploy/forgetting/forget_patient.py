"""Forgetting a patient: in a study's folder, and in bundles and tables that were made elsewhere.

Elsewhere are folders of adaptations too that were not finished. No study is needed to search there.

Files outside of the study are named and never changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from medtransfer.deploy.adaptation.tuning.work import TUNING_SUFFIX, holds_patient
from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.errors import BundleError, ConfigError, plural
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.care.forget import forget_in_study
from medtransfer.study.care.patient_traces import StudyTraces

BUNDLE = ".medt"
TABLES = (".csv", ".parquet")
UNFINISHED = f"{BUNDLE}{TUNING_SUFFIX}"
"""Ending of the folder of an adaptation that was not finished."""
NO_STUDY = (
    "No study is here, and only what lies in a study's folder is deleted. Name the study's folder "
    "with --study, or places to look through with --search and without --yes."
)
UNTOLD_FOLDER = (
    '"{path}" is of an adaptation that was not finished, and does not tell of whom. It may hold '
    "prepared images of the patient: delete it."
)
UNTOLD_BUNDLE = '"{path}" holds no digests of patients, so only images of a study were looked for.'
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
        study: Those in the study's folder; None without a study.
        bundles: Bundles whose networks were trained on the patient.
        tables: Tables outside of the study's folder, with the number of the patient's rows.
        unfinished: Folders of unfinished adaptations with prepared images of the patient.
        searched: Number of bundles, tables and such folders that were opened.
        notes: What could not be told.
        is_deleted: True if the traces in the study's folder were deleted.
    """

    study: StudyTraces | None
    bundles: tuple[KnownBundle, ...]
    tables: tuple[tuple[str, int], ...]
    unfinished: tuple[str, ...]
    searched: int
    notes: tuple[str, ...]
    is_deleted: bool

    def plain(self) -> dict[str, object]:
        """The outcome as a JSON object."""
        return asdict(self)


def forget_patient(
    folder: StudyFolder | None,
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
        folder: Of the study; None to look through other places alone.
        patient: The id, as in the manifest; it is in no message.
        search: Folders or files to look for bundles and tables in, beside the study's folder.
        delete: Delete what lies in the study's folder; otherwise it is named.

    Returns:
        The traces as they were before.

    Raises:
        StudyError: Another process works on the study, or it was never run.
        ConfigError: The id is empty, a place to search is not there, or there is no study to
            delete in, nor a place.
    """
    if not patient.strip():
        raise ConfigError("The patient's id is empty. Give it as it is in the manifest.")
    places = [Path(place) for place in search]
    if missing := [number for number, place in enumerate(places, 1) if not place.exists()]:
        numbers = ", ".join(str(number) for number in missing)
        raise ConfigError(f"Of the places to search, number {numbers} is not there.")
    if folder is None and (delete or not places):
        raise ConfigError(NO_STUDY)
    traces, contents = None, frozenset[str]()
    if folder is not None:
        traces, contents = forget_in_study(folder, patient, delete=delete)
        places.insert(0, folder.path)
    evidence = Evidence(patient, contents, () if traces is None else traces.trained)
    elsewhere = Elsewhere()
    for path in _files(places, None if folder is None else folder.path):
        elsewhere.look(path, evidence)
    return ForgottenPatient(
        study=traces,
        bundles=tuple(elsewhere.bundles),
        tables=tuple(elsewhere.tables),
        unfinished=tuple(elsewhere.unfinished),
        searched=elsewhere.searched,
        notes=tuple(elsewhere.notes),
        is_deleted=delete,
    )


@dataclass(frozen=True)
class Evidence:
    """Data by which a patient is recognised.

    Attributes:
        patient: The id.
        contents: SHA-256 of their images, as far as a study knows them.
        trained: Runs that were trained on them.
    """

    patient: str
    contents: frozenset[str]
    trained: Sequence[str]

    def of_bundle(self, bundle: Bundle) -> Certainty | None:
        """The reason to take a bundle's networks for trained on the patient; None for no reason."""
        digests = bundle.training_digests
        is_known = digests.known_patients([self.patient])
        if is_known is not None and is_known.any():
            return "patient"
        if self.contents and digests.known_images(self.contents).any():
            return "image"
        return "run" if set(bundle.facts.training.run_ids) & set(self.trained) else None


@dataclass
class Elsewhere:
    """Bundles, tables and folders that were looked through, and those with the patient.

    Attributes:
        bundles: As in `ForgottenPatient`, like all others.
        tables: Likewise.
        unfinished: Likewise.
        notes: Likewise.
        searched: Likewise.
    """

    bundles: list[KnownBundle] = field(default_factory=list[KnownBundle])
    tables: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    unfinished: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    searched: int = 0

    def look(self, path: Path, evidence: Evidence) -> None:
        """Look through a bundle, a table or the folder of an adaptation."""
        self.searched += 1
        try:
            if path.is_dir():
                self._look_in_folder(path, evidence)
            elif path.suffix == BUNDLE:
                self._look_in_bundle(path, evidence)
            elif count := _count_rows(path, evidence.patient):
                self.tables.append((str(path), count))
        except (BundleError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            self.notes.append(f'"{path}" could not be opened, so it was not searched.')

    def _look_in_folder(self, path: Path, evidence: Evidence) -> None:
        match holds_patient(path, evidence.patient):
            case None:
                self.notes.append(UNTOLD_FOLDER.format(path=path))
            case True:
                self.unfinished.append(str(path))
            case False:
                pass

    def _look_in_bundle(self, path: Path, evidence: Evidence) -> None:
        bundle = read_bundle(path)
        certainty = evidence.of_bundle(bundle)
        if certainty is not None:
            self.bundles.append(KnownBundle(str(path), certainty))
        elif bundle.training_digests.patients is None:
            self.notes.append(UNTOLD_BUNDLE.format(path=path))


def forgotten_text(outcome: ForgottenPatient) -> str:
    """The number of files that were searched, in words."""
    if outcome.study is None:
        return f"Searched: {plural(outcome.searched, 'file')}. There is no study here."
    runs = plural(outcome.study.runs, "run")
    return f"{runs} and {plural(outcome.searched, 'file')} outside of them were searched."


def _files(places: Sequence[Path], study: Path | None) -> Iterator[Path]:
    """Bundles and folders of adaptations, and tables outside of a study, each once."""
    seen: set[Path] = set()
    for place in places:
        for path in [place, *([] if place.is_file() else sorted(place.rglob("*")))]:
            whole = path.resolve()
            if whole not in seen and _is_searched(path, study):
                seen.add(whole)
                yield path


def _is_searched(path: Path, study: Path | None) -> bool:
    """True for what is opened: of the folder of an adaptation its whole, and no file in it."""
    if any(above.name.endswith(UNFINISHED) for above in path.parents):
        return False
    if path.is_dir():
        return path.name.endswith(UNFINISHED)
    if path.suffix == BUNDLE:
        return path.is_file()
    is_outside = study is None or not path.resolve().is_relative_to(study.resolve())
    return path.suffix in TABLES and is_outside and path.is_file()


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
