"""The one way files are written: whole, or not at all.

A file is written to a temporary name in the same folder, flushed, fsynced, moved into place with
`os.replace`, and the folder is fsynced. A folder artefact (a checkpoint, a cache) is finished by
a manifest of sizes and SHA-256 written last, and is invalid without it. Nothing else in the
package opens a file for writing; a test in ``tests/laws`` holds it to that.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from medtransfer.disk import free_bytes
from medtransfer.errors import StudyError
from medtransfer.permissions import permissions

SEAL = "MANIFEST.json"
TEMPORARY = ".tmp-"
LEFTOVER = re.compile(r"(?s).+\.tmp-[0-9a-f]{16}|\.tmp[A-Za-z0-9]{6}")
"""Names of half-written files: this module's, and those that safetensors gives them."""
MAX_STEM = 200
"""Bytes of a file's name that its temporary name repeats: file systems allow 255 in all."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk, and of a user's exhausted quota."""

on_operation: Callable[[str], None] = lambda _name: None  # noqa: E731
"""Called before every step that reads or changes the disk; fault-injection tests replace it."""

_guards: list[Callable[[], None]] = []


def add_guard(guard: Callable[[], None]) -> None:
    """Call a function before every file that this process moves into place or removes.

    Args:
        guard: Raises a `StudyError` if this process may no longer write.
    """
    _guards.append(guard)


def remove_guard(guard: Callable[[], None]) -> None:
    """Stop calling a guard; one that is not called is fine."""
    _guards[:] = [other for other in _guards if other != guard]


def _ask_guards() -> None:
    for guard in _guards:
        guard()


_records: list[set[Path]] = []


@contextlib.contextmanager
def recording() -> Generator[set[Path]]:
    """Collect the paths that this process writes or removes while inside."""
    paths: set[Path] = set()
    _records.append(paths)
    try:
        yield paths
    finally:
        _records[:] = [other for other in _records if other is not paths]


def note_change(path: Path) -> None:
    """Tell `recording` of a path that this process, or one that it started, changed."""
    for paths in _records:
        paths.add(path)


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give the path of an empty file to write to; on leaving, move it durably to `path`.

    Its mode is that of `permissions`, whatever the writer makes of it. An error inside leaves
    neither `path` nor the temporary file. Its random name must be new: no planted link is written
    through. A device or a pipe is not replaced.

    Raises:
        StudyError: The disk is full or does not let itself be written to.
    """
    temporary = _temporary_name(path)
    try:
        on_operation("open")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError(errno.EINVAL, "it is a device or a pipe")
        mode = permissions(0o666)
        _make_folders(path.parent)
        _create(temporary, mode)
        yield temporary
        temporary.chmod(mode)  # safetensors puts a file of its own in its place
        on_operation("fsync")
        fsync(temporary)
        on_operation("replace")
        _ask_guards()
        temporary.replace(path)
        note_change(path)
        on_operation("fsync folder")
        fsync(path.parent)
    except OSError as error:
        if not isinstance(error, FileExistsError):  # somebody else's file
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise _disk_error(path, error) from error
    except Exception:
        temporary.unlink(missing_ok=True)
        raise


def is_temporary(path: Path) -> bool:
    """True if a file has the name of a half-written one."""
    return LEFTOVER.fullmatch(path.name) is not None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, durably and atomically."""
    with replacing(path) as temporary:
        on_operation("write")
        temporary.write_bytes(content)


def link_over(source: Path, path: Path) -> None:
    """Give a file a second name, which replaces what has it; a copy where disks have no links.

    Raises:
        StudyError: The file is gone, or the disk does not let itself be written to.
    """
    temporary = _temporary_name(path)
    try:
        on_operation("link")
        os.link(source, temporary)
        temporary.replace(path)
        fsync(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        try:
            content = source.read_bytes()
        except OSError as error:
            raise _disk_error(path, error) from error
        write_bytes(path, content)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, durably and atomically."""
    write_bytes(path, text.encode())


def create_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a new text file, whole or not at all; of several processes one succeeds.

    Args:
        path: To write.
        text: Its content.
        private: Its owner alone may read it (mode 0600), whatever others may.

    Raises:
        FileExistsError: Something has this name already; it is left as it is.
        StudyError: The disk is full or does not let itself be written to.
    """
    temporary = _temporary_name(path)
    try:
        on_operation("open")
        _make_folders(path.parent)
        _create(temporary, 0o600 if private else permissions(0o666))
        on_operation("write")
        temporary.write_text(text, encoding="utf-8")
        fsync(temporary)
        on_operation("link")
        _ask_guards()
        os.link(temporary, path)  # unlike a move it never replaces what another process wrote
        note_change(path)
        fsync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise _disk_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys; refuses NaN, which is not JSON."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Text that `write_json` writes."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StudyError: The file is missing or holds something else.
    """
    try:
        return json.loads(read_content(path))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f'"{path}" cannot be read as JSON ({type(error).__name__}).') from error


def read_content(path: Path) -> bytes:
    """Content of a small file; raises the system's error if it cannot be read.

    Pipes, sockets and devices are not waited for: they are no files.
    """
    on_operation("read")
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "not a file", str(path))
    return path.read_bytes()


def is_full(error: Exception) -> bool:
    """True if an error of this module was raised because the disk is full."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, with `permissions`; an existing one is fine."""
    try:
        on_operation("make folder")
        _make_folders(path)
    except OSError as error:
        raise _disk_error(path, error) from error
    return path


def remove(path: Path) -> None:
    """Delete a file or a folder tree that this package made; a missing one is fine.

    Raises:
        StudyError: The disk does not let a file be deleted.
    """
    _ask_guards()
    note_change(path)
    try:
        on_operation("remove")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(
            f'"{path}" could not be deleted: {error.strerror or error}. Check the permissions of '
            "the folder."
        ) from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        FileNotFoundError, IsADirectoryError, NotADirectoryError: There is no such file.
        StudyError: It cannot be read, which says nothing about its content.
    """
    try:
        on_operation("read")
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise
    except OSError as error:
        raise StudyError(
            f'"{path}" could not be read: {error.strerror or error}. Nothing was changed. Run the '
            "same command again, or delete the file."
        ) from error


def file_stamp(path: Path | str) -> tuple[int, int, int, int]:
    """Size, modification time, change time (in nanoseconds) and inode; -1 each if it is missing.

    The change time cannot be set: it tells of a file that was written over and given its old
    modification time.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 — a third faster than Path for millions of images
    except (OSError, ValueError):
        return -1, -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def seal_folder(folder: Path) -> None:
    """Finish a folder artefact: sizes and SHA-256 of its files, written last."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and not is_temporary(p))
    files = {name: _entry(folder / name) for name in names if name != SEAL}
    write_json(folder / SEAL, files)


def is_whole(folder: Path, *, verify: bool = True) -> bool:
    """True if a folder artefact is sealed and unaltered.

    Args:
        folder: The artefact.
        verify: Compare SHA-256 too; without, only presence and size.
    """
    try:
        files: dict[str, dict[str, int | str]] = json.loads(read_content(folder / SEAL))
        return all(
            (folder / name).stat().st_size == entry["size"]
            and (not verify or sha256(folder / name) == entry["sha256"])
            for name, entry in files.items()
        )
    except (OSError, StudyError, ValueError, KeyError, TypeError, AttributeError):
        return False


def sweep_temporaries(folder: Path, older_than: float = 0.0, *, deep: bool = True) -> None:
    """Delete what a killed process left half written in a folder.

    Args:
        folder: Where to look.
        older_than: Seconds since a file was last written to; another process may be at work on
            one that is younger.
        deep: Look into the folders in it, too.
    """
    look = folder.rglob if deep else folder.glob
    for path in filter(is_temporary, look("*.tmp*")):
        with contextlib.suppress(FileNotFoundError):  # its writer was quicker
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime >= older_than:
                path.unlink()


def _temporary_name(path: Path) -> Path:
    stem = os.fsencode(path.name)[:MAX_STEM].decode("utf-8", "ignore")
    return path.with_name(f"{stem}{TEMPORARY}{secrets.token_hex(8)}")


def _create(path: Path, mode: int) -> None:
    """Create an empty file of a mode under a name that nothing has."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, mode))


def _make_folders(path: Path) -> None:
    """Create what is missing of a folder and its parents, durably."""
    mode = permissions(0o777)
    for folder in reversed([p for p in (path, *path.parents) if not p.is_dir()]):
        folder.mkdir(mode, exist_ok=True)  # another process may be quicker
        # mkdir obeys the shell's umask too; the set-gid bit hands a team's group on
        folder.chmod(mode | stat.S_IMODE(folder.stat().st_mode) & stat.S_ISGID)
        fsync(folder.parent)


def _entry(path: Path) -> dict[str, int | str]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def fsync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names, also when the power fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_error(path: Path, error: OSError) -> StudyError:
    if error.errno in FULL:
        free = free_bytes(path) / 2**20
        return StudyError(
            f'The disk is full: "{path}" could not be written ({free:.0f} MiB free). What was '
            "finished is kept; free some space and run the same command again."
        )
    why = f'"{path}" could not be written: {error.strerror or error}.'
    if error.errno == errno.EINVAL:
        return StudyError(f"{why} Name a file instead.")
    return StudyError(f"{why} Check the permissions of the folder, or write elsewhere with --out.")
