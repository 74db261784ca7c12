"""Seal of a study's folder: ``seal.json`` lists every file that no other seal lists.

Files of the folder are either inputs of a run's id, sealed by the run, or derived from those. A
derived file that does not match is deleted before a study goes on, and the study makes it again.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from medtransfer.errors import StudyError
from medtransfer.files import SEAL, is_temporary, note_change, read_json, remove, write_json
from medtransfer.integrity.run_seal import DONE, read_run_seal
from medtransfer.integrity.sealed_file import SealedFile, read_entries
from medtransfer.settings import digest

STUDY_SEAL = "seal.json"
CLOCK = "auto/clock.json"
"""Time that an automatic study has used: a view that may be lost."""
UNSEALED = (STUDY_SEAL, "lease.json", CLOCK, "stop.json")
LEASES = "lease-"
"""Start of the names of claims to the folder, which come and go."""
RUN_LEASES = "leases"
"""Folder of the leases of single runs, which come and go."""
RUNS = "runs"
PIXELS = ".pixels"
"""Images of a cache: the index beside them seals them."""
Seal = dict[str, SealedFile]
"""Files by path, relative to the study's folder."""


def seal_study(folder: Path, changed: Iterable[Path]) -> None:
    """Write the seal of a study's folder after this process has changed files in it.

    What was not changed keeps its entry, so that damage is not sealed as if it were new.

    Args:
        folder: The study's.
        changed: Files that were written or removed, and folders whose files are all taken anew.
    """
    old = _entries(folder)
    renewed = {str(path.absolute()) for path in changed}  # not resolved: links stay as they are
    root = str(folder.absolute())
    entries: Seal = {}
    for name in sealed_names(folder):
        known = None if _is_among(f"{root}/{name}", renewed) else old.get(name)
        with contextlib.suppress(OSError):  # it went away while it was read
            entries[name] = (
                known or SealedFile.named(folder / name) or SealedFile.read(folder / name)
            )
    for name, entry in old.items():  # deleted by somebody else
        if name not in entries and not _is_among(f"{root}/{name}", renewed):
            entries[name] = entry
    files = {name: entry.record() for name, entry in entries.items()}
    write_json(folder / STUDY_SEAL, {"files": files, "seal": digest(files)})


def remove_damaged(folder: Path, *, verify: bool = False) -> list[str]:
    """Delete derived files that do not match the seal; their names, and those that are missing.

    Files of runs are left: the seals of runs decide on them.

    Args:
        folder: The study's.
        verify: Read every file, also where size and times are as they were.
    """
    names: list[str] = []
    has_cache = (folder / "cache").is_dir()
    if not has_cache:  # deleted to save space: what is made of it later is all there is
        note_change(folder / "cache")
    for name, entry in _entries(folder).items():
        path = folder / name
        if name.startswith(f"{RUNS}/") and Path(name).name == DONE:
            continue
        if name.startswith("cache/") and not has_cache:  # it may be deleted at any time
            continue
        if not entry.is_content_of(path, verify=verify) and _lies_in(folder, path):
            names.append(name)
            _delete(path)
    return names


def unsealed_changes(folder: Path, starts: Sequence[str]) -> list[str]:
    """Files that do not match the seal, of those whose path starts in one of some ways.

    Empty while a process works on the study, and after it was killed: the seal is written at the
    end.
    """
    if (folder / "lease.json").exists():
        return []
    return [
        name
        for name, entry in _entries(folder).items()
        if name.startswith(tuple(starts)) and not entry.is_content_of(folder / name)
    ]


def sealed_names(folder: Path) -> Iterator[str]:
    """Files that the study's seal lists, by path."""
    for place, folders, files in os.walk(folder):
        folders[:] = (
            sorted(set(folders) - {RUN_LEASES}) if place == str(folder) else sorted(folders)
        )
        where = Path(place).relative_to(folder)
        if where.parts[:1] == (RUNS,) and len(where.parts) == 2:
            folders.clear()
            yield from _run_views(Path(place), where)
            continue
        own = _sealed_here(Path(place)) if SEAL in files else set[str]()
        for name in sorted(files):
            path = (where / name).as_posix()
            is_view = path in UNSEALED or path.startswith(LEASES) or is_temporary(Path(name))
            if not (is_view or name in own or name.endswith(PIXELS)):
                yield path


def _run_views(place: Path, where: Path) -> Iterator[str]:
    """Files of a finished run that its own seal leaves out; of others, which change, none."""
    try:
        seal = read_run_seal(place)
    except StudyError:
        seal = None
    if seal is None:
        return
    for path in sorted(place.iterdir()):
        if path.name not in seal.files and path.is_file() and not is_temporary(path):
            yield (where / path.name).as_posix()


def _sealed_here(place: Path) -> set[str]:
    try:
        return set(cast("dict[str, Any]", read_json(place / SEAL)))
    except (StudyError, TypeError):
        return set()


def _entries(folder: Path) -> Seal:
    """Entries of the seal; empty where there is none, or where it is damaged itself."""
    try:
        content = cast("dict[str, Any]", read_json(folder / STUDY_SEAL))
        if digest(content["files"]) != content["seal"]:
            return {}
        return read_entries(content["files"])
    except (StudyError, KeyError, TypeError, ValueError, AttributeError):
        return {}


def sealed_entry(folder: Path, name: str) -> SealedFile | None:
    """Entry of one file in a study's seal; None where it has none."""
    return _entries(folder).get(name)


def has_damaged_seal(folder: Path) -> bool:
    """True if the folder has a seal that cannot be used; a sound one lists at least one file."""
    return (folder / STUDY_SEAL).exists() and not _entries(folder)


def _is_among(path: str, changed: set[str]) -> bool:
    """True if a file, or a folder that it lies in, was changed."""
    if path in changed:
        return True
    parents = (path[:end] for end, letter in enumerate(path) if letter == "/")
    return any(parent in changed for parent in parents)


def _lies_in(folder: Path, path: Path) -> bool:
    """True unless a link leads from the folder to a file elsewhere, which is not ours to delete."""
    return path.parent.resolve().is_relative_to(folder.resolve())


def _delete(path: Path) -> None:
    """Delete a file, or the folder that somebody put in its place."""
    note_change(path)
    if path.is_symlink() or path.exists():
        remove(path)
