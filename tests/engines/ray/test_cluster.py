"""Studies on Ray clusters of this machine: undisturbed, and with workers, nodes and heads lost.

They need the extra `ray`; the clusters listen to the loopback alone.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from tests.in_process import run_here, study_digests

from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]
OBJECTS = "--object-store-memory=80000000"


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


class Cluster:
    """Nodes of a cluster on the loopback, each a process that can be killed with all it started."""

    def __init__(self, place: Path) -> None:
        self.place = place
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a node; the first is the head."""
        where = [f"--address={self.address}"]
        if not any(node.poll() is None for node in self.nodes):
            where = ["--head", f"--port={self.port}", "--include-dashboard=false"]
            where += ["--node-ip-address=127.0.0.1", f"--temp-dir={self.place}"]
        code = "from ray.scripts.scripts import main; main()"
        command = [sys.executable, "-c", code, "start", "--block", *where, OBJECTS]
        node = subprocess.Popen(
            [*command, "--num-cpus=1", "--disable-usage-stats", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        self.nodes.append(node)
        return node

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """End a node as a power cut does, but for what its workers started."""
        parts = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        for part in parts:
            if "medtransfer" not in " ".join(_command(part)):
                part.kill()
        node.wait()

    def close(self) -> None:
        for node in self.nodes:
            if node.poll() is None:
                children = psutil.Process(node.pid).children(recursive=True)
                for part in [psutil.Process(node.pid), *children]:
                    if part.is_running():
                        part.kill()
                node.wait()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """A token of this test, in the environment of all that it starts."""
    made = secrets.token_hex(32)
    monkeypatch.setenv("RAY_AUTH_TOKEN", made)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    return made


@pytest.fixture
def cluster(token: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A cluster without nodes."""
    place = Path("/tmp") / f"mt-{token[:8]}"  # the paths of sockets are short
    made = Cluster(place)
    try:
        yield made
    finally:
        made.close()
        subprocess.run(["rm", "-rf", str(place)], check=False)


@pytest.fixture
def study(tiny_study: Study) -> Study:
    """Four runs that can be stopped on the way."""
    training = tiny_study.training.model_dump(exclude_unset=True) | {"steps": 24, "checks": 3}
    changes = {"seeds": [0, 1, 2, 3], "training": training}
    return Study.model_validate(tiny_study.model_dump(exclude_unset=True) | changes)


@pytest.fixture(scope="module")
def serial() -> dict[str, dict[str, str]]:
    return {}


def expected(study: Study, tmp_path: Path, serial: dict[str, dict[str, str]]) -> dict[str, str]:
    """Digests of the same study by the local engine, made once."""
    if not serial:
        serial["study"] = study_digests(run_here(study, tmp_path / "serial"))
    return serial["study"]


def test_a_private_cluster_gives_the_bits_of_the_local_engine(
    study: Study, tmp_path: Path, serial: dict[str, dict[str, str]]
) -> None:
    folder = run_study(study, tmp_path / "s", on="ray")
    assert study_digests(folder) == expected(study, tmp_path, serial)
