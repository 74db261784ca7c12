"""Working folder of a tuning beside its bundle: checkpoints and images, until the bundle is there.

A stopped command finds its checkpoints again. The folder holds prepared images of patients, and is
removed when the bundle is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medtransfer.files import make_folder, remove
from medtransfer.runs.folders import RunFolder
from medtransfer.settings import digest


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
    def beside(cls, out: Path, made_from: Mapping[str, object]) -> "TuningWork":
        """The folder beside a bundle that is to be written; checkpoints of other inputs go.

        Args:
            out: The bundle.
            made_from: All that decides the networks, as JSON.
        """
        work = cls(out.with_name(f"{out.name}.tuning"), digest(made_from)[:24])
        if work.folder.is_dir():
            for other in work.folder.glob("networks-*"):
                if other.name != f"networks-{work.name}":
                    remove(other)
        make_folder(work.folder)
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
