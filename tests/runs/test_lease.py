"""Never two holders of a lease: races, stopped holders, other machines and namespaces."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from tests.conftest import ROOT

from medtransfer import files
from medtransfer.errors import StudyError
from medtransfer.runs import lease as module
from medtransfer.runs.folders import Lease, StudyFolder

FORK = multiprocessing.get_context("fork")


def elsewhere(folder: Path, **facts: object) -> Path:
    """A lease of another machine, as version 0.1 wrote it."""
    path = folder / "lease.json"
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "born": "1", **facts}))
    return path


def compete(folder: Path, barrier: Barrier, outcomes: "multiprocessing.SimpleQueue[int]") -> None:
    lease = Lease(StudyFolder(folder))
    barrier.wait()
    outcomes.put(int(lease.try_take()))
    barrier.wait()


def race(folder: Path, processes: int) -> int:
    """Number of processes that hold a lease after a synchronised start."""
    barrier, outcomes = FORK.Barrier(processes), FORK.SimpleQueue()
    started = [
        FORK.Process(target=compete, args=(folder, barrier, outcomes)) for _ in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return sum(outcomes.get() for _ in started)


@pytest.mark.parametrize(
    ("races", "processes"),
    [
        (12, 2),
        pytest.param(500, 2, marks=pytest.mark.slow),
        pytest.param(60, 8, marks=pytest.mark.slow),
    ],
)
def test_of_processes_that_start_at_once_exactly_one_holds_it(
    tmp_path: Path, races: int, processes: int
) -> None:
    counts = []
    for number in range(races):
        folder = tmp_path / str(number)
        folder.mkdir()
        if number % 2:  # a dead holder's lease is taken over
            elsewhere(folder)
            os.utime(folder / "lease.json", (0, 0))
        counts.append(race(folder, processes))
    assert counts == [1] * races


def test_a_holder_that_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    lease = Lease(StudyFolder(tmp_path))
    lease.take()
    files.write_text(tmp_path / "mine", "before")
    next(tmp_path.glob("lease-*.json")).unlink()  # as the other process does
    elsewhere(tmp_path)
    with pytest.raises(StudyError, match="has taken over this study"):
        files.write_text(tmp_path / "mine", "after")
    with pytest.raises(StudyError, match="has taken over this study"):
        files.remove(tmp_path / "mine")
    with pytest.raises(StudyError, match="has taken over this study"):
        lease.require_held()
    lease.drop()
    assert (tmp_path / "mine").read_text() == "before"
    assert json.loads((tmp_path / "lease.json").read_text())["host"] == "elsewhere"
    files.write_text(tmp_path / "mine", "without a lease")


def require_renewal(path: Path) -> None:
    """Make a lease old, and wait for its holder to renew it."""
    os.utime(path, (0, 0))
    end = time.monotonic() + 10
    while path.stat().st_mtime == 0 and time.monotonic() < end:
        time.sleep(0.01)
    assert path.stat().st_mtime > 0


def test_a_lease_is_renewed_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    lease = Lease(StudyFolder(tmp_path))
    lease.take()
    require_renewal(tmp_path / "lease.json")
    lease.drop()
    assert not list(tmp_path.iterdir())


def test_without_hard_links_the_lease_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    lease = Lease(StudyFolder(tmp_path))
    lease.take()
    require_renewal(tmp_path / "lease.json")
    assert not Lease(StudyFolder(tmp_path)).try_take()
    lease.drop()
    assert not list(tmp_path.iterdir())


def test_a_claim_that_the_disk_does_not_let_be_published_is_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        if name == "link":
            raise StudyError("the disk is full")

    monkeypatch.setattr(files, "on_operation", fail)
    with pytest.raises(StudyError, match="the disk is full"):
        Lease(StudyFolder(tmp_path)).take()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["[" * 100_000, "[1]", '{"pid": 1}'])
def test_a_lease_that_is_none_does_not_bar_the_next(tmp_path: Path, content: str) -> None:
    (tmp_path / "lease.json").write_text(content)
    Lease(StudyFolder(tmp_path)).take()


@pytest.mark.parametrize("fact", ["boot", "namespace"])
def test_a_process_of_the_same_host_name_that_cannot_be_seen_is_judged_by_its_age(
    tmp_path: Path, fact: str
) -> None:
    """Two containers with one host name: the process ids of one mean nothing in the other."""
    path = elsewhere(tmp_path, **{**module.process_facts(), "pid": 1, "born": "1", fact: "other"})
    with pytest.raises(StudyError, match="Process 1 on"):
        Lease(StudyFolder(tmp_path)).take()
    past = time.time() - module.LEASE_SECONDS - 1
    os.utime(path, (past, past))
    Lease(StudyFolder(tmp_path)).take()


HOLD = """
import sys, time
from pathlib import Path
from medtransfer import files
from medtransfer.runs import lease as module
from medtransfer.runs.folders import StudyFolder
folder = Path(sys.argv[1])
lease = module.Lease(StudyFolder(folder))
lease.take()
print("held", flush=True)
for number in range(int(sys.argv[2])):
    time.sleep(0.05)
    files.write_text(folder / "count", f"{sys.argv[3]} {number}")
lease.drop()
"""


def start(folder: Path, name: str, writes: int, *before: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*before, sys.executable, "-c", HOLD, str(folder), str(writes), name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def can_unshare() -> bool:
    words = ["unshare", "--uts", "--pid", "--fork", "true"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
def test_a_stopped_holder_in_another_namespace_is_taken_over_and_stops_when_it_wakes(
    tmp_path: Path,
) -> None:
    if not can_unshare():
        pytest.skip("this machine does not let a test make namespaces")
    first = start(tmp_path, "first", 200, "unshare", "--pid", "--fork", "--kill-child")
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    blocked = start(tmp_path, "second", 1)
    assert "is working on this study" in blocked.communicate(timeout=60)[1]
    (child,) = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGSTOP)
    past = time.time() - module.LEASE_SECONDS - 1
    os.utime(tmp_path / "lease.json", (past, past))
    second = start(tmp_path, "second", 60)
    assert second.stdout is not None
    assert second.stdout.readline() == "held\n"
    os.kill(int(child), signal.SIGCONT)
    assert "has taken over this study" in first.communicate(timeout=60)[1]
    assert second.communicate(timeout=60)[1] == ""
    assert (tmp_path / "count").read_text() == "second 59"
