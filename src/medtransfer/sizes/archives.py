"""Size of zip archives before they are unpacked: arrays (``.npz``), tensors (``.pth``)."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from medtransfer.errors import MedTransferError
from medtransfer.sizes.limits import memory_limit, require_memory

LOCAL_HEADER = 30
"""Bytes of a member's own header, before its name."""
CHUNK = 2**20


def require_array_sizes(path: Path, what: str, error: type[MedTransferError]) -> None:
    """Refuse an ``.npz`` file whose arrays take more memory than is available.

    A damaged file passes; its reader names the fault.

    Raises:
        MedTransferError: They take more; an error of the given class.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(_array_bytes(archive, info) for info in archive.infolist())
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError):
        return
    require_memory(needed, what, error)


def require_member_sizes(path: Path, what: str, error: type[MedTransferError]) -> None:
    """Refuse a zip archive whose members take more memory than is available.

    A file that is no archive passes, a damaged one too.

    Raises:
        MedTransferError: They take more; an error of the given class.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(info.file_size for info in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return
    require_memory(needed, what, error)


def _array_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Bytes of one array: those of its header's shape, which is what a reader allocates."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
    count = 1
    for length in shape:
        count *= max(0, int(length))
    return max(count * kind.itemsize, info.file_size)


def unpacked_parts(path: Path, wanted: str) -> Iterator[tuple[str, bytes]]:
    """Parts of the members of an archive that fit a name's start, unpacked for real.

    The lengths that an archive states are not believed. Members that are stored as they are, are
    given back as they are.

    Raises:
        OSError: The file cannot be read.
        zipfile.BadZipFile: It is no archive.
        zlib.error: A member is damaged.
    """
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            if info.filename.lower().startswith(wanted):
                for part in _parts(file, info):
                    yield info.filename, part


def _parts(file: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER:
        return
    skipped = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    file.seek(skipped, 1)
    left = info.compress_size
    unpacker = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
    while left > 0 and (raw := file.read(min(CHUNK, left))):
        left -= len(raw)
        if unpacker is None:
            yield raw
            continue
        while raw and not unpacker.eof:
            yield unpacker.decompress(raw, CHUNK)
            raw = unpacker.unconsumed_tail


def unpacked_limit() -> int:
    """Bytes of an archive that are unpacked to look at it: a quarter of what may be taken."""
    return memory_limit() // 4
