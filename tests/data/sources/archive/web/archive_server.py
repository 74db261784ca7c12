"""A small archive over DICOMweb in this process, with the faults that real ones have."""

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom.datadict import tag_for_keyword

ROOT = "/dicom-web"
BOUNDARY = b"a-boundary"


@dataclass(frozen=True)
class Stored:
    """An object of the archive: its file and what it is found by."""

    content: bytes
    study: str
    series: str
    instance: str
    entries: dict[str, str]


@dataclass
class Archive:
    """The archive's objects, its faults and what it was asked.

    Attributes:
        objects: All objects.
        token: What it wants as a token; empty for nothing.
        failing: Paths' ends → statuses to answer with, one a request.
        cut: Paths' ends of answers that stop half way, once.
        ignores_offset: Whether it gives the first page again and again.
        asked: Paths and how often they were asked for.
    """

    objects: list[Stored]
    token: str = ""
    failing: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    cut: set[str] = field(default_factory=set[str])
    ignores_offset: bool = False
    asked: Counter[str] = field(default_factory=Counter[str])
    queries: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    address: str = ""

    def fetched(self) -> int:
        """Number of requests for files."""
        return sum(n for path, n in self.asked.items() if path.count("/") == 7)


@contextmanager
def serving(archive: Archive) -> Generator[Archive]:
    """The archive behind an address of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, archive)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the name of the base class
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    archive.address = f"http://127.0.0.1:{server.server_port}{ROOT}"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, archive: Archive) -> None:
    parts = urlsplit(request.path)
    path = parts.path
    archive.asked[path] += 1
    if archive.token and request.headers.get("Authorization") != f"Bearer {archive.token}":
        _send(request, 401, b"", "text/plain")
        return
    for end, statuses in archive.failing.items():
        if path.endswith(end) and statuses:
            _send(request, statuses.pop(0), b"CANARY of the archive", "text/plain")
            return
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    steps = path.removeprefix(ROOT).strip("/").split("/")
    if len(steps) == 6:
        _send_file(request, archive, steps)
        return
    objects = [one for one in archive.objects if _inside(one, steps)]
    if len(steps) == 1:
        archive.queries.append(query)
        objects = [one for one in objects if _fits(one, query)]
    answers = {_level(one, steps): one for one in reversed(objects)}
    kept = [_json(one, steps) for _, one in sorted(answers.items())]
    start = 0 if archive.ignores_offset else int(query.get("offset", 0))
    page = kept[start : start + min(int(query.get("limit", 100)), 3)]  # fewer than are asked for
    body = json.dumps(page).encode() if page else b""
    _send(request, 200 if page else 204, body, "application/dicom+json")


def _inside(one: Stored, steps: list[str]) -> bool:
    named = dict(zip(steps[::2], steps[1::2], strict=False))
    return named.get("studies", one.study) == one.study and (
        named.get("series", one.series) == one.series
    )


def _fits(one: Stored, query: dict[str, str]) -> bool:
    for name, wanted in query.items():
        if name in ("limit", "offset", "includefield"):
            continue
        have = one.entries.get("Modality" if name == "ModalitiesInStudy" else name, "")
        if name == "StudyDate":
            low, _, high = wanted.partition("-")
            if not (low or "0") <= have <= (high or "9"):
                return False
        elif have != wanted:
            return False
    return True


def _level(one: Stored, steps: list[str]) -> str:
    return {1: one.study, 3: one.series}.get(len(steps), one.instance)


def _json(one: Stored, steps: list[str]) -> dict[str, Any]:
    shown = {"StudyInstanceUID": one.study, "PatientName": "CANARY^NAME"}
    if len(steps) >= 3:
        shown |= {"SeriesInstanceUID": one.series, "Modality": one.entries["Modality"]}
    if len(steps) == 5:
        shown |= {"SOPInstanceUID": one.instance, "SOPClassUID": one.entries["SOPClassUID"]}
        shown |= {"NumberOfFrames": one.entries.get("NumberOfFrames", "1")}
    return {f"{tag_for_keyword(name):08X}": {"vr": "LO", "Value": [v]} for name, v in shown.items()}


def _send_file(request: BaseHTTPRequestHandler, archive: Archive, steps: list[str]) -> None:
    found = [one for one in archive.objects if one.instance == steps[5]]
    if not found:
        _send(request, 404, b"", "text/plain")
        return
    head = b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
    body = head + found[0].content + b"\r\n--" + BOUNDARY + b"--\r\n"
    kind = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY.decode()}"'
    cut = next((end for end in archive.cut if steps[5] == end), None)
    archive.cut -= {cut} if cut else set()
    _send(request, 200, body, kind, cut=len(body) // 2 if cut else None)


def _send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, cut: int | None = None
) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body if cut is None else body[:cut])
    request.close_connection = cut is not None
