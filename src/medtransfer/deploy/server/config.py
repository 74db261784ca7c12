"""Settings of a server, and what is refused before it starts."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from medtransfer.errors import ConfigError, fault_list

TOKEN = "MEDTRANSFER_TOKEN"  # noqa: S105 — the name of a variable
"""Environment variable with the token; a command line is visible to every user of the machine."""
MIN_TOKEN = 16
EXTRA = "pip install 'medtransfer[serve]'"
MEGABYTE = 2**20


@dataclass(frozen=True)
class ServerConfig:
    """Settings of a server.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        token: Token that every request for a prediction must carry; None for none.
        max_bytes: Largest body of a request.
        max_images: Most images of a case.
        requests_per_minute: Of one client address; 0 for no limit.
        max_waiting: Requests that wait for the network; more are turned away.
        certificate: File of a TLS certificate, with its key; None for plain HTTP.
        key: File of its key.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    max_bytes: int = 64 * MEGABYTE
    max_images: int = 16
    requests_per_minute: int = 600
    max_waiting: int = 256
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_local(self) -> bool:
        """True if only this machine can reach it."""
        return is_loopback(self.host)


def server_config(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    max_megabytes: int = 64,
    requests_per_minute: int = 600,
    certificate: Path | None = None,
    key: Path | None = None,
) -> ServerConfig:
    """Settings as they are typed on a command line, checked.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        token_file: File with the token; the environment variable `TOKEN` by default.
        max_megabytes: Largest body of a request, in MiB.
        requests_per_minute: Of one client address; 0 for no limit.
        certificate: File of a TLS certificate.
        key: File of its key.

    Raises:
        ConfigError: A number is out of range, there is no token beyond this machine, or a file is
            missing.
    """
    faults: list[str] = []
    if not 0 <= port <= 65_535:
        faults.append(f"--port is {port} (allowed: 0 to 65535)")
    if not 1 <= max_megabytes <= 4096:
        faults.append(f"--max-megabytes is {max_megabytes} (allowed: 1 to 4096)")
    if requests_per_minute < 0:
        faults.append(f"--requests-per-minute is {requests_per_minute} (allowed: 0 and more)")
    for name, file in (("token-file", token_file), ("certificate", certificate), ("key", key)):
        if file is not None and not file.is_file():
            faults.append(f'--{name} "{file}" does not exist')
    if (certificate is None) != (key is None):
        faults.append("--certificate and --key belong together")
    if not faults:
        token = _token(token_file)
        faults += _token_faults(host, token)
    if faults:
        raise ConfigError(fault_list("The server cannot be started so", faults))
    return ServerConfig(
        host=host,
        port=port,
        token=_token(token_file),
        max_bytes=max_megabytes * MEGABYTE,
        requests_per_minute=requests_per_minute,
        certificate=certificate,
        key=key,
    )


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(file: Path | None) -> str | None:
    """The token; characters that no token has become others that are refused.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        text = file.read_text("utf-8", "replace") if file else os.environ.get(TOKEN, "")
    except OSError as error:
        raise ConfigError(f'--token-file "{file}" cannot be read ({error.strerror}).') from error
    return text.strip() or None


def _token_faults(host: str, token: str | None) -> list[str]:
    if token is None and not is_loopback(host):
        fault = (
            f"--host {host} can be reached from other machines and there is no token. Set {TOKEN} "
            f"or give --token-file with at least {MIN_TOKEN} characters"
        )
        return [fault]
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii()):
        return [f"the token has {len(token)} characters (allowed: at least {MIN_TOKEN}, ASCII)"]
    return []
