"""Place of a Ray cluster: a private one on this machine, or one that is joined by its address."""

import ipaddress
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from medtransfer.errors import ConfigError, printable

PRIVATE = "ray"
CLIENT = "ray://"
MAX_PORT = 65535
HOST = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*"
)
VERSION_6 = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]")
"""An IPv6 address in its brackets; a scope may name an interface."""
ALLOWED = "allowed: local, slurm, ray, HOST:PORT of a Ray cluster, or ray://HOST:PORT of its client"

Kind = Literal["private", "node", "client"]


@dataclass(frozen=True)
class RayAddress:
    """Place of a Ray cluster.

    Attributes:
        kind: A private cluster that is started here, one that has a node on this machine, or one
            that is reached from outside through its client server.
        host: Name or number of the head; empty for a private cluster.
        port: Of the head, or of its client server; 0 for a private cluster.
    """

    kind: Kind
    host: str = ""
    port: int = 0

    @property
    def text(self) -> str:
        """The address as `ray.init` takes it."""
        if self.kind == "private":
            return "local"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{CLIENT if self.kind == 'client' else ''}{host}:{self.port}"


def read_address(text: str) -> RayAddress:
    """Read the place of a Ray cluster: ``ray``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        ConfigError: It is none of them.
    """
    if text == PRIVATE:
        return RayAddress("private")
    kind: Kind = "client" if text.startswith(CLIENT) else "node"
    host, colon, port = text.removeprefix(CLIENT).rpartition(":")
    bare = _version_6(host) or (host if HOST.fullmatch(host) else "")
    if not colon or not _is_port(port) or not bare:
        raise ConfigError(f"--on holds '{printable(text)}' ({ALLOWED}).")
    return RayAddress(kind, bare, int(port))


def require_ray() -> None:
    """Refuse an environment without Ray, before any data are read.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec("ray") is None:
        raise ConfigError(
            "--on ray needs the package 'ray', which is not installed. Install the extra "
            "`medtransfer[ray]`, on all nodes of a cluster."
        )


def _is_port(text: str) -> bool:
    # Python does not read numbers of thousands of digits
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PORT))
    return is_number and 1 <= int(text) <= MAX_PORT


def _version_6(host: str) -> str:
    """An IPv6 address without its brackets; empty if it is none."""
    bracketed = VERSION_6.fullmatch(host)
    if bracketed is None:
        return ""
    try:
        ipaddress.IPv6Address(bracketed[1])
    except ValueError:
        return ""
    return bracketed[1]
