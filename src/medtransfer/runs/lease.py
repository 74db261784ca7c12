"""Lease: the right of one process to work on a folder, while it is alive.

A claimant writes a file of its own, ``lease-TOKEN.json``, and looks for others after that. Of two
that claim at once at least one sees the other and withdraws, so there are never two holders. The
holder publishes its claim as ``lease.json``, renews it from a thread, and compares it before every
file it moves into place. Claims of dead processes are deleted by whoever finds them.

Another process asks the holder to stop by ``stop.json`` beside the lease: the holder may be on
another machine that shares the disk, where no signal reaches it.
"""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from medtransfer.errors import StudyError
from medtransfer.files import add_guard, link_over, read_json, remove_guard, write_json
from medtransfer.interruption import interrupt_self

LEASE = "lease.json"
CLAIMS = "lease-*.json"
STOP = "stop.json"
"""Request to the holder of the lease beside it, by its token: it stops as on Ctrl-C."""
LEASE_SECONDS = 120
"""A lease that was not renewed for so long is taken over, if its process cannot be looked up."""
HEARTBEAT_SECONDS = 10.0
LISTEN_SECONDS = 1.0
"""Time between two looks for a request to stop."""
RUN_LEASES = "leases"
"""Folder in a study's with a folder for each run that is carried out without a driver."""
ATTEMPTS = 8
"""Times that a claim is tried when another process claims at the same instant."""
LEASE_VARIABLE = "MEDTRANSFER_LEASE"
"""Environment variable by which a worker learns the claim of the process that started it."""
Holder = Mapping[str, Any]
"""Content of a lease: open JSON, other versions write fewer facts."""

_held: dict[str, Path] = {}
"""Claims of this process by token."""


class Folder(Protocol):
    """A folder with a path."""

    @property
    def path(self) -> Path:
        """Its path."""
        ...


class Lease:
    """The right of this process to work on a folder."""

    def __init__(self, folder: Folder, what: str = "study") -> None:
        self._what = what
        self.token = secrets.token_hex(8)
        self._folder = folder.path
        self._path = folder.path / LEASE
        self._claim = folder.path / f"lease-{self.token}.json"
        self._stop = threading.Event()
        self._process = process_facts()

    def take(self) -> None:
        """Take the lease; it is renewed until it is dropped.

        Raises:
            StudyError: Another living process holds it.
        """
        holder = self._try_take()
        if holder is not None:
            raise StudyError(
                f"Process {holder['pid']} on {holder['host']} is working on this {self._what}. "
                "Wait for it, or stop it first."
            )

    def try_take(self) -> bool:
        """Take the lease unless another living process holds it; True if it was taken."""
        return self._try_take() is None

    def holder(self) -> Holder | None:
        """The living process that holds the lease, if any."""
        content = _read(self._path)
        return content if content and self._is_alive(content, self._path) else None

    def ask_to_stop(self) -> Holder | None:
        """Ask the living process that holds the lease to stop as on Ctrl-C; the process, if any."""
        holder = self.holder()
        if holder is not None:
            write_json(self._folder / STOP, {"token": holder.get("token")})
        return holder

    def is_asked_to_stop(self) -> bool:
        """True if another process asked this one, which holds the lease, to stop."""
        path = self._folder / STOP
        return path.exists() and _asked_token(path) == self.token

    def is_left(self) -> bool:
        """True if the last holder was killed before it gave up the lease."""
        return self._path.exists() and self.holder() is None

    def require_held(self) -> None:
        """Compare the lease on the disk with the own one.

        Raises:
            StudyError: Another process has taken it over.
        """
        require_claim(self._claim)

    def drop(self) -> None:
        """Give up the lease, if it is still the own one."""
        self._stop.set()
        remove_guard(self.require_held)
        if _held.pop(self.token, None) is None:
            return
        with contextlib.suppress(OSError):
            if self.is_asked_to_stop():
                (self._folder / STOP).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if (_read(self._path) or {}).get("token") == self.token:
                self._path.unlink()
        self._claim.unlink(missing_ok=True)

    def _try_take(self) -> Holder | None:
        """Take the lease; the living process that holds it otherwise."""
        if self.token in _held:
            self.require_held()
            return None
        holder = None
        for attempt in range(ATTEMPTS):
            holder = self.holder()
            if holder is not None:
                return holder
            holder = self._claim_once()
            if holder is None:
                return None
            time.sleep(secrets.randbelow(10 * 2**attempt) / 1000)  # parts two claimants
        return holder

    def _claim_once(self) -> Holder | None:
        """Claim the lease, and look for others after that; one of them if there are any."""
        _held[self.token] = self._claim
        try:
            write_json(self._claim, {**self._process, "token": self.token})
            other = self._living_other()
            if other is None:
                link_over(self._claim, self._path)
        except BaseException:
            self._withdraw()
            raise
        if other is not None:
            self._withdraw()
            return other
        with contextlib.suppress(OSError):  # a request to a holder that is gone
            (self._folder / STOP).unlink(missing_ok=True)
        add_guard(self.require_held)
        threading.Thread(target=self._renew_always, daemon=True).start()
        return None

    def _withdraw(self) -> None:
        """Delete a claim that did not become a lease, or others would wait for this process."""
        _held.pop(self.token, None)
        with contextlib.suppress(OSError):
            self._claim.unlink(missing_ok=True)

    def _living_other(self) -> Holder | None:
        """Another living process that holds or claims the lease; claims of the dead are deleted."""
        now = self._claim.stat().st_mtime  # by the clock of the disk, which others' times are of
        for path in [*self._folder.glob(CLAIMS), self._path]:
            if path == self._claim:
                continue
            content = _read(path)
            if content and self._is_alive(content, path, now):
                return content
            if path != self._path:  # that one is replaced
                path.unlink(missing_ok=True)
        return None

    def _is_alive(self, content: Holder, path: Path, now: float | None = None) -> bool:
        """True if the process of a lease lives, as far as can be told from here."""
        if self._sees_processes_of(content):
            mine = content.get("pid") == self._process["pid"]
            if mine and content.get("born") == self._process["born"]:
                return content.get("token") in _held
            born = _born(str(content.get("pid")))
            return bool(born) and born == content.get("born")
        try:
            age = (now or time.time()) - path.stat().st_mtime
        except OSError:
            return False
        return age < LEASE_SECONDS

    def _sees_processes_of(self, content: Holder) -> bool:
        """True if the process of a lease can be looked up here: same boot, same namespace."""
        facts = ("host", "boot", "namespace")
        is_here = all(
            content.get(fact, self._process[fact]) == self._process[fact] for fact in facts
        )
        # /proc may be that of another namespace than ours: then it shows other processes
        return is_here and _born(str(os.getpid())) == self._process["born"]

    def _renew_always(self) -> None:
        renewed, was_asked = time.monotonic(), False
        while not self._stop.wait(min(LISTEN_SECONDS, HEARTBEAT_SECONDS)):
            if not was_asked and self.is_asked_to_stop():
                was_asked = True
                interrupt_self()
            if time.monotonic() - renewed < HEARTBEAT_SECONDS:
                continue
            renewed = time.monotonic()
            if not self._claim.exists():
                return
            with contextlib.suppress(OSError):
                _touch(self._claim, self._path)


def require_claim(claim: Path) -> None:
    """Compare a claim with the disk, before a file is moved into place.

    Raises:
        StudyError: Another process has deleted it, because it was not renewed.
    """
    if not claim.exists():
        raise StudyError(
            "Another process has taken over this study, because this one did not answer for "
            f"{LEASE_SECONDS} s or its lease was deleted. This one stops and changes nothing more. "
            "Run the same command again when the other is done."
        )


@dataclass(frozen=True)
class RunPlace:
    """Folder of the lease of one run, beside the run's own, which is sealed as a whole.

    Attributes:
        path: Its path.
    """

    path: Path

    @classmethod
    def of(cls, study: Path, run_id: str) -> "RunPlace":
        """The place of a run of a study."""
        return cls(study / RUN_LEASES / run_id)


def leased_runs(study: Path) -> Iterator[tuple[str, Holder]]:
    """Runs that living processes carry out without a driver, with these processes."""
    for folder in sorted((study / RUN_LEASES).glob("*")):
        if (holder := Lease(RunPlace(folder), "run").holder()) is not None:
            yield folder.name, holder


def held_claim(folder: Path) -> str:
    """Path of this process's claim to a study, or else to one of its runs; empty without one."""
    claims = [claim for claim in _held.values() if claim.parent == folder]
    claims += [claim for claim in _held.values() if claim.is_relative_to(folder / RUN_LEASES)]
    return str(claims[0].absolute()) if claims else ""


def guard_worker() -> None:
    """Make a worker write only while the process that started it holds its lease."""
    claim = os.environ.get(LEASE_VARIABLE, "")
    if claim:
        add_guard(lambda: require_claim(Path(claim)))


def process_facts() -> dict[str, Any]:
    """Facts by which another process can tell whether this one lives."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "born": _born("self"),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "namespace": _link("/proc/self/ns/pid"),
    }


def _read(path: Path) -> Holder | None:
    """Content of a lease; None where there is none, or where it is torn: ours are written whole."""
    try:
        content = read_json(path)
    except StudyError:
        return None
    if not isinstance(content, dict):
        return None
    holder = cast("Holder", content)
    return holder if {"pid", "host", "born"} <= set(holder) else None


def _asked_token(path: Path) -> str:
    """Token of the holder that a request to stop is for; empty where it cannot be read."""
    try:
        content = read_json(path)
    except StudyError:
        return ""
    return str(cast("Holder", content).get("token")) if isinstance(content, dict) else ""


def _touch(claim: Path, published: Path) -> None:
    os.utime(claim)
    content = _read(published) or {}
    is_own = str(content.get("token")) in claim.name
    if is_own and not published.samefile(claim):
        os.utime(published)  # on a disk without hard links it is a copy


def _born(process: str) -> str:
    """Start of a process of this machine, in ticks since boot; empty if there is none."""
    # ticks since boot: psutil.Process.create_time moves with the clock, so a corrected clock would
    # make a living holder look dead
    try:
        return _text(f"/proc/{process}/stat").rsplit(")", 1)[1].split()[19]
    except IndexError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
