"""Working folder of a tuning beside its bundle: checkpoints and images, until the bundle is there.

A stopped command finds its checkpoints again. The folder holds prepared images of patients, and
digests of the patients' ids by which `forget` finds them. It is removed when the bundle is written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medtransfer.deploy.bundle.training_digests import patient_digests
from medtransfer.errors import ConfigError, StudyError
from medtransfer.files import make_folder, read_json, remove, write_json
from medtransfer.runs.folders import RunFolder
from medtransfer.settings import digest

TUNING_SUFFIX = ".tuning"
PATIENTS = "patients-{name}.json"


@dataclass(frozen=True)
class TuningWork:
    """Folder of a tuning.

    Attributes:
        folder: All of it.
        name: Digest of what the networks are made from; each digest has checkpoints of its own.
    """

    folder: Path
    name: str

    @classmethod
    def beside(
        cls, out: Path, made_from: Mapping[str, object], patients: Iterable[str], salt: bytes
    ) -> "TuningWork":
        """The folder beside a bundle that is to be written; one of other inputs goes.

        Args:
            out: The bundle.
            made_from: All that decides the networks, as JSON.
            patients: Ids of those whose images will be prepared.
            salt: Of the digests of the ids.

        Raises:
            ConfigError: The folder is a link: what lies behind it would be left there.
        """
        work = cls(out.with_name(f"{out.name}{TUNING_SUFFIX}"), digest(made_from)[:24])
        if work.folder.is_symlink():
            raise ConfigError(
                f'"{work.folder.name}" beside the bundle is a link. Remove it, and delete what '
                "lies behind it: it may hold prepared images of patients."
            )
        names = work.folder / PATIENTS.format(name=work.name)
        if not names.is_file():
            remove(work.folder)
            make_folder(work.folder)
            ids = sorted(set(patients))
            digests = sorted(of_patient.hex() for of_patient in patient_digests(ids, salt))
            write_json(names, {"salt": salt.hex(), "patients": digests})
        return work

    @property
    def cache(self) -> Path:
        """Folder of the prepared images."""
        return self.folder / "cache"

    @property
    def facts(self) -> Path:
        """File of the facts of the images."""
        return self.folder / "images.parquet"

    def run(self, patients: int, member: int) -> RunFolder:
        """Folder of the training of a member with a number of patients."""
        return RunFolder(self.folder / f"networks-{self.name}" / f"{patients}-{member}")

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        remove(self.folder)


def holds_patient(folder: Path, patient: str) -> bool | None:
    """True if a tuning's folder holds data of a patient; None if it does not tell of whom.

    Args:
        folder: Beside a bundle.
        patient: The id.
    """
    records = sorted(folder.glob(PATIENTS.format(name="*")))
    try:
        tables = [read_json(path) for path in records]
        matches = [
            patient_digests([patient], bytes.fromhex(table["salt"]))[0].hex() in table["patients"]
            for table in tables
        ]
    except (StudyError, KeyError, TypeError, ValueError, OSError):
        return None
    return any(matches) if matches else None
