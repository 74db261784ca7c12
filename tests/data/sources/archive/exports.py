"""DICOM files of an export, put together byte by byte."""

from pathlib import Path
from typing import Any

import numpy as np
from tests.data.images.dicom.files import EXPLICIT, dicom, picture

PNG = b"\x89PNG\r\n\x1a\n"
PATIENT = {
    "PatientName": "CANARY^NAME",
    "PatientID": "CANARY-ID",
    "StudyInstanceUID": "1.2.3.4",
    "AccessionNumber": "CANARY-ACC",
    "StudyDate": "20190307",
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Luminos 3",
    "BodyPartExamined": "CHEST",
}


def dicom_bytes(number: int = 0, syntax: str = EXPLICIT, **entries: Any) -> bytes:
    """A picture of 8 × 8 pixels; None leaves an entry out."""
    shades = np.arange(64, dtype=np.uint16).reshape(8, 8) + number
    values = picture(shades, 12, **{**PATIENT, "SOPInstanceUID": f"1.9.{number}", **entries})
    return dicom({key: value for key, value in values.items() if value is not None}, syntax)


def dicom_file(path: Path, number: int = 0, **entries: Any) -> Path:
    """Write `dicom_bytes`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom_bytes(number, **entries))
    return path


def an_export(folder: Path, studies: int = 6) -> Path:
    """Studies of two views each, one patient each, accession numbers ``A001`` on."""
    for n in range(studies):
        for view, name in enumerate(("PA", "LATERAL")):
            dicom_file(
                folder / f"S{n:03d}" / f"I{view}",
                2 * n + view,
                PatientID=f"{n:05d}",
                StudyInstanceUID=f"1.2.{n}",
                AccessionNumber=f"A{n:03d}",
                ViewPosition=name,
            )
    return folder
