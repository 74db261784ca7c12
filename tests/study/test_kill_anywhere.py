"""Killed at any operation on the disk, the same command ends in the same bits."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.study.conftest import Local

from medtransfer import files
from medtransfer.errors import StudyError

Make = Callable[[Path], Local]


class Killed(BaseException):
    """The process is gone: nothing catches it and nothing is cleaned up."""


class CountingDisk:
    """Counts operations; at the n-th something happens."""

    def __init__(self, at: int, happening: Callable[[], None]) -> None:
        self.at, self.happening, self.count = at, happening, 0

    def __call__(self, _name: str) -> None:
        self.count += 1
        if self.count == self.at:
            self.happening()


def kill() -> None:
    raise Killed


def operations(make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    disk = CountingDisk(0, kill)
    monkeypatch.setattr(files, "on_operation", disk)
    make(folder).carry_out()
    return disk.count


def killed_at(make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> Local:
    monkeypatch.setattr(files, "on_operation", CountingDisk(n, kill))
    with pytest.raises(Killed):
        make(folder).carry_out()
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    resumed = make(folder)
    if not resumed.own.is_done():
        resumed.carry_out()
    return resumed


def check_kills(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points) -> None:
    total = operations(make, tmp_path / "golden", monkeypatch)
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    golden = make(tmp_path / "golden").digests()
    for n in points(total):
        resumed = killed_at(make, tmp_path / str(n), monkeypatch, n)
        assert resumed.digests() == golden, f"killed at operation {n} of {total}"
        assert not list(resumed.own.path.rglob("*.tmp-*")), f"leftovers of operation {n}"


def test_killed_at_some_operations_it_ends_in_the_same_bits(
    local: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spread(total: int) -> list[int]:
        assert total > 100
        return [*range(1, total, total // 7), total - 3, total]

    check_kills(local, tmp_path, monkeypatch, spread)


@pytest.mark.slow
def test_killed_at_every_operation_it_ends_in_the_same_bits(
    local: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_kills(local, tmp_path, monkeypatch, lambda total: range(1, total + 1))


def test_killed_again_and_again_it_ends_in_the_same_bits(
    local: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = local(tmp_path / "golden")
    golden.carry_out()
    torn = local(tmp_path / "torn")
    for n in (40, 25, 30, 11, 60):
        monkeypatch.setattr(files, "on_operation", CountingDisk(n, kill))
        with pytest.raises(Killed):
            torn.carry_out()
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    torn.carry_out()
    assert torn.digests() == golden.digests()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_full_or_failing_disk_is_said_and_nothing_finished_is_lost(
    local: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    golden = local(tmp_path / "golden")
    golden.carry_out()

    def fail() -> None:
        raise OSError(code, "no")

    run = local(tmp_path / "full")
    monkeypatch.setattr(files, "on_operation", CountingDisk(61, fail))
    with pytest.raises(StudyError) as caught:
        run.carry_out()
    if code in (errno.ENOSPC, errno.EDQUOT):
        assert "The disk is full" in str(caught.value)
        assert "MiB free" in str(caught.value)
        assert "run the same command again" in str(caught.value)
    else:
        assert "could not be written" in str(caught.value)
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    run.carry_out()
    assert run.digests() == golden.digests()
