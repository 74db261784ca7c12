"""`medtransfer` called in this process, and a user's folder with a study that has run."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from medtransfer.cli import main as command_line
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.files import sha256
from medtransfer.study.yaml_file import read_study

STUDY = """\
name: skin
data:
  manifest: skin.csv
  task: binary
  targets: [malignant]
  attributes: [sex]
  image: {resize: 36, crop: 32}
  split: {train_cohorts: [north]}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {batch_size: 8, steps: 2, checks: 1}
evaluation: {replicates: 30, permutations: 10}
"""


@dataclass
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Call `medtransfer` in this process, from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["medtransfer", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        found = capsys.readouterr()
        return Said(int(ended.value.code or 0), found.out, found.err)

    return run


@dataclass
class Desk:
    """A user's folder: ``skin.csv`` with its ``images``, ``study.yaml``, and a finished run."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "skin.csv"

    @property
    def table(self) -> pl.DataFrame:
        """The manifest, every cell as text."""
        return pl.read_csv(self.manifest, infer_schema=False)

    def picture(self, row: int) -> Path:
        """The image file of a row, as a spreadsheet counts rows."""
        return self.path / self.table["path"][row - 2]

    def write(self, table: pl.DataFrame) -> None:
        table.write_csv(self.manifest)

    def edit(self, before: str, after: str) -> None:
        """Change the study file."""
        text = (self.path / "study.yaml").read_text("utf-8")
        assert text.count(before) == 1
        (self.path / "study.yaml").write_text(text.replace(before, after), "utf-8")

    def computed(self) -> dict[str, str]:
        """Digests of everything that runs have left, but for seals: those note times of files."""
        runs = self.path / "studies" / "skin" / "runs"
        files = sorted(path for path in runs.rglob("*") if path.is_file() and path.name != "done")
        return {path.relative_to(runs).as_posix(): sha256(path) for path in files}


@pytest.fixture(scope="session")
def _desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.in_process import run_here

    folder = tmp_path_factory.mktemp("desk")
    hospitals = {"north": Hospital(40), "south": Hospital(16)}
    write_phantom(Phantom(hospitals=hospitals, size=32, seed=5), folder / "skin.csv")
    table = pl.read_csv(folder / "skin.csv", infer_schema=False)
    table.drop("truth_malignant", "diagnosis", "age").write_csv(folder / "skin.csv")
    (folder / "study.yaml").write_text(STUDY, "utf-8")
    run_here(read_study(folder / "study.yaml"), folder / "studies" / "skin")
    return folder


@pytest.fixture
def desk(_desk: Path, tmp_path: Path) -> Desk:
    """A copy of the user's folder to spoil, in the folder that `call` works from."""
    shutil.copytree(_desk, tmp_path, dirs_exist_ok=True)
    return Desk(tmp_path)
