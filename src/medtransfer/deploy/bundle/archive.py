"""Zip file of a bundle: entries stored, not compressed, a list of sizes and SHA-256 last.

A stranger's file is checked before anything of it is read: the number and the sizes of its
entries, their names, and that they are not packed, so that nothing can unfold to more than the
file's own size. Every entry is compared with its SHA-256 when it is read.
"""

import hashlib
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medtransfer.errors import BundleError, fault_list
from medtransfer.files import SEAL, json_text, replacing

MAX_ENTRIES = 256
MAX_DIRECTORY = 2**20
"""Most bytes of the zip's own list of entries."""
MAX_SEAL = 2**20
SIGNATURE = "SIGNATURE.json"
"""The one entry that the list does not name: it signs the list."""
MAX_SIGNATURE = 2**12
ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,79})?")
"""One folder at most, and no name that begins with a dot."""
YEAR_ZERO = (1980, 1, 1, 0, 0, 0)
"""Date of every entry, so that the same content gives the same bytes."""
END = b"PK\x05\x06"
END_64 = b"PK\x06\x06"

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""Errors of Python's zip reader on changed bytes."""


@dataclass(frozen=True)
class Entry:
    """Size and digest of an entry, as the list at the end states them."""

    size: int
    sha256: str


@dataclass(frozen=True, eq=False)
class Archive:
    """An opened bundle file; entries are read and checked when they are asked for.

    Attributes:
        path: The file.
        entries: By name, without the list itself.
        digest: SHA-256 of the list, which stands for the whole bundle.
        signature: Of the digest, as it is stored; None if there is none.
    """

    path: Path
    entries: Mapping[str, Entry]
    digest: str
    signature: bytes | None = None

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Content of an entry.

        Args:
            name: Of the entry.
            limit: Most bytes it may have; None for the size of the file.

        Raises:
            BundleError: It is missing, too large, or not what the list says.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise BundleError(f'Bundle "{self.path.name}" lacks {name}. Export it again.')
        if limit is not None and entry.size > limit:
            raise BundleError(
                f'Bundle "{self.path.name}" cannot be used: {name} has {entry.size:,} bytes '
                f"(allowed: {limit:,})."
            )
        try:
            with zipfile.ZipFile(self.path) as archive:
                content = archive.read(name)
        except UNREADABLE as error:
            raise _damaged(self.path, f"{name} cannot be read ({type(error).__name__})") from error
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise _damaged(self.path, f"{name} is not what it was when the bundle was made")
        return content


def write_archive(
    path: Path, contents: Mapping[str, bytes], sign: Callable[[str], bytes] | None = None
) -> None:
    """Write a bundle file, whole or not at all; the same contents give the same bytes.

    Args:
        path: The file.
        contents: By name.
        sign: Gives the signature of a digest; None for none.

    Raises:
        StudyError: The disk is full or does not let itself be written to.
    """
    names = sorted(contents)
    seal = {
        name: {"size": len(contents[name]), "sha256": hashlib.sha256(contents[name]).hexdigest()}
        for name in names
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            archive.writestr(_zip_entry(name), contents[name])
        listing = json_text(seal).encode()
        archive.writestr(_zip_entry(SEAL), listing)
        if sign is not None:
            signature = sign(hashlib.sha256(listing).hexdigest())
            archive.writestr(_zip_entry(SIGNATURE), signature)


def open_archive(path: Path) -> Archive:
    """Open a bundle file and check its list of entries; nothing else is read.

    Raises:
        BundleError: It is no bundle, truncated, altered, or has entries that are not allowed.
    """
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            _check_entries(path, infos)
            seal = archive.read(SEAL)
            is_signed = SIGNATURE in archive.namelist()
            signature = archive.read(SIGNATURE) if is_signed else None
    except BundleError:
        raise
    except UNREADABLE as error:
        raise _damaged(path, f"it is no complete zip file ({type(error).__name__})") from error
    entries = _listed_entries(path, seal)
    listed = [info for info in infos if info.filename not in (SEAL, SIGNATURE)]
    sizes = {info.filename: info.file_size for info in listed}
    if sizes != {name: entry.size for name, entry in entries.items()}:
        raise _damaged(path, f"its entries are not those of {SEAL}")
    return Archive(path, entries, hashlib.sha256(seal).hexdigest(), signature)


def _zip_entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=YEAR_ZERO)
    info.compress_type = zipfile.ZIP_STORED
    info.create_system = 3  # as on Linux wherever it is written
    info.external_attr = 0o644 << 16
    return info


def _check_directory(path: Path) -> None:
    """Check the size of the zip's own list, which `zipfile` reads as a whole.

    Raises:
        BundleError: The file is missing, does not end like a zip file, or lists too much.
    """
    if not path.is_file():
        raise BundleError(f'The bundle "{path}" does not exist.')
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 98))
        tail = stream.read()
    end = tail[-22:]
    if len(end) < 22 or end[:4] != END or end[20:] != b"\0\0":
        raise _damaged(path, "it does not end like a bundle")
    count, length = struct.unpack("<HI", end[10:16])
    if tail[:4] == END_64 and len(tail) == 98:
        count, length = struct.unpack("<QQ", tail[32:48])
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise _damaged(path, f"it lists {count:,} entries (allowed: {MAX_ENTRIES})")


def _check_entries(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse entries that are packed, encrypted, doubled, misnamed, or larger than the file.

    Raises:
        BundleError: There are such entries.
    """
    faults: list[str] = []
    names = [info.filename for info in infos]
    for info in infos:
        shown = ascii(info.filename)[:60]
        if not ENTRY_NAME.fullmatch(info.filename):
            faults.append(f"entry {shown} has a name that is not allowed")
        elif info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            faults.append(f"entry {shown} is compressed")
        elif info.flag_bits & 0x1:
            faults.append(f"entry {shown} is encrypted")
    if len(set(names)) < len(names):
        faults.append("two entries have the same name")
    if sum(info.file_size for info in infos) > path.stat().st_size:
        faults.append("its entries claim more bytes than the file has")
    if SEAL not in names:
        faults.append(f"{SEAL} is missing")
    elif next(info for info in infos if info.filename == SEAL).file_size > MAX_SEAL:
        faults.append(f"{SEAL} is too large")
    if any(i.filename == SIGNATURE and i.file_size > MAX_SIGNATURE for i in infos):
        faults.append(f"{SIGNATURE} is too large")
    if faults:
        raise BundleError(fault_list(f'Bundle "{path.name}" cannot be used', faults, _ADVICE))


def _listed_entries(path: Path, seal: bytes) -> dict[str, Entry]:
    """Entries by the list at the end.

    Raises:
        BundleError: It is not such a list.
    """
    try:
        listed = json.loads(seal)
        entries = {
            name: Entry(int(fields["size"]), str(fields["sha256"]))
            for name, fields in listed.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"{SEAL} is no list of its entries") from error
    return entries


_ADVICE = "Ask for the bundle again; a bundle is written by `medtransfer export` alone."


def _damaged(path: Path, why: str) -> BundleError:
    return BundleError(f'Bundle "{path.name}" cannot be used: {why}. {_ADVICE}')
