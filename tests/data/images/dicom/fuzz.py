"""A coverage-guided search for files that make the DICOM reader do anything but give a reason.

    python -m tests.data.images.dicom.fuzz CORPUS -max_total_time=60

Decoders of compressed frames may crash on damage, which is why they run in a process of their own;
here they are left out, and their code streams are read by their headers alone.
"""

import sys

import atheris
from atheris.import_hook import instrument_imports

with instrument_imports(include=["medtransfer.data.images.dicom", "pydicom"]):
    from medtransfer.data.images.decode import is_dicom
    from medtransfer.data.images.dicom.header import read_header
    from medtransfer.data.images.dicom.reader import frame_facts, frame_pixels
from medtransfer.errors import ImageError

LIMIT = 100_000


def look(data: bytes) -> None:
    """Read a file in every way that this process may."""
    is_dicom(data)
    try:
        file = read_header(data, LIMIT)
        frame = 1 if file.header.frames > 1 else None
        frame_facts(data, LIMIT, frame)
        if file.syntax.codec == "native":
            frame_pixels(data, LIMIT, frame)
    except ImageError as error:
        reason = str(error)
        if "FUZZ" in reason or not reason:
            raise AssertionError("a text of the file is quoted") from error


if __name__ == "__main__":
    atheris.Setup(sys.argv, look)
    atheris.Fuzz()
