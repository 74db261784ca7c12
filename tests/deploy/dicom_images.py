"""DICOM files of made-up patients, with the pixels of given pictures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

PATIENT = "Doe^Jane"


def write_dicom(path: Path, pixels: NDArray[np.uint8], *, study: str, **entries: str) -> Path:
    """Write a picture as a DICOM file.

    Args:
        path: File to write.
        pixels: [height, width]
        study: Seed of the study's UID.
        entries: Header entries to set; empty texts are deleted.
    """
    data = dcmread(str(get_testdata_file("CT_small.dcm")))
    for name in ("RescaleSlope", "RescaleIntercept", "PixelPaddingValue"):
        if name in data:
            delattr(data, name)
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = pixels.tobytes()
    data.Modality, data.PatientName, data.PatientID = "OT", PATIENT, f"person-{study}"
    data.StudyInstanceUID = generate_uid(entropy_srcs=["study", study])
    data.SOPInstanceUID = generate_uid(entropy_srcs=["image", path.name])
    for name, value in entries.items():
        if value:
            setattr(data, name, value)
        else:
            delattr(data, name)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path)
    return path
