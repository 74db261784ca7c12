"""Pipes to the process that talks to Ray, and refusals of clusters that cannot be used."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from medtransfer.engines.ray.address import RayAddress
from medtransfer.engines.ray.refusal import ClusterRefusedError
from medtransfer.engines.ray.resources import RayNode
from medtransfer.errors import ConfigError, StudyError, printable
from medtransfer.files import remove, write_text

CONNECT_SECONDS = 5.0
ENTER_SECONDS = 20.0
"""Seconds that a head has to let this machine in, beyond those to reach it."""
CLIENT_SECONDS = 90.0
"""The same of a client server, which starts a process for each client: its node may be busy."""
START_SECONDS = 120.0
"""Seconds that a private cluster may take to start: this machine may be busy."""
NODES_SECONDS = 120.0
"""Seconds until all nodes have been looked at."""
MAX_SOCKET_PATH = 40
"""Longest folder for temporary files that leaves room for the names of Ray's sockets (107)."""
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 — the name of a variable
DEFAULT_FILE = ".ray/auth_token"
"""Of the token, in the user's folder."""
UNARMED = (
    "There is no token for the Ray cluster. Clusters without token authentication are not entered. "
    "Make one with `ray get-auth-token --generate`, give all nodes the same, and start Ray with "
    "RAY_AUTH_MODE=token, see docs/how-to/cluster.md."
)
MISSING = "A package of Ray is missing here; install the extra `medtransfer[ray]`."
FINAL = {
    "AuthenticationError": "It refuses the token; all nodes and this machine need the same.",
    "ModuleNotFoundError": MISSING,
    "ImportError": MISSING,
}
"""Words for errors that do not pass with time, by their class."""
MISMATCH = "Version mismatch"
"""Start of Ray's words for a head of another Ray or Python."""
BrokerEvent = Mapping[str, Any]
"""A line of the process, open JSON until the engine takes its fields."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, and what of it a private one may use.

    Attributes:
        address: Its place.
        cores: Of this machine, for a private one.
        gpus: Of this machine, for a private one.
    """

    address: RayAddress
    cores: int = 1
    gpus: int = 0


def require_reachable(address: RayAddress, home: Path | None = None) -> None:
    """Compare an address with the network, and look for a token, before any data are read.

    Args:
        address: Of a cluster; a private one is always there.
        home: The user's folder; None for its own.

    Raises:
        ConfigError: There is no token.
        StudyError: Nothing answers at the address.
    """
    if address.kind == "private":
        return
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else (home or Path.home()) / DEFAULT_FILE
    if not os.environ.get(TOKEN) and not path.is_file():
        raise ConfigError(UNARMED)
    try:
        socket.create_connection((address.host, address.port), CONNECT_SECONDS).close()
    except OSError:
        raise StudyError(_unreachable(address)) from None


class Connection:
    """A process that talks to Ray, for one study."""

    def __init__(self, study: Path, cluster: Cluster) -> None:
        """Start the process, and wait until it has looked at all nodes.

        Raises:
            ClusterRefusedError: The cluster cannot be used until somebody changes it.
            StudyError: It does not answer, or cannot be used.
        """
        self._cluster, self._study = cluster, study.absolute()
        self.is_private = cluster.address.kind == "private"
        self._place = Path(tempfile.mkdtemp(prefix="mt-", dir=_short_folder()))
        self._events: Queue[BrokerEvent | None] = Queue()
        self._printed: deque[str] = deque(maxlen=20)
        self._mark = secrets.token_hex(16)
        self._probe = self._study / f"ray-probe-{self._mark[:8]}.txt"
        write_text(self._probe, self._mark)
        self._process = self._start()
        try:
            self.nodes = self._enter()
        except BaseException:
            self.close(0)
            raise
        finally:
            remove(self._probe)

    def send(self, command: Mapping[str, object]) -> None:
        """Write a command as one line; a process that is gone is noticed by `receive`."""
        assert self._process.stdin is not None  # noqa: S101 — a pipe was asked for
        with contextlib.suppress(OSError):  # unbuffered: a signal's handler may call this too
            os.write(self._process.stdin.fileno(), (json.dumps(command) + "\n").encode())

    def receive(self, seconds: float) -> BrokerEvent | None:
        """The next event; None after so many seconds without one.

        Raises:
            ConnectionError: The process is gone.
        """
        try:
            event = self._events.get(timeout=seconds)
        except Empty:
            return None
        if event is None:
            raise ConnectionError
        return event

    def close(self, seconds: float) -> None:
        """Let the process stop what is at work, and wait for it; it is ended after the time."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _start(self) -> "subprocess.Popen[bytes]":
        config = {
            "address": self._cluster.address.text,
            "cores": self._cluster.cores,
            "gpus": self._cluster.gpus,
            "place": str(self._place / "ray"),  # Ray opens its own folder to all
            "study": str(self._study),
            "probe": str(self._probe),
            "mark": self._mark,
        }
        process = subprocess.Popen(  # noqa: S603 — our own module
            [sys.executable, "-P", "-m", "medtransfer.engines.ray.broker", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=ray_variables(os.environ, is_private=self.is_private),
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        Thread(target=_read, args=(process, self._events), daemon=True).start()
        Thread(target=_keep, args=(process, self._printed), daemon=True).start()
        return process

    def _enter(self) -> tuple[RayNode, ...]:
        """Wait until the nodes have been looked at.

        Raises:
            ClusterRefusedError: The cluster cannot be used until somebody changes it.
            StudyError: It does not answer, or cannot be used.
        """
        seconds = {"private": START_SECONDS, "node": ENTER_SECONDS, "client": CLIENT_SECONDS}
        self._expect("entered", seconds[self._cluster.address.kind])
        event = self._expect("ready", NODES_SECONDS)
        return tuple(RayNode(**node) for node in event["nodes"])

    def _expect(self, name: str, seconds: float) -> BrokerEvent:
        deadline = time.monotonic() + seconds
        try:
            event = self.receive(seconds)
        except ConnectionError:
            last = printable(self._printed[-1] if self._printed else "", 200)
            ended = f"Ray ended: {last}" if last else "Ray ended without a message."
            raise StudyError(f"{self._refusal(name)} {ended}") from None
        if event is None or time.monotonic() > deadline:
            raise StudyError(f"{self._refusal(name)} It has not answered for {seconds:.0f} s.")
        if event["event"] == "refused":
            kind = ClusterRefusedError if event["is_final"] else StudyError
            raise kind(str(event["text"]))
        if event["event"] == "failed":
            kind = ClusterRefusedError if _is_final(event) else StudyError
            raise kind(f"{self._refusal(name)} {_reason(event)}")
        assert event["event"] == name, event["event"]  # noqa: S101 — their order is fixed
        return event

    def _refusal(self, awaited: str) -> str:
        """Words for a failure before an event that is waited for."""
        if awaited == "ready":
            return "The Ray cluster was entered, but its nodes could not be looked at."
        if self.is_private:
            return "Ray did not start on this machine."
        return _unreachable(self._cluster.address)


def ray_variables(environment: Mapping[str, str], *, is_private: bool) -> dict[str, str]:
    """Environment of the process that talks to Ray: a token is asked for, and nothing is reported.

    Args:
        environment: Of this process.
        is_private: For a private cluster, which gets a token of its own and listens to this machine
            alone.
    """
    variables = {**environment, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
    variables.pop("RAY_ADDRESS", None)
    if is_private:
        variables[TOKEN] = secrets.token_hex(32)
        variables.pop("RAY_AUTH_TOKEN_PATH", None)
        # on other systems Ray takes the loopback as its node's address unless this says otherwise
        variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # Ray's 15 leaves runs a few percent of a core beside other processes
        variables.setdefault("RAY_worker_niceness", "0")
    return variables


def _is_final(event: BrokerEvent) -> bool:
    """True if entering the cluster again fails in the same way."""
    return event["kind"] in FINAL or str(event["text"]).startswith(MISMATCH)


def _reason(event: BrokerEvent) -> str:
    """Words for an error of Ray while the cluster is entered."""
    if event["kind"] in FINAL:
        return FINAL[event["kind"]]
    return f"Ray says {event['kind']}: {event['text']}"


def _unreachable(address: RayAddress) -> str:
    advice = (
        "Check the address, and that the head serves clients (`ray start --head` with the extra "
        "`ray[client]`)."
        if address.kind == "client"
        else "Check the address and that Ray runs on this machine too, or use ray://HOST:PORT from "
        "outside the cluster."
    )
    return f"No Ray cluster can be entered at {printable(address.text, 80)}. {advice}"


def _short_folder() -> str | None:
    """Folder for the sockets of Ray, whose paths may have 107 bytes; None for the usual one."""
    return None if len(tempfile.gettempdir()) <= MAX_SOCKET_PATH else "/tmp"  # noqa: S108 — mkdtemp makes a private folder in it


def _read(process: "subprocess.Popen[bytes]", events: "Queue[BrokerEvent | None]") -> None:
    with contextlib.suppress(ValueError):
        for line in process.stdout or ():
            events.put(json.loads(line))
    events.put(None)


def _keep(process: "subprocess.Popen[bytes]", printed: "deque[str]") -> None:
    with contextlib.suppress(ValueError):
        for line in process.stderr or ():
            printed.append(line.decode("utf-8", "replace").strip())
