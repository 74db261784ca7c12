"""Seal of a finished run: ``done``, written last, with size and SHA-256 of every other file.

Small text files have a copy in it, so that they can be put back. Stamps beside the digests say
which files need not be read again; `fsck` reads them all.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from medtransfer.errors import StudyError
from medtransfer.files import (
    SEAL,
    file_stamp,
    is_temporary,
    read_content,
    read_json,
    write_json,
)
from medtransfer.integrity.sealed_file import SealedFile, read_entries
from medtransfer.settings import digest

DONE = "done"
PREDICTIONS = "predictions.parquet"
TESTED = "tested.json"
"""Identity of the run, and the cohorts of its predictions."""
ADDED = "predictions"
"""Folder of the predictions of cohorts that were added later."""
TRAJECTORY = "trajectory.parquet"
"""Logits of test cases at the validations of the run, where the study asks for them."""
RECORD = "run.json"
VIEWS = (DONE, "error.json", "progress.json", "stacks.txt")
"""Files of a run folder that say nothing about its outcome; the study's seal lists them."""
CHECKPOINT = "checkpoint"
SELECTED_WEIGHTS = "selected-"
"""Start of the folders of weights that are kept; others only serve to resume."""
MAX_COPY = 200_000
"""Most bytes of a text file that is copied into the seal."""


@dataclass(frozen=True)
class RunSeal:
    """Content of ``done``.

    Attributes:
        files: By path, relative to the run's folder.
        copies: Text of the small files among them.
    """

    files: dict[str, SealedFile]
    copies: dict[str, str]

    def damaged(self, folder: Path, *, verify: bool = False) -> list[str]:
        """Files that are missing or have another content, by path."""
        return [
            name
            for name, entry in self.files.items()
            if not entry.is_content_of(folder / name, verify=verify)
        ]

    def has_old_stamps(self, folder: Path) -> bool:
        """True if files were copied or touched since their stamps were noted."""
        return any(entry.stamp != file_stamp(folder / name) for name, entry in self.files.items())


def seal_run(folder: Path) -> RunSeal:
    """Write the seal of a run that is finished, or scored again."""
    files, copies = dict[str, SealedFile](), dict[str, str]()
    for name in run_files(folder):
        path = folder / name
        files[name] = _known_entry(path) or SealedFile.read(path)
        is_record = path.suffix in (".json", ".jsonl") and "/" not in name
        if is_record and files[name].size <= MAX_COPY:
            copies[name] = path.read_text("utf-8")
    seal = RunSeal(files, copies)
    write_run_seal(folder, seal)
    return seal


def write_run_seal(folder: Path, seal: RunSeal) -> None:
    """Write ``done``; it names the digest of its own content."""
    content = {
        "predictions": seal.files[PREDICTIONS].sha256,
        "files": {name: entry.record() for name, entry in seal.files.items()},
        "copies": seal.copies,
    }
    write_json(folder / DONE, {**content, "seal": digest(content)})


def read_run_seal(folder: Path) -> RunSeal | None:
    """Read the seal of a run.

    Returns:
        None if the run is not done. A seal without files if version 0.1 wrote it: only the digest
        of the predictions is known.

    Raises:
        StudyError: The seal is damaged, or of another run.
    """
    path = folder / DONE
    if not path.exists():
        return None
    try:
        return _parsed_seal(folder, read_content(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyError(f'"{path}" is damaged ({type(error).__name__}).') from error


@lru_cache(maxsize=2**15)  # each step of a study asks for the seals of all runs again
def _parsed_seal(folder: Path, text: bytes) -> RunSeal:
    """The seal in the text of ``done``.

    Raises:
        StudyError: It is damaged, or of another run.
        ValueError, KeyError, TypeError, AttributeError, RecursionError: It is no seal.
    """
    path, content = folder / DONE, json.loads(text)
    if set(content) == {"predictions"}:
        entry = SealedFile((folder / PREDICTIONS).stat().st_size, str(content["predictions"]))
        return RunSeal({PREDICTIONS: entry}, {})
    body = {name: value for name, value in content.items() if name != "seal"}
    if digest(body) != content["seal"]:
        raise StudyError(f'"{path}" is damaged.')
    copies = cast("dict[str, str]", content["copies"])
    if any("/" in name for name in copies):
        raise StudyError(f'"{path}" is damaged.')
    name = folder.name
    if RECORD in copies and json.loads(copies[RECORD]).get("run_id", name) != name:
        raise StudyError(f'"{path}" is of another run.')
    return RunSeal(read_entries(content["files"]), copies)


def run_files(folder: Path) -> Iterator[str]:
    """Files of a run folder that its seal lists, by path: all but views and what only resumes."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        within = name.parts[1:2]
        is_kept = name.parts[0] != CHECKPOINT or (within and within[0].startswith(SELECTED_WEIGHTS))
        if is_kept and path.is_file() and not is_temporary(path) and name.as_posix() not in VIEWS:
            yield name.as_posix()


def _known_entry(path: Path) -> SealedFile | None:
    """The entry of a file whose own folder is sealed: its digest was taken when it was written."""
    try:
        record = read_json(path.parent / SEAL)[path.name]
        entry = SealedFile(int(record["size"]), str(record["sha256"]), file_stamp(path))
    except (StudyError, KeyError, TypeError, ValueError):
        return None
    return entry if entry.stamp[0] == entry.size else None
