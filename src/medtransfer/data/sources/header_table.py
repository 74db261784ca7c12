"""Header entries of DICOM files as a table, for sets whose own tables leave them to the headers."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from medtransfer.data.sources.source import PATH, Download
from medtransfer.errors import plural

DICOM = (".dcm", ".dicom")


@dataclass(frozen=True)
class HeaderTable:
    """Entries of the headers of image files.

    Attributes:
        frame: `path` and a column per entry, as text; null where it is not given.
        unreadable: DICOM files whose header cannot be read.
    """

    frame: pl.DataFrame
    unreadable: int

    @property
    def notes(self) -> list[str]:
        """A sentence on headers that cannot be read; none if all can."""
        if not self.unreadable:
            return []
        entries = "its entries are" if self.unreadable == 1 else "their entries are"
        return [f"{plural(self.unreadable, 'DICOM header')} cannot be read: {entries} empty."]


def read_headers(download: Download, paths: pl.Series, columns: Mapping[str, str]) -> HeaderTable:
    """Read entries of the headers of image files.

    Args:
        download: Whose files.
        paths: Of image files, relative to the folder; those that are not DICOM have no entries.
        columns: Names of the columns, by DICOM keyword.
    """
    from medtransfer.data.images.dicom.elements import header_words  # pydicom is slow to import

    rows: list[dict[str, str | None]] = []
    unreadable = 0
    for path in paths:
        if not path.lower().endswith(DICOM):
            continue
        words = header_words(download.folder / path, list(columns))
        unreadable += words is None
        texts = words or {}
        rows.append({PATH: path, **{name: texts.get(tag) for tag, name in columns.items()}})
    schema = {PATH: pl.String, **dict.fromkeys(columns.values(), pl.String)}
    return HeaderTable(pl.DataFrame(rows, schema=schema), unreadable)
