"""Requests: their size, their images, their token, and how many a client may send."""

import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

from medtransfer.errors import listed, plural

MAX_CLIENTS = 10_000
"""Clients whose number of requests is kept."""
MAX_TEXT = 1_000
"""Characters of a field of clinical data."""
FIELDS = "Besides files, the form may have these fields, once each:"


class RequestError(Exception):
    """A request that is turned away.

    Attributes:
        status: HTTP status.
        reason: Sentence for the client; it quotes nothing of the request.
        retry_after: Seconds after which to try again; None for never.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        """Keep status and reason."""
        super().__init__(reason)
        self.status, self.reason, self.retry_after = status, reason, retry_after


class RateLimit:
    """Token bucket of each client: a minute's requests at once, then as they are refilled."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets.

        Args:
            per_minute: Requests of a client; 0 for no limit.
            clock: Seconds.
        """
        self._rate, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count a request.

        Raises:
            RequestError: The client has sent too many.
        """
        if not self._rate:
            return
        now = self._clock()
        left, before = self._buckets.pop(client, (float(self._rate), now))
        left = min(float(self._rate), left + (now - before) * self._rate / 60)
        is_allowed = left >= 1
        self._buckets[client] = (left - 1 if is_allowed else left, now)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not is_allowed:
            wait = int((1 - left) * 60 / self._rate) + 1
            raise RequestError(
                429, f"More than {self._rate} requests a minute are not taken.", wait
            )


def check_token(token: str | None, header: str | None) -> None:
    """Compare a request's ``Authorization`` with the token.

    Raises:
        RequestError: It has another or none.
    """
    if token is None:
        return
    given = (header or "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise RequestError(401, "The header Authorization must be: Bearer, a blank, the token.")


async def read_body(chunks: AsyncIterator[bytes], length: str | None, limit: int) -> bytes:
    """The body of a request, in memory alone.

    Args:
        chunks: Its parts.
        length: Header ``Content-Length``.
        limit: Most bytes.

    Raises:
        RequestError: It is larger.
    """
    too_large = RequestError(413, f"A body of more than {limit:,} bytes is not taken.")
    if length is not None and (not length.isdigit() or int(length) > limit):
        raise too_large
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


@dataclass(frozen=True)
class RequestCase:
    """A case that a request asks about.

    Attributes:
        images: Their contents.
        clinical: Clinical data by column, as the client wrote them.
    """

    images: Sequence[bytes]
    clinical: Mapping[str, str] = field(default_factory=dict[str, str])


def request_case(
    body: bytes, content_type: str, max_images: int, clinical: Sequence[str] = ()
) -> RequestCase:
    """Case of a request: its whole body is an image, or ``multipart/form-data`` holds all of it.

    Args:
        body: Of the request.
        content_type: Header ``Content-Type``.
        max_images: Most images.
        clinical: Columns of clinical data that the bundle sees: fields of the form of these names,
            without a file name, are their values.

    Raises:
        RequestError: There is no image, there are too many, or a field cannot be used.
    """
    kind = Message()
    kind["Content-Type"] = content_type
    values: dict[str, str] = {}
    if kind.get_content_maintype() == "multipart":
        boundary = kind.get_param("boundary")
        if not isinstance(boundary, str) or not boundary:
            raise RequestError(400, "The multipart body has no boundary.")
        images: list[bytes] = []
        for head, content in _parts(body, boundary.encode()):
            name = _field_name(head) if clinical else None
            if name is None:
                images += [content] if content else []
            elif name not in clinical or name in values:
                raise RequestError(400, f"{FIELDS} {listed(clinical, 20)}.")
            else:
                values[name] = _field_text(content)
    else:
        images = [body] if body else []
    if not images:
        raise RequestError(400, "The request has no image.")
    if len(images) > max_images:
        raise RequestError(413, f"A case of more than {plural(max_images, 'image')} is not taken.")
    return RequestCase(images, {name: text for name, text in values.items() if text})


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Header and content of the parts of a multipart body (RFC 2046, section 5.1)."""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            break
        head, separator, content = part.partition(b"\r\n\r\n")
        if separator:
            yield head, content


def _field_name(head: bytes) -> str | None:
    """Name of a form's field that is no file (RFC 7578); None for a file."""
    part = message_from_bytes(head.strip())
    name = part.get_param("name", header="Content-Disposition")
    has_file = part.get_param("filename", header="Content-Disposition") is not None
    return None if has_file or not isinstance(name, str) else name


def _field_text(content: bytes) -> str:
    """Text of a field.

    Raises:
        RequestError: It is no text, or too long.
    """
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise RequestError(400, "A field of the form is no text in UTF-8.") from None
    if len(text) > MAX_TEXT:
        raise RequestError(413, f"A field of more than {MAX_TEXT:,} characters is not taken.")
    return text
