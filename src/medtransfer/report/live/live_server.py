"""Local web page of a study in progress: read-only, on this machine's loopback alone."""

import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import cast

from medtransfer.errors import ConfigError, MedTransferError
from medtransfer.report.live.live_page import POLICY, live_page
from medtransfer.report.live.snapshot import read_live
from medtransfer.runs.folders import StudyFolder

LOOPBACK = "127.0.0.1"
PORT = 8377
REFRESH_SECONDS = 5
SLOWNESS = 10
"""Times as long as reading the study takes, a page stays as it is: large studies are read less."""
REQUEST_SECONDS = 10.0
"""Time in which a client has to send its request."""
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class LivePage:
    """The page of a study, read again when it is old."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._lock = Lock()
        self._page = b""
        self._until = 0.0

    def content(self) -> bytes:
        """The page as it is now, or was a few seconds ago.

        Raises:
            StudyError: The study's folder cannot be read any more.
        """
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                study = read_live(self._folder)
                wait = max(REFRESH_SECONDS, SLOWNESS * (time.monotonic() - began))
                self._page = live_page(study, round(wait)).encode()
                self._until = time.monotonic() + wait - 1
            return self._page


class LiveServer(ThreadingHTTPServer):
    """Server of one page on loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, page: LivePage, port: int) -> None:
        self.page = page
        super().__init__((LOOPBACK, port), LiveRequest)

    @property
    def names(self) -> set[str]:
        """Hosts that a browser on this machine may ask for; others point a name at loopback."""
        hosts = (LOOPBACK, "localhost")
        return {f"{host}:{self.server_port}" for host in hosts}


class LiveRequest(BaseHTTPRequestHandler):
    """A request: the page, or a refusal that repeats nothing of the request."""

    server_version = "medtransfer"
    sys_version = ""
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        """Answer with the page."""
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        """Answer with the page's headers."""
        self._answer(has_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — of the base class
        """Log nothing: a request may hold anything."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request in our own words, as the base class does for malformed ones."""
        del message, explain  # they may repeat the request
        self._send(code, HTTPStatus(code).phrase.encode(), has_body=True)

    def _answer(self, *, has_body: bool) -> None:
        server = cast("LiveServer", self.server)
        if self.headers.get("Host", "").lower() not in server.names:
            self._send(HTTPStatus.MISDIRECTED_REQUEST, b"Misdirected Request", has_body=has_body)
        elif self.path != "/":
            self._send(HTTPStatus.NOT_FOUND, b"Not Found", has_body=has_body)
        else:
            try:
                content = server.page.content()
            except MedTransferError:
                text = b"The study cannot be read now."
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, text, has_body=has_body)
                return
            self._send(HTTPStatus.OK, content, has_body=has_body)

    def _send(self, code: int, content: bytes, *, has_body: bool) -> None:
        self.send_response(code)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if has_body:
            self.wfile.write(content)


def _no_announcement(_address: str) -> None:
    """Tell nobody."""


def watch_study(
    folder: StudyFolder,
    port: int = PORT,
    on_start: Callable[[str], None] = _no_announcement,
) -> str:
    """Serve a page of a study in progress on this machine, until Ctrl-C.

    The page is read-only, loads itself again every few seconds, and holds no id of a patient, no
    file name and no message. It cannot be reached from other machines.

    Args:
        folder: Of the study.
        port: On loopback; 0 for any that is free.
        on_start: Called with the page's address.

    Returns:
        The address, once another thread has ended the server.

    Raises:
        StudyError: The folder is not that of a study that was run.
        ConfigError: The port is in use, or none.
    """
    read_live(folder)
    with make_server(folder, port) as server:
        address = f"http://{LOOPBACK}:{server.server_port}/"
        on_start(address)
        server.serve_forever()
    return address


def make_server(folder: StudyFolder, port: int = 0) -> LiveServer:
    """The server of a study's page, bound and not yet serving.

    Raises:
        ConfigError: The port is in use, or none.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port holds {port} (allowed: 0 to 65535; 0 for any that is free).")
    try:
        return LiveServer(LivePage(folder), port)
    except OSError as error:
        raise ConfigError(
            f"Port {port} cannot be used: {error.strerror}. Choose another with --port, or 0 for "
            "any that is free."
        ) from error
