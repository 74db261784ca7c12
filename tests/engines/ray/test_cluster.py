"""Studies on Ray clusters of this machine: undisturbed, and with workers, nodes and heads lost.

They need the extra `ray`; the clusters listen to the loopback alone.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TypeVar

import psutil
import pytest
import yaml
from tests.in_process import run_here, study_digests

from medtransfer.engines.ray import engine
from medtransfer.errors import StudyError
from medtransfer.runs.events import Event, RunEnded
from medtransfer.runs.lease import leased_runs
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]
OBJECTS = "--object-store-memory=80000000"
RAY = """
from types import SimpleNamespace
from ray.scripts import scripts
# it lets nodes on the loopback have no others beside them, which is for laptops
scripts.ray_constants = SimpleNamespace(**vars(scripts.ray_constants))
scripts.ray_constants.ENABLE_RAY_CLUSTER = True
scripts.main()
"""

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 240.0) -> T:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return result


class Cluster:
    """Nodes of a cluster on the loopback, each a process that can be killed with its children."""

    def __init__(self, place: Path) -> None:
        self.place = place
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start(self, *before: str, options: tuple[str, ...] = (), **variables: str) -> None:
        """Start a node; the first is the head."""
        is_head = not any(node.poll() is None for node in self.nodes)
        where = [f"--address={self.address}"]
        if is_head:
            where = ["--head", f"--port={self.port}", "--include-dashboard=false"]
            where += ["--node-ip-address=127.0.0.1", f"--temp-dir={self.place}"]
        command = [*before, sys.executable, "-c", RAY, "start", "--block", *where, OBJECTS]
        node = subprocess.Popen(
            [*command, "--num-cpus=1", "--disable-usage-stats", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_worker_niceness": "0", **variables},
            start_new_session=True,
        )
        number = len(self.nodes)
        self.nodes.append(node)
        wait_for(lambda: self.parts(number, "raylet"))
        if is_head:
            wait_for(lambda: answers(self.port))

    def parts(self, number: int, word: str) -> list[psutil.Process]:
        """Processes of a node that have a word in their command line."""
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.nodes[number].pid).children(recursive=True)
            return [child for child in children if word in " ".join(_command(child))]
        return []

    def close(self) -> None:
        for number, node in enumerate(self.nodes):
            parts = self.parts(number, "")
            node.kill()
            for part in parts:
                with contextlib.suppress(psutil.Error):
                    part.kill()
            node.wait()
        shutil.rmtree(self.place, ignore_errors=True)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


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
def cluster(token: str) -> Generator[Cluster]:
    """A cluster without nodes."""
    made = Cluster(Path(tempfile.mkdtemp(prefix="mt-test-")))  # the paths of sockets are short
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def study(tiny_study: Study) -> Study:
    """Three runs that can be stopped on the way."""
    training = tiny_study.training.model_dump(exclude_unset=True) | {"steps": 24, "checks": 3}
    changes = {"seeds": [0, 1, 2], "training": training}
    return Study.model_validate(tiny_study.model_dump(exclude_unset=True) | changes)


@pytest.fixture(scope="module")
def serial() -> dict[str, str]:
    """Digests of the study by the local engine, made with the first test."""
    return {}


def expected(study: Study, tmp_path: Path, serial: dict[str, str]) -> dict[str, str]:
    if not serial:
        serial.update(study_digests(run_here(study, tmp_path / "serial")))
    return serial


def begun(out: Path) -> list[Path]:
    """Runs that have a checkpoint and no end."""
    with_states = {path.parents[2] for path in out.glob("runs/*/checkpoint/step-*/state.json")}
    return [run for run in with_states if not (run / "done").exists()]


def of_command(study: Study, tmp_path: Path, on: str) -> "subprocess.Popen[str]":
    """The command line in a process of its own."""
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json", exclude_unset=True)))
    command = [sys.executable, "-P", "-m", "medtransfer", "run", str(path), "--on", on]
    return subprocess.Popen(
        [*command, "--out", str(tmp_path / "s")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def test_a_private_cluster_gives_the_bits_of_the_local_engine(
    study: Study, tmp_path: Path, serial: dict[str, str]
) -> None:
    folder = run_study(study, tmp_path / "s", on="ray")
    assert study_digests(folder) == expected(study, tmp_path, serial)


def test_workers_and_nodes_that_are_killed_cost_nothing_but_time(
    study: Study, tmp_path: Path, cluster: Cluster, serial: dict[str, str]
) -> None:
    for _ in range(3):
        cluster.start()
    out, ends, killed = tmp_path / "s", Counter[str](), list[str]()

    def at_work(*numbers: int) -> list[tuple[int, psutil.Process]]:
        """Nodes and the processes of runs on them, once a run has saved a state."""
        parts = [(number, part) for number in numbers for part in cluster.parts(number, "--one")]
        return parts if begun(out) else []

    def kill() -> None:
        # the node first: its run begins again on another, so that there is a worker to kill
        number, _ = wait_for(lambda: at_work(1, 2))[0]
        cluster.parts(number, "raylet/raylet")[0].kill()
        killed.append("node")
        _, run = wait_for(lambda: at_work(*({0, 1, 2} - {number})))[0]
        worker = run.parent()
        assert worker is not None
        worker.kill()
        killed.append("worker")

    def note(event: Event) -> None:
        ends.update([event.run.run_id] if isinstance(event, RunEnded) else [])

    Thread(target=kill, daemon=True).start()
    folder = run_study(study, out, note, on=cluster.address)
    assert killed == ["node", "worker"]
    assert set(ends.values()) == {1}
    assert len(ends) == 3
    assert study_digests(folder) == expected(study, tmp_path, serial)


def test_the_command_may_be_killed_and_given_again(
    study: Study, tmp_path: Path, cluster: Cluster, serial: dict[str, str]
) -> None:
    cluster.start()
    out = tmp_path / "s"
    command = of_command(study, tmp_path, cluster.address)
    wait_for(lambda: begun(out))
    command.kill()
    command.communicate()
    wait_for(lambda: not list(leased_runs(out)))  # its task has stopped, and saved the state
    folder = run_study(study, out, on=cluster.address)
    assert study_digests(folder) == expected(study, tmp_path, serial)


def test_a_study_goes_on_when_the_head_was_restarted(
    study: Study,
    tmp_path: Path,
    cluster: Cluster,
    serial: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "ENTRY_SECONDS", 2.0)
    cluster.start()
    out = tmp_path / "s"

    def restart() -> None:
        wait_for(lambda: begun(out))
        cluster.close()
        cluster.start()

    Thread(target=restart, daemon=True).start()
    folder = run_study(study, out, on=cluster.address)
    assert len(cluster.nodes) == 2
    assert study_digests(folder) == expected(study, tmp_path, serial)


def test_ctrl_c_saves_the_state_and_another_engine_resumes_it(
    study: Study, tmp_path: Path, serial: dict[str, str]
) -> None:
    out = tmp_path / "s"
    command = of_command(study, tmp_path, "ray")
    wait_for(lambda: begun(out))
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=240)
    assert command.returncode == 75, said
    assert "Stopped" in said
    assert begun(out)
    assert not list(leased_runs(out))
    folder = run_study(study, out)
    assert study_digests(folder) == expected(study, tmp_path, serial)


def test_a_client_from_outside_the_cluster_is_served(
    study: Study, tmp_path: Path, cluster: Cluster, serial: dict[str, str]
) -> None:
    if find_spec("grpc") is None:
        pytest.skip("the package `grpcio` is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster.start(options=(f"--ray-client-server-port={port}",))
    wait_for(lambda: answers(port))
    folder = run_study(study, tmp_path / "s", on=f"ray://127.0.0.1:{port}")
    assert study_digests(folder) == expected(study, tmp_path, serial)


def test_a_port_that_is_silent_is_a_sentence_within_half_a_minute(
    tiny_study: Study, tmp_path: Path, token: str
) -> None:
    assert token
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        command = of_command(tiny_study, tmp_path, address)
        _, said = command.communicate(timeout=60)
    assert command.returncode == 2
    assert f"No Ray cluster can be entered at {address}." in said
    assert time.monotonic() - begin < 45  # the images are prepared within


def test_nodes_that_cannot_carry_out_the_study_are_refused_by_number(
    tiny_study: Study, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "s", tmp_path / "other"
    out.mkdir()
    metadata = other / "torch-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.1\n")
    cluster.start()
    paths = os.environ.get("PYTHONPATH", "")
    cluster.start(PYTHONPATH=f"{other}{os.pathsep}{paths}")
    with pytest.raises(StudyError, match=r"node 2 has torch 0.1, and this machine \d"):
        run_study(tiny_study, out, on=cluster.address)
    hidden = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{out}" && exec "$0" "$@"']
    if subprocess.run([*hidden, "true"], check=False, capture_output=True).returncode == 0:
        cluster.start(*hidden)
        with pytest.raises(StudyError, match="node . does not see the study's folder.*same path"):
            run_study(tiny_study, out, on=cluster.address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(StudyError, match="It refuses the token"):
        run_study(tiny_study, out, on=cluster.address)


def test_a_cluster_that_anybody_may_command_is_not_entered(
    tiny_study: Study, tmp_path: Path, cluster: Cluster
) -> None:
    cluster.start(RAY_AUTH_MODE="disabled")
    with pytest.raises(StudyError, match="takes commands from anybody .* node 1 has no token"):
        run_study(tiny_study, tmp_path / "s", on=cluster.address)
