"""Headers of the DICOM images behind a case, as far as a report has to name them."""

import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType]: leaves a type open
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from medtransfer.data.images.decode import is_dicom
from medtransfer.data.images.dicom.elements import DAMAGE
from medtransfer.data.images.pictures import Pixels
from medtransfer.errors import ImageError

NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
COPIED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""Entries of patient and study that a report repeats; empty where an image lacks them."""
TIMES: dict[str, Callable[[str], object]] = {
    "StudyDate": DA,
    "PatientBirthDate": DA,
    "StudyTime": TM,
}
OTHER = ("Modality", "PatientAge", "SpecificCharacterSet", "StudyDescription")


def image_header(content: bytes | Pixels) -> Dataset:
    """The entries of an image that a report of it repeats or refers to.

    Args:
        content: A file's content.

    Raises:
        ImageError: It is no DICOM, or lacks an identifier. The message is a reason.
    """
    if not isinstance(content, bytes) or not is_dicom(content):
        raise ImageError("is no DICOM file")
    # pydicom's warnings may quote values, in its log too
    with warnings.catch_warnings(action="ignore"), disable_value_validation():
        try:
            names: list[Any] = [*NEEDED, *COPIED, *OTHER]
            read = dcmread(
                BytesIO(content), stop_before_pixels=True, specific_tags=names, force=True
            )
            header = Dataset()
            for name in names:
                if name in read:
                    setattr(header, name, getattr(read, name))
        except DAMAGE as error:
            raise ImageError("has a header that cannot be read") from error
        missing = [name for name in NEEDED if not UID(str(header.get(name, ""))).is_valid]
        _tidy(header)
    if missing:
        raise ImageError(f"has no valid {', '.join(missing)}")
    return header


def _tidy(header: Dataset) -> None:
    """Fill what an image lacks, and write dates and times as the standard does."""
    for name in COPIED:
        if name not in header:
            setattr(header, name, "")
    for name, kind in TIMES.items():
        setattr(header, name, _readable(kind, str(header.get(name) or "")))


def _readable(kind: Callable[[str], object], text: str) -> str:
    """A date or time as the standard writes it, or nothing if it is none.

    ACR-NEMA, and some exports, write ``2004.01.19`` and ``07:27:30``.
    """
    plain = text.strip().replace(":", "") if kind is TM else text.strip().replace(".", "")
    try:
        kind(plain)
    except (ValueError, TypeError):
        return ""
    return plain


def one_study(headers: Sequence[Dataset]) -> None:
    """Check that the images of a case are of one patient and one study.

    Raises:
        ImageError: They are not. The message is a reason.
    """
    for name, what in (("PatientID", "patient"), ("StudyInstanceUID", "study")):
        if len({str(header.get(name)) for header in headers}) > 1:
            raise ImageError(f"belongs to another {what} than others of its case")
