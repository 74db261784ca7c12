"""Questions to an archive over QIDO-RS and WADO-RS; no answer or address is part of a message.

The client's own errors and its log quote addresses with ids in them: they are caught here, and a
fault says no more than its kind.
"""

import logging
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medtransfer.errors import ConfigError, StudyError

PAGE = 500
"""Answers to ask for at a time; an archive may give fewer."""
TIMEOUT = (10.0, 300.0)
"""Seconds for a connection, and between two pieces of an answer."""
ATTEMPTS = 4
WAIT_MILLISECONDS = 500
"""Wait before the second attempt; it doubles each time."""
TO_INSTALL = 'pip install "medtransfer[dicomweb]"'
STATUS = {401: "it wants a name or a token", 403: "access is refused", 404: "nothing is there"}
Answer = Mapping[str, Mapping[str, Any]]
"""A data set in the JSON of DICOM: tag → its values, of any kind (PS3.18, annex F)."""


class FetchError(Exception):
    """An answer that did not come; its text is a kind of fault without ids."""


@dataclass(frozen=True)
class OfferedImage:
    """An image that an archive has.

    Attributes:
        study: Study Instance UID.
        series: Series Instance UID.
        instance: SOP Instance UID.
        sop_class: SOP Class UID; empty if the archive does not say.
        frames: Number of frames; 1 if the archive does not say.
        modality: Modality of the series, in capitals.
    """

    study: str
    series: str
    instance: str
    sop_class: str
    frames: int
    modality: str


class WebArchive:
    """An archive under an address.

    Args:
        address: Root of its DICOMweb services, ``https://…``.
        token: File with a token; empty for none.

    Raises:
        ConfigError: The client is not installed, the address is none, or the token is not there.
    """

    def __init__(self, address: str, token: str = "") -> None:
        try:
            from dicomweb_client.api import DICOMwebClient
        except ImportError as error:
            raise ConfigError(f"DICOMweb needs another package: {TO_INSTALL}") from error
        check_address(address)
        headers = {"Authorization": f"Bearer {_token(token)}"} if token else None
        self._client: DICOMwebClient = DICOMwebClient(
            url=address.rstrip("/"), headers=headers, permissive_uid=True, timeout=TIMEOUT
        )
        self._client.set_http_retry_params(
            retry=True, max_attempts=ATTEMPTS, wait_exponential_multiplier=WAIT_MILLISECONDS
        )

    def studies(self, filters: Mapping[str, str]) -> list[str]:
        """Study Instance UIDs of the studies that fit some filters.

        Raises:
            FetchError: The archive does not answer.
        """
        studies: dict[str, None] = {}
        for answer in self._pages("search_for_studies", search_filters=dict(filters)):
            if uid := _value(answer, "0020000D"):
                studies[uid] = None
        return list(studies)

    def images(self, study: str) -> list[OfferedImage]:
        """All objects of a study.

        Raises:
            FetchError: The archive does not answer.
        """
        offered: list[OfferedImage] = []
        for series in self._pages("search_for_series", study_instance_uid=study):
            uid = _value(series, "0020000E")
            modality = _value(series, "00080060").upper()
            answers = self._pages(
                "search_for_instances",
                study_instance_uid=study,
                series_instance_uid=uid,
                fields=["00080016", "00280008"],
            )
            offered += (
                OfferedImage(
                    study=study,
                    series=uid,
                    instance=_value(answer, "00080018"),
                    sop_class=_value(answer, "00080016"),
                    frames=_whole(_value(answer, "00280008")),
                    modality=modality,
                )
                for answer in answers
            )
        return offered

    def file(self, image: OfferedImage) -> bytes:
        """The DICOM file of an image, in the transfer syntax in which the archive has it.

        Raises:
            FetchError: The archive does not answer, or answers with another or a damaged image.
        """
        with self._faults():
            dataset = self._ask(
                "retrieve_instance",
                study_instance_uid=image.study,
                series_instance_uid=image.series,
                sop_instance_uid=image.instance,
            )
            if str(dataset.get("SOPInstanceUID", "")) != image.instance:
                raise FetchError("another image came")
            stream = BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            return stream.getvalue()

    def _ask(self, method: str, **asked: Any) -> Any:
        """Answer of a method of the client, which leaves the types of its answers open."""
        return getattr(self._client, method)(**asked)

    def _pages(self, search: str, **asked: Any) -> Iterator[Answer]:
        """Answers to a search, page by page, up to a page without a new one.

        Some archives ignore the start of a page and give the first one again and again.
        """
        seen: set[str] = set()
        start = 0
        while True:
            with self._faults():
                page: Sequence[Answer] = self._ask(search, limit=PAGE, offset=start, **asked)
            fresh = [answer for answer in page if str(answer) not in seen]
            yield from fresh
            seen |= {str(answer) for answer in fresh}
            start += len(page)
            if not fresh:
                return

    @contextmanager
    def _faults(self) -> Generator[None]:
        """Turn whatever the client raises into a `FetchError` that quotes nothing."""
        try:
            yield
        except FetchError:
            raise
        except Exception as error:  # of requests, retrying, json, pydicom and the client itself
            raise FetchError(_kind(error)) from error


def check_address(address: str) -> None:
    """Refuse what is no address, and one with a password in it, without repeating it.

    Raises:
        ConfigError: It does not begin with http:// or https://, or holds a name or a password.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            "The address of the archive must begin with https:// or http:// and name its DICOMweb "
            "root, e.g. https://archive.hospital/dicom-web."
        )
    if parts.username or parts.password:
        raise ConfigError(
            "The address holds a name or a password, which others could read in the list of "
            "processes. Write them to ~/.netrc, or a token to a file (--option token=FILE)."
        )


@contextmanager
def quiet_client() -> Generator[None]:
    """Keep the log and the warnings of the client from everybody: they quote addresses and ids.

    Filters of warnings belong to the process: they are set once, before threads start.
    """
    logs = [logging.getLogger(name) for name in ("dicomweb_client", "urllib3", "pydicom")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def no_answer(fault: FetchError) -> StudyError:
    """Error for an archive that cannot be asked at all."""
    return StudyError(
        f"The archive cannot be asked: {fault}. Check the address, the network and your access; "
        "then run the same command again."
    )


def _kind(error: Exception) -> str:
    """Kind of a fault: the status of an answer, or the name of an error."""
    response = getattr(error, "response", None)
    last = getattr(error, "last_attempt", None)  # of the client's retries
    if response is None and last is not None:
        value = getattr(last, "value", None)
        response = getattr(value, "response", value)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        return f"status {status}" + (f", {STATUS[status]}" if status in STATUS else "")
    return type(error).__name__


def _token(file: str) -> str:
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'The token "{file}" cannot be read.') from error
    if not text or any(c.isspace() for c in text):
        raise ConfigError(f'The token "{file}" is empty or holds blanks.')
    return text


def _value(answer: Answer, tag: str) -> str:
    """First value of an element; empty if there is none."""
    values = answer.get(tag, {}).get("Value") or [""]
    return str(values[0] if values[0] is not None else "")


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 1
