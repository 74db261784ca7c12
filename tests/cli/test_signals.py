"""A signal in any phase of any command: exit code 75, no lease, and the same command goes on."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import ROOT

COMMAND = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup otherwise
from pathlib import Path
from medtransfer.cli import main, study
from medtransfer.study import status
from medtransfer.runs.folders import Lease, StudyFolder

def work(where=None):
    lease = Lease(StudyFolder(Path(sys.argv[-1])))
    lease.take()
    try:
        print("at work", flush=True)
        time.sleep(60)
    finally:
        lease.drop()
        time.sleep(float(sys.argv[1]))

status.find_study = work
sys.argv = ["medtransfer", "status", sys.argv[-1]]
main.main()
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a command that works for a minute, and takes some seconds to clean up."""

    def run(seconds: float = 0.0, *before: str) -> "subprocess.Popen[str]":
        code = COMMAND.replace("float(sys.argv[1])", str(seconds))
        process = subprocess.Popen(
            [*before, sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        return process

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_code_75_and_its_lease_is_dropped(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals
) -> None:
    process = start()
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 75
    assert error == "Stopped. Run the same command again to resume.\n"
    assert not list(tmp_path.iterdir())


def test_a_second_ctrl_c_does_not_wait(start: Callable[..., "subprocess.Popen[str]"]) -> None:
    process = start(60.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 75
