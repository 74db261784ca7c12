"""A coverage-guided search for tables that make a reader do anything but give a reason.

    python -m tests.tables.fuzz CORPUS -max_total_time=60

The first byte says what the rest is: a manifest or predictions, in which format.
"""

import sys
import tempfile
from pathlib import Path

import atheris
from atheris.import_hook import instrument_imports

with instrument_imports(include=["medtransfer.tables"]):
    from medtransfer.tables.manifest import read_manifest
    from medtransfer.tables.other_predictions import read_other_predictions
from medtransfer.errors import MedTransferError

FOLDER = Path(tempfile.mkdtemp())
SUFFIXES = (".csv", ".parquet", ".xlsx", ".tsv")
"""Formats by the last two bits of the first byte; the third bit is that of predictions."""


def look(data: bytes) -> None:
    """Read a table as what its first byte says."""
    kind = data[0] if data else 0
    path = FOLDER / f"table{SUFFIXES[kind & 3]}"
    path.write_bytes(data[1:])
    try:
        if kind & 4:
            read_other_predictions(path)
        else:
            read_manifest(path, targets=["edema"], attributes=["sex"])
    except MedTransferError as error:
        if not str(error):
            raise AssertionError("no reason is given") from error


if __name__ == "__main__":
    atheris.Setup(sys.argv, look)
    atheris.Fuzz()
