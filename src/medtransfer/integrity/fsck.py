"""Independent check of a study's folder: every file is read and compared with the seals.

It shares no code with what writes the files, so that a fault there does not hide here. It changes
nothing.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl

from medtransfer.errors import StudyError

CHUNK = 1 << 20
LEASE = re.compile(r"lease(-[0-9a-f]+)?\.json")
SHARD = re.compile(r"[13]x(8|16)-[0-9a-f]{16}\.parquet")
STUDY_VIEWS = {"seal.json", "auto/clock.json"}
RUN_VIEWS = {"done", "error.json", "progress.json", "stacks.txt"}
REPAIR = "`medtransfer run` repairs it."
REPEAT = "`medtransfer run` carries the run out again."


@dataclass(frozen=True)
class FileFault:
    """A file that is not as it was sealed.

    Attributes:
        file: Its path in the study's folder.
        fault: What is wrong with it.
        remedy: What to do.
    """

    file: str
    fault: str
    remedy: str


@dataclass(frozen=True)
class FsckReport:
    """Outcome of a check.

    Attributes:
        files: Number of files that were compared.
        nbytes: Bytes that were read.
        faults: In the order of the files.
        notes: What could not be checked, and files that no seal lists.
    """

    files: int
    nbytes: int
    faults: tuple[FileFault, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True if nothing is wrong."""
        return not self.faults

    def plain(self) -> dict[str, object]:
        """The report as a JSON object."""
        return {**asdict(self), "passed": self.passed}


def fsck(folder: Path | str) -> FsckReport:
    """Compare every file of a study's folder with its seals; change nothing.

    Args:
        folder: The study's folder.

    Returns:
        The files that were checked and what is wrong with them.

    Raises:
        StudyError: It is not the folder of a study.
    """
    folder = Path(folder)
    if not folder.is_dir() or not any((folder / n).exists() for n in ("study.json", "seal.json")):
        raise StudyError(
            f'"{folder}" is not the folder of a study (it has neither study.json nor seal.json). '
            "Name the folder that `medtransfer run` wrote, e.g. studies/NAME."
        )
    return _Check(folder).report()


class _Check:
    """One pass over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._faults: dict[str, FileFault] = {}
        self._notes: list[str] = []
        self._compared: set[str] = set()
        self._nbytes = 0

    def report(self) -> FsckReport:
        """Check everything."""
        runs = self._folder / "runs"
        for run in sorted(runs.iterdir()) if runs.is_dir() else ():
            self._check_run(run)
        self._check_plan()
        for manifest in sorted(self._folder.rglob("MANIFEST.json")):
            self._check_artefact(manifest)
        for index in sorted(self._folder.glob("cache/*/*.parquet")):
            if SHARD.fullmatch(index.name):
                self._check_shard(index)
        self._check_study()
        self._note_unlisted()
        faults = tuple(self._faults[name] for name in sorted(self._faults))
        return FsckReport(len(self._compared), self._nbytes, faults, tuple(self._notes))

    def _check_run(self, run: Path) -> None:
        name = f"runs/{run.name}"
        if not (run / "done").exists():
            return
        seal = self._sealed_json(f"{name}/done", "seal", REPEAT)
        if seal is None:
            return
        if set(seal) == {"predictions"}:  # version 0.1 sealed the predictions alone
            self._compare(f"{name}/predictions.parquet", {"sha256": seal["predictions"]}, REPEAT)
            return
        for file, entry in _mapping(seal.get("files")).items():
            remedy = REPEAT if file == "predictions.parquet" else REPAIR
            if file.startswith("predictions/"):
                remedy = "`medtransfer run` predicts these cases again."
            if file.startswith("checkpoint/"):
                remedy = f"The predictions are kept. To train again, delete {name}/done and run."
            self._compare(f"{name}/{file}", entry, remedy)
        self._check_names(run, name)

    def _check_names(self, run: Path, name: str) -> None:
        """Compare the id in a run's files with the name of its folder."""
        record = self._json(run / "run.json")
        if record is not None and record.get("run_id", run.name) != run.name:
            self._fault(f"{name}/run.json", "is of another run", REPEAT)
        for path in [run / "predictions.parquet", *sorted(run.glob("predictions/*.parquet"))]:
            file = f"{name}/{path.relative_to(run).as_posix()}"
            if path.parent != run and file not in self._compared:
                continue  # no seal lists it, so nothing reads it
            try:
                ids = pl.read_parquet(path, columns=["run_id"])["run_id"].unique().to_list()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
                self._fault(file, "cannot be read", REPEAT)
                continue
            if ids != [run.name]:
                self._fault(file, "is of another run", REPEAT)

    def _check_plan(self) -> None:
        """Every planned run has a folder and an outcome."""
        path = self._folder / "plan.json"
        try:
            plan = json.loads(path.read_text("utf-8"))
            ids = [str(entry["run_id"]) for entry in plan]
        except (OSError, ValueError, KeyError, TypeError):
            if path.exists():
                self._fault("plan.json", "cannot be read", REPAIR)
            return
        missing = [i for i in ids if not (self._folder / "runs" / i / "done").exists()]
        for run_id in missing:
            if not (self._folder / "runs" / run_id / "error.json").exists():
                self._fault(f"runs/{run_id}/done", "is missing: the run is not done", REPEAT)

    def _check_artefact(self, manifest: Path) -> None:
        """A sealed folder, e.g. of weights or features."""
        name = manifest.relative_to(self._folder).as_posix()
        if "/checkpoint/step-" in name:
            return
        remedy = f"`medtransfer run` makes it again, once {Path(name).parent} is deleted."
        files = self._json(manifest)
        if files is None:
            self._fault(name, "cannot be read", remedy)
            return
        for file, entry in files.items():
            path = (manifest.parent / file).relative_to(self._folder).as_posix()
            if path not in self._compared:
                self._compare(path, entry, remedy)

    def _check_shard(self, index: Path) -> None:
        """Images of a cache, by the digest in their index."""
        name = index.relative_to(self._folder).as_posix()
        pixels = f"{name.removesuffix('.parquet')}.pixels"
        try:
            table = pl.read_parquet(index)
            ends, sealed = table["end"].to_numpy().astype("<i8").tobytes(), table["sha256"][0]
            listed = [table["content"].to_list(), table["decoder"].to_list()]
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, IndexError):
            self._fault(name, "cannot be read", REPAIR)
            return
        if index.stem.split("-")[-1] != _digest(listed)[:16]:
            self._fault(name, "lists other images than its name says", REPAIR)
        content = self._sha256(self._folder / pixels)
        self._compared.add(pixels)
        if content is None:
            self._fault(pixels, "is missing or cannot be read", REPAIR)
        elif hashlib.sha256(content + ends).hexdigest() != sealed:
            self._fault(pixels, "has another content", REPAIR)

    def _check_study(self) -> None:
        """Files that the study's own seal lists."""
        if not (self._folder / "seal.json").exists():
            if (self._folder / "collected.json").exists() and self._is_at_rest():
                self._fault("seal.json", "is missing", REPAIR)
            self._notes.append("Files of the study itself have no seal: it was not run to its end.")
            return
        seal = self._sealed_json("seal.json", "seal", REPAIR, of="files")
        if seal is None:
            return
        if not self._is_at_rest():
            self._notes.append(
                "lease.json: a process works on this study, or was killed. Files of the study "
                "itself are not compared; run the study to its end first."
            )
            return
        has_cache = (self._folder / "cache").is_dir()
        for file, entry in _mapping(seal.get("files")).items():
            if has_cache or not file.startswith("cache/"):
                self._compare(file, entry, REPAIR)

    def _is_at_rest(self) -> bool:
        return not any(LEASE.fullmatch(path.name) for path in self._folder.glob("lease*.json"))

    def _note_unlisted(self) -> None:
        """Name files that no seal lists, of runs that are done and of the study itself."""
        if not self._is_at_rest() or not (self._folder / "seal.json").exists():
            return
        for path in self._all_files():
            name = path.relative_to(self._folder).as_posix()
            parts = name.split("/")
            is_open = (
                parts[0] == "runs" and not (self._folder / "runs" / parts[1] / "done").exists()
            )
            if name in self._compared or is_open or name in self._faults or name in STUDY_VIEWS:
                continue
            if parts[0] == "runs" and parts[-1] in RUN_VIEWS:
                continue
            self._notes.append(f"{name}: no seal lists this file.")

    def _all_files(self) -> Iterator[Path]:
        for place, folders, files in os.walk(self._folder):
            folders.sort()
            yield from (Path(place) / name for name in sorted(files))

    def _sealed_json(self, name: str, key: str, remedy: str, of: str = "") -> dict[str, Any] | None:
        """A JSON file that names the digest of its own content; None if that does not hold."""
        path = self._folder / name
        content = self._json(path)
        self._compared.add(name)
        if content is None:
            self._fault(name, "cannot be read", remedy)
            return None
        if path.read_bytes() != _spelled(content):
            self._fault(name, "has another content", remedy)
            return None
        body = {k: v for k, v in content.items() if k != key}
        if set(content) != {"predictions"} and content.get(key) != _digest(
            body[of] if of else body
        ):
            self._fault(name, "has another content", remedy)
            return None
        return content

    def _json(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_bytes()) if path.is_file() else None
        except (OSError, ValueError, RecursionError):
            return None
        return cast("dict[str, Any]", content) if isinstance(content, dict) else None

    def _compare(self, name: str, entry: object, remedy: str) -> None:
        """Compare one file with its entry in a seal."""
        path, sealed = self._folder / name, _mapping(entry)
        self._compared.add(name)
        if name.startswith("/") or ".." in name.split("/"):
            self._fault(name, "lies outside of the folder: the seal is forged", "Do not use it.")
            return
        if path.is_symlink() or not path.is_file():
            self._fault(name, "is missing" if not path.exists() else "is no file", remedy)
            return
        size = path.stat().st_size
        if size != sealed.get("size", size):
            self._fault(name, f"has {size:,} bytes, sealed with {sealed['size']:,}", remedy)
            return
        content = self._sha256(path)
        if content is None:
            self._fault(name, "cannot be read", remedy)
        elif content.hex() != sealed.get("sha256"):
            self._fault(name, "has another content", remedy)

    def _sha256(self, path: Path) -> bytes | None:
        hashed = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while part := stream.read(CHUNK):
                    hashed.update(part)
                    self._nbytes += len(part)
        except OSError:
            return None
        return hashed.digest()

    def _fault(self, name: str, fault: str, remedy: str) -> None:
        self._faults.setdefault(name, FileFault(name, fault, remedy))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _digest(value: object) -> str:
    """SHA-256 of JSON with sorted keys and no blanks."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _spelled(value: object) -> bytes:
    """JSON as the package writes it."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
