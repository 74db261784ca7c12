"""Transfer syntaxes of DICOM, and the decoder of each.

A transfer syntax has exactly one decoder, so that the same file gives the same pixels on every
machine with the same packages. Files whose decoder is missing are rejected.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

Codec = Literal["native", "gdcm", "openjpeg", "rle"]
Family = Literal["native", "jpeg", "jpeg-ls", "jpeg2000", "rle"]

PACKAGES: dict[Codec, str] = {
    "native": "pydicom",
    "gdcm": "python-gdcm",
    "openjpeg": "pylibjpeg-openjpeg",
    "rle": "pylibjpeg-rle",
}
"""Decoder → the package that brings it."""
DICOM_RULES = "dicom 1"
"""Version of the rules that turn stored values into pixels; raised when a pixel can change."""
MISREADER = "pylibjpeg-libjpeg"
"""Gives wrong pixels for legal JPEG Lossless files (its differences do not wrap, T.81 H.2.1)."""


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax.

    Attributes:
        uid: Its identifier.
        name: As the standard calls it, shortened.
        codec: Its decoder.
        family: Format of its code streams.
        processes: Markers that may start a frame of a JPEG stream (T.81, table B.1).
    """

    uid: str
    name: str
    codec: Codec
    family: Family
    processes: tuple[int, ...] = ()

    @property
    def is_lossless(self) -> bool:
        """True if every decoder must give the same numbers, to the last bit."""
        return self.uid not in LOSSY


IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
_JPEG = "1.2.840.10008.1.2.4."
BASELINE = _JPEG + "50"
SYNTAXES: dict[str, Syntax] = {
    syntax.uid: syntax
    for syntax in (
        Syntax(IMPLICIT, "Implicit VR Little Endian", "native", "native"),
        Syntax(EXPLICIT, "Explicit VR Little Endian", "native", "native"),
        Syntax(BIG_ENDIAN, "Explicit VR Big Endian", "native", "native"),
        Syntax(DEFLATED, "Deflated Explicit VR Little Endian", "native", "native"),
        Syntax("1.2.840.10008.1.2.5", "RLE Lossless", "rle", "rle"),
        Syntax(BASELINE, "JPEG Baseline", "gdcm", "jpeg", (0xC0, 0xC1)),
        Syntax(_JPEG + "51", "JPEG Extended", "gdcm", "jpeg", (0xC0, 0xC1)),
        Syntax(_JPEG + "57", "JPEG Lossless", "gdcm", "jpeg", (0xC3,)),
        Syntax(_JPEG + "70", "JPEG Lossless SV1", "gdcm", "jpeg", (0xC3,)),
        Syntax(_JPEG + "80", "JPEG-LS Lossless", "gdcm", "jpeg-ls", (0xF7,)),
        Syntax(_JPEG + "81", "JPEG-LS Near-Lossless", "gdcm", "jpeg-ls", (0xF7,)),
        Syntax(_JPEG + "90", "JPEG 2000 Lossless", "openjpeg", "jpeg2000"),
        Syntax(_JPEG + "91", "JPEG 2000", "openjpeg", "jpeg2000"),
        Syntax(_JPEG + "201", "HTJ2K Lossless", "openjpeg", "jpeg2000"),
        Syntax(_JPEG + "202", "HTJ2K Lossless RPCL", "openjpeg", "jpeg2000"),
        Syntax(_JPEG + "203", "HTJ2K", "openjpeg", "jpeg2000"),
    )
}
"""Every transfer syntax that can be read, by its identifier."""


LOSSY = frozenset(_JPEG + number for number in ("50", "51", "81", "91", "203"))
"""Transfer syntaxes that need not keep every bit; decoders may round them differently."""


@cache
def has_misreader() -> bool:
    """True if pylibjpeg-libjpeg is installed: JPEG files are rejected until it is removed."""
    try:
        return find_spec("libjpeg") is not None and version(MISREADER) != ""
    except (PackageNotFoundError, ValueError):
        return False


def reason_unreadable(syntax: Syntax) -> str:
    """Reason why a transfer syntax cannot be read on this machine, or an empty string."""
    if syntax.family in ("jpeg", "jpeg-ls") and has_misreader():
        return (
            f"{MISREADER} is installed, which misreads legal JPEG Lossless files: "
            f"pip uninstall {MISREADER}"
        )
    package = PACKAGES[syntax.codec]
    return "" if _version(package) else f"{package} is missing: pip install {package}"


def decoder_of(syntax: Syntax) -> str:
    """Name and version of a transfer syntax's decoder."""
    return f"{PACKAGES[syntax.codec]} {_version(PACKAGES[syntax.codec]) or 'missing'}"


@cache
def dicom_decoder() -> str:
    """Rules and decoders with their versions, which are not bit-equal; for cache keys."""
    versions = (f"{package} {_version(package) or 'missing'}" for package in PACKAGES.values())
    return f"{DICOM_RULES} by {', '.join(versions)}"


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
