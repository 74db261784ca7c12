"""Killed at any operation on the disk, the same command ends in the same bits."""

import errno
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.in_process import pretrain_here, run_here, rung_digests, study_digests
from tests.local_run import Local

from medtransfer import files
from medtransfer.errors import StudyError
from medtransfer.pretraining.config import Pretrain
from medtransfer.study.config import Study

Make = Callable[[Path], Local]


class Killed(BaseException):
    """The process is gone: nothing catches it and nothing is cleaned up."""


MANY_WRITES = 60
"""Writes after which most files of a run are there, and not all."""


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


@pytest.fixture(scope="module")
def golden(local: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a run that nothing happened to."""
    run = local(tmp_path_factory.mktemp("golden") / "s")
    run.carry_out()
    return run.digests()


def operations(make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    disk = CountingDisk(0, kill)
    monkeypatch.setattr(files, "on_operation", disk)
    make(folder).carry_out()
    return disk.count


def kill_at(
    work: Callable[[], object], folder: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    """Kills `work` at its n-th operation, or at its last if it ends before.

    A file written within the last moment is read again, so that the count of operations is not
    the same on a fast disk and on a slow one.
    """
    for _ in range(5):
        disk = CountingDisk(n, kill)
        monkeypatch.setattr(files, "on_operation", disk)
        try:
            work()
        except Killed:
            monkeypatch.setattr(files, "on_operation", lambda _: None)
            return
        assert n - 10 < disk.count < n, f"{disk.count} operations, and none was the {n}-th"
        n = disk.count
        shutil.rmtree(folder)
    pytest.fail(f"never killed, the last time at operation {n}")


def killed_at(make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> Local:
    kill_at(lambda: make(folder).carry_out(), folder, monkeypatch, n)
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
        return [total // 3, total - 3]

    check_kills(local, tmp_path, monkeypatch, spread)


@pytest.mark.slow
def test_killed_at_every_operation_it_ends_in_the_same_bits(
    local: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_kills(local, tmp_path, monkeypatch, lambda total: range(1, total + 1))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_in_the_same_bits(
    local: Make, golden: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = local(tmp_path / "torn")
    for n in (40, 25, 30, 11, 60):
        monkeypatch.setattr(files, "on_operation", CountingDisk(n, kill))
        with pytest.raises(Killed):
            torn.carry_out()
    monkeypatch.setattr(files, "on_operation", lambda _: None)
    torn.carry_out()
    assert torn.digests() == golden


@pytest.fixture
def two_runs(tiny_study: Study) -> Study:
    """A study with tables of its own: two seeds."""
    return tiny_study.model_copy(update={"seeds": (0, 1)})


def leftovers(folder: Path) -> list[Path]:
    """Half-written files, but for those of the cache: other processes may be writing there, so it
    sweeps only what is old."""
    return [p for p in folder.rglob("*.tmp-*") if "cache" not in p.parts]


def check_study_kills(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: Callable[[int], object]
) -> None:
    disk = CountingDisk(0, kill)
    monkeypatch.setattr(files, "on_operation", disk)
    golden = study_digests(run_here(study, tmp_path / "golden"))
    for n in points(disk.count):  # type: ignore[attr-defined]
        folder = tmp_path / str(n)
        kill_at(lambda folder=folder: run_here(study, folder), folder, monkeypatch, n)
        found = study_digests(run_here(study, folder))
        assert found == golden, f"killed at operation {n} of {disk.count}"
        assert not leftovers(folder), f"leftovers of operation {n}"
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_study_killed_at_some_operations_ends_in_the_same_bits(
    two_runs: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its cache and in its tables: before and after the runs."""
    one = two_runs.model_copy(update={"seeds": (0,)})
    check_study_kills(one, tmp_path, monkeypatch, lambda total: [40, total - 12])


@pytest.mark.slow
def test_a_study_killed_at_every_operation_ends_in_the_same_bits(
    two_runs: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = two_runs.training.model_copy(update={"steps": 2, "checks": 1})
    short = two_runs.model_copy(update={"seeds": (0,), "training": training})
    check_study_kills(short, tmp_path, monkeypatch, lambda total: range(1, total + 1))


def check_rung_kills(
    run: Pretrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: Callable[[int], object]
) -> None:
    disk = CountingDisk(0, kill)
    monkeypatch.setattr(files, "on_operation", disk)
    golden = rung_digests(pretrain_here(run, tmp_path / "golden" / "r"))
    for n in points(disk.count):  # type: ignore[attr-defined]
        folder = tmp_path / str(n) / "r"
        kill_at(lambda folder=folder: pretrain_here(run, folder), folder, monkeypatch, n)
        assert rung_digests(pretrain_here(run, folder)) == golden, f"killed at {n} of {disk.count}"
        assert not leftovers(folder), f"leftovers of operation {n}"
        shutil.rmtree(folder.parent)


@pytest.mark.slow
def test_pretraining_killed_at_some_operations_ends_in_the_same_rung(
    recipe: Pretrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its checkpoint is written, and while it becomes a rung."""
    check_rung_kills(recipe, tmp_path, monkeypatch, lambda total: [total // 2, total - 9])


@pytest.mark.slow
def test_pretraining_killed_at_every_operation_ends_in_the_same_rung(
    recipe: Pretrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_rung_kills(recipe, tmp_path, monkeypatch, lambda total: range(1, total + 1))


KILLS = 200


@pytest.mark.slow
def test_killed_at_random_times_it_ends_in_the_same_bits(two_runs: Study, tmp_path: Path) -> None:
    """SIGKILL at any instant, between operations and within them."""
    (tmp_path / "study.json").write_text(two_runs.model_dump_json(exclude_unset=True))
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.study.nursery", str(tmp_path / "study.json")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None

    def live(folder: Path, seconds: float) -> str:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        nursery.stdin.write(f"{folder}\t{seconds}\n")
        nursery.stdin.flush()
        return nursery.stdout.readline().strip()

    try:
        assert live(tmp_path / "first", 600) == "done"  # compiles what is compiled once
        started = time.monotonic()
        assert live(tmp_path / "golden", 600) == "done"
        whole = time.monotonic() - started
        golden = (tmp_path / "golden" / "digests.txt").read_text()
        draw = random.Random(20261125)
        kills = studies = 0
        while kills < KILLS:
            folder = tmp_path / "torn"
            while (outcome := live(folder, draw.uniform(0, whole))) == "killed":
                kills += 1
            assert outcome == "done", f"after {kills} kills"
            assert (folder / "digests.txt").read_text() == golden, f"after {kills} kills"
            assert not leftovers(folder), f"after {kills} kills"
            studies += 1
            shutil.rmtree(folder)
        print(f"{kills} kills in {studies} studies of {whole:.1f} s each")
    finally:
        nursery.stdin.close()
        nursery.wait(timeout=60)
        nursery.stdout.close()
    assert studies > 3


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_full_or_failing_disk_is_said_and_nothing_finished_is_lost(
    local: Make,
    golden: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    written: list[str] = []

    def fail(name: str) -> None:
        """Fail when the run has written some files: reads do not need space."""
        written.extend([name] if name == "write" else [])
        if len(written) == MANY_WRITES:
            raise OSError(code, "no")

    run = local(tmp_path / "full")
    monkeypatch.setattr(files, "on_operation", fail)
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
    assert run.digests() == golden
