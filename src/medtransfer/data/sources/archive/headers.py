"""Header entries of DICOM files as texts, for the making of a manifest inside this process.

Some of them identify patients: ids, dates, free text. They stay in the frame that is given back.
Nothing of it may be written or quoted but by way of `attributes` and `pseudonyms`.
"""

import errno
import logging
import os
import struct
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.config import disable_value_validation
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import (
    dcmread,  # pyright: ignore[reportUnknownVariableType]: pydicom leaves a type argument open
)

from medtransfer.data.images.decode import is_dicom
from medtransfer.data.images.dicom.elements import DAMAGE, is_little, items
from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.data.sources.archive.header_walk import (
    SYNTAX_TAG,
    ElementValues,
    UnusualHeaderError,
    Walk,
    Walked,
    Window,
)
from medtransfer.data.sources.archive.parallel import in_parallel

FILE, STATUS, PIXELS = "file", "status", "pixels"
"""Columns beside the entries: number of the file, whether it was read, and `Walked.pixels`."""
READ, OTHER, BROKEN, OUTSIDE = "read", "other", "broken", "outside"
"""Values of `STATUS`; ``other`` is no DICOM, ``outside`` a link that leaves the folder."""
KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "AccessionNumber",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "StudyDate",
    "Modality",
    "ImageType",
    "PresentationIntentType",
    "NumberOfFrames",
    "Rows",
    "ViewPosition",
    "ImageLaterality",
    "Laterality",
    "BodyPartExamined",
    "ProtocolName",
    "SeriesDescription",
    "AcquisitionDeviceProcessingDescription",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "StationName",
    "InstitutionName",
    "KVP",
    "Exposure",
    "ExposureInuAs",
    "BurnedInAnnotation",
    "PatientIdentityRemoved",
)
"""Entries that are read; the names are those of the standard."""
SEQUENCES = {"ViewCodeSequence": "View", "AnatomicRegionSequence": "Region"}
"""Coded entries, with the start of their columns: the code and its meaning."""
WHOLE = ("ImageType",)
"""Entries of which every value is read, not the first alone."""
COLUMNS = (
    *KEYWORDS,
    *(f"{name}{part}" for name in SEQUENCES.values() for part in ("Code", "Word")),
)
THREADS = 8
"""Most of a read is waiting for the disk of an archive; the walk itself takes turns."""
CHUNK = 256
"""Files that a thread reads before it gives them back."""


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


CHARACTER_SET = _tag("SpecificCharacterSet")
DIRECTORY_CLASS = _tag("MediaStorageSOPClassUID")
CODE, MEANING = _tag("CodeValue"), _tag("CodeMeaning")
TAGS = {keyword: _tag(keyword) for keyword in KEYWORDS}
SEQUENCE_TAGS = {_tag(keyword): keyword for keyword in SEQUENCES}
WANTED = frozenset((*TAGS.values(), CHARACTER_SET, DIRECTORY_CLASS, SYNTAX_TAG))
NUMBERS = frozenset((TAGS["Rows"],))
Row = tuple[int, str, str, *tuple[str | None, ...]]
SCHEMA = {FILE: pl.Int64, STATUS: pl.String, PIXELS: pl.String, **dict.fromkeys(COLUMNS, pl.String)}


def read_header_frame(
    folder: Path, paths: Sequence[str], progress: Progress = no_progress
) -> pl.DataFrame:
    """Read the headers of files, several at a time; no pixel is read.

    Memory grows with the rows of the frame alone: of a file only the start is held.

    Args:
        folder: Folder of the files.
        paths: Files, relative to it.
        progress: Called as files are done.

    Returns:
        A row per file with the columns of `SCHEMA`, `FILE` counted from 1 in the order of `paths`.
    """
    root = folder.resolve()
    chunks = [range(i, min(i + CHUNK, len(paths))) for i in range(0, len(paths), CHUNK)]
    frames: list[pl.DataFrame] = []
    done = 0

    def read(chunk: range) -> list[Row]:
        return [_row(n + 1, root, paths[n]) for n in chunk]

    with _quiet(), closing(in_parallel(read, chunks, THREADS)) as results:
        for rows in results:
            frames.append(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
            done += len(rows)
            progress(done, len(paths))
    return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep pydicom's warnings and its log, which quote values, from everybody.

    Filters of warnings belong to the process: they are set once, before the threads start.
    """
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"), disable_value_validation():
            yield
    finally:
        log.setLevel(level)


def _row(number: int, root: Path, path: str) -> Row:
    try:
        walked = _walked(root, path)
    except (OSError, ValueError):  # a name that is no UTF-8 is not found either
        walked = BROKEN
    if isinstance(walked, str):
        return (number, walked, "none", *[None] * len(COLUMNS))
    try:
        return (number, READ, walked.pixels, *_texts(walked))
    except DAMAGE:
        return (number, BROKEN, "none", *[None] * len(COLUMNS))


def _walked(root: Path, path: str) -> Walked | str:
    """The wanted elements of a file, or why there are none."""
    place = f"{root}/{path}"
    try:
        window = Window(place)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        target = os.path.realpath(place)  # a link
        if not target.startswith(f"{root}/"):
            return OUTSIDE
        window = Window(target)
    with window:
        start = window.take(0, 132)
        if not is_dicom(start):
            return OTHER
        try:
            return Walk(window, WANTED, SEQUENCE_TAGS, (CODE, MEANING)).header(
                132 if start[128:] == b"DICM" else 0
            )
        except UnusualHeaderError:
            return _by_pydicom(place)


def _by_pydicom(place: str) -> Walked | str:
    """The same elements as pydicom reads them, which makes sense of many damaged files."""
    try:
        dataset = dcmread(place, stop_before_pixels=True, force=True)
        if not len(dataset):
            return BROKEN
        values: ElementValues = {}
        for tag in WANTED:
            holder = dataset.file_meta if tag >> 16 == 2 else dataset
            if tag in holder:
                values[tag] = _bytes_of(holder, tag)
        for tag, keyword in SEQUENCE_TAGS.items():
            for item in items(dataset, keyword)[:1]:
                values |= {(tag, inner): _bytes_of(item, inner) for inner in (CODE, MEANING)}
    except DAMAGE:
        return BROKEN
    return Walked(values, is_little(dataset), "whole" if TAGS["Rows"] in dataset else "none")


def _bytes_of(dataset: Dataset, tag: int) -> bytes:
    """An element's value as it is stored; empty where pydicom has read it already."""
    value = dataset.get_item(tag).value if tag in dataset else b""
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "replace")


def _texts(walked: Walked) -> Iterator[str | None]:
    """The values as texts, in the order of `COLUMNS`; None where there is nothing."""
    values = walked.values
    encodings = _encodings(values.get(CHARACTER_SET, b""))
    for keyword, tag in TAGS.items():
        raw = values.get(tag)
        if keyword == "SOPClassUID":
            raw = raw or values.get(DIRECTORY_CLASS)
        if not raw:
            yield None
        elif tag in NUMBERS:
            yield str(struct.unpack_from("<H" if walked.little else ">H", raw)[0])
        else:
            yield _text(raw, encodings, whole=keyword in WHOLE)
    for tag in SEQUENCE_TAGS:
        for inner in (CODE, MEANING):
            raw = values.get((tag, inner))
            yield _text(raw, encodings) if raw else None


def _encodings(raw: bytes) -> list[str]:
    """Python's names of the encodings of a file's texts; none for plain ASCII."""
    names = [name.strip() for name in raw.decode("ascii", "replace").strip(" \0").split("\\")]
    return convert_encodings(names) if any(names) else []


def _text(raw: bytes, encodings: Sequence[str], *, whole: bool = False) -> str | None:
    """A value as text, the first of several, without padding; None if nothing is left."""
    if raw.isascii() and b"\x1b" not in raw:
        text = raw.decode("ascii")
    else:
        text = decode_bytes(raw, encodings or ["iso8859"], set())
    text = text if whole else text.partition("\\")[0]
    return text.strip(" \0\t\r\n") or None
