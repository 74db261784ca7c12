"""Faults of the disk at every call through `files.py`, and power that fails after any of them.

A study is carried out in this process, without a worker. After a fault it either went on or raised
an error of the tree; the same command then ends in the same bits.
"""

import contextlib
import errno
import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.in_process import run_here, study_digests

from medtransfer import files
from medtransfer.errors import MedTransferError
from medtransfer.runs.events import RunEnded
from medtransfer.study.config import Study

FAULTS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EBUSY, errno.EMFILE, errno.EDQUOT)
Points = Callable[[int], Iterable[int]]
SAMPLE = 12
"""Operations that a fault is injected at, where not all are."""


@pytest.fixture
def short(tiny_study: Study) -> Study:
    """A study of one run of two steps."""
    training = tiny_study.training.model_copy(update={"steps": 2, "checks": 1})
    return tiny_study.model_copy(update={"training": training})


class FaultyDisk:
    """Counts operations; the n-th fails, and then works again."""

    def __init__(self, at: int, number: int) -> None:
        self.at, self.number, self.count, self.name = at, number, 0, ""

    def __call__(self, name: str) -> None:
        self.count += 1
        if self.count == self.at:
            self.name = name
            raise OSError(self.number, "injected")


def check_faults(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: Points
) -> None:
    counter = FaultyDisk(0, 0)
    monkeypatch.setattr(files, "on_operation", counter)
    golden = study_digests(run_here(study, tmp_path / "golden"))
    assert counter.count > 100
    sentences: list[str] = []
    for n in points(counter.count):
        folder = tmp_path / str(n)
        disk = FaultyDisk(n, FAULTS[n % len(FAULTS)])
        monkeypatch.setattr(files, "on_operation", disk)
        try:
            run_here(study, folder)
        except MedTransferError as error:
            sentences.append(str(error))
        monkeypatch.setattr(files, "on_operation", lambda _: None)
        assert study_digests(run_here(study, folder)) == golden, f"{disk.name}, operation {n}"
        assert not [p for p in folder.rglob("*.tmp-*") if "cache" not in p.parts], disk.name
        assert not list(folder.glob("lease*")), disk.name
        shutil.rmtree(folder)
    assert sentences
    assert min(map(len, sentences)) > 20


def check_short_reads(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: Points
) -> None:
    read = files.read_content
    count, at = 0, 0

    def cut(path: Path) -> bytes:
        nonlocal count
        count += 1
        content = read(path)
        return content[: len(content) // 2] if count == at else content

    monkeypatch.setattr(files, "read_content", cut)
    golden = study_digests(run_here(study, tmp_path / "golden"))
    study_digests(run_here(study, tmp_path / "golden"))  # finished studies read more
    sentences: list[str] = []
    for n in points(count):
        folder = tmp_path / str(n)
        count, at = 0, n
        for _ in range(2):
            try:
                run_here(study, folder)
            except MedTransferError as error:
                sentences.append(str(error))
        at = 0
        assert study_digests(run_here(study, folder)) == golden, f"read {n}"
        shutil.rmtree(folder)
    assert all(len(sentence) > 20 for sentence in sentences)


class DurableDisk:
    """What a disk holds after the power failed: only what was synced.

    A file's content is durable once the file was synced, its name once the folder was. At most one
    move waits for its folder, so there are two outcomes: it is there, or it is not.
    """

    def __init__(self, base: Path, sync: Callable[[Path], None]) -> None:
        self.base, self._sync = base, sync
        self.content: dict[tuple[int, int], bytes] = {}
        self.names: dict[Path, bytes] = {}
        self.folders: set[Path] = {base}

    def fsync(self, path: Path) -> None:
        """Stand in for `files.fsync`."""
        self._sync(path)
        if path.is_dir():
            self._keep_names(path)
        else:
            self.content[self._key(path)] = path.read_bytes()

    def _keep_names(self, folder: Path) -> None:
        self.names = {path: raw for path, raw in self.names.items() if path.parent != folder}
        gone = {path for path in self.folders if path.parent == folder and not path.is_dir()}
        self.folders -= gone
        for path in folder.iterdir():
            if path.is_dir():
                self.folders.add(path)
            elif path.is_file():
                self.names[path] = self.content.get(self._key(path), b"")

    @staticmethod
    def _key(path: Path) -> tuple[int, int]:
        status = path.stat()
        return status.st_ino, status.st_mtime_ns

    def restore(self, place: Path) -> None:
        """Write what is durable into another folder."""
        for path, raw in self.names.items():
            inside = [p for p in path.parents if p == self.base or self.base in p.parents]
            if all(folder in self.folders for folder in inside):
                target = place / path.relative_to(self.base)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(raw)


class PowerFailed(BaseException):
    """Nothing catches it and nothing is cleaned up."""


def check_power(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: Points
) -> None:
    sync, count, at = files.fsync, 0, 0

    def on_operation(_name: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise PowerFailed

    monkeypatch.setattr(files, "on_operation", on_operation)
    golden = study_digests(run_here(study, tmp_path / "golden"))
    for n in points(count):
        count, at, done = 0, n, 0
        base, place = tmp_path / f"{n}", tmp_path / f"{n}-restored"
        base.mkdir()
        place.mkdir()
        disk = DurableDisk(base, sync)
        monkeypatch.setattr(files, "fsync", disk.fsync)

        def ended(event: object) -> None:
            nonlocal done
            done += isinstance(event, RunEnded)

        with contextlib.suppress(PowerFailed):
            run_here(study, base / "s", ended)
        monkeypatch.setattr(files, "fsync", sync)
        at = 0
        disk.restore(place)
        kept = len(list((place / "s" / "runs").glob("*/done")))
        assert kept >= done, f"a run that was reported as done is lost, operation {n}"
        assert study_digests(run_here(study, place / "s")) == golden, f"operation {n}"
        shutil.rmtree(base)
        shutil.rmtree(place)


def drawn(total: int) -> list[int]:
    """Operations at which something happens: all with SOAK=1, else SAMPLE of them."""
    every = range(1, total + 1)
    if os.environ.get("SOAK"):
        return list(every)
    return sorted(random.Random(total).sample(every, min(total, SAMPLE)))


@pytest.mark.slow
def test_faults_at_any_call_leave_the_same_bits(
    short: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_faults(short, tmp_path, monkeypatch, drawn)


@pytest.mark.slow
def test_short_reads_leave_the_same_bits(
    short: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_short_reads(short, tmp_path, monkeypatch, drawn)


@pytest.mark.slow
def test_power_that_fails_after_any_call_leaves_the_same_bits(
    short: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_power(short, tmp_path, monkeypatch, drawn)
