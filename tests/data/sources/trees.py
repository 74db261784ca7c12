"""Small downloads, made by code: the official headers, and the traps that each set is known for.

`tree_<source>.py` beside this file writes the download of one source; `TREES` has them all.
"""

import csv
import gzip
import zipfile
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from PIL import Image
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

Rows = Iterable[Sequence[object]]
Writer = Callable[[Path], None]


def picture(path: Path, seed: int = 0) -> None:
    """A tiny image, different for every seed; DICOM files are only names here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".dcm", ".dicom"):
        path.write_bytes(b"DICM" + bytes([seed % 256]))
        return
    stream = BytesIO()
    shade = Image.new("L", (8, 8), 40 + seed % 200)
    shade.save(stream, format="PNG" if path.suffix == ".png" else "JPEG")
    path.write_bytes(stream.getvalue())


def dicom_header(path: Path, **entries: str) -> None:
    """A DICOM file of a header alone; ``ViewCodeSequence`` takes the meaning of its code."""
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = generate_uid()
    with disable_value_validation():
        for keyword, value in entries.items():
            if keyword == "ViewCodeSequence":
                code = Dataset()
                code.CodeMeaning = value
                dataset.ViewCodeSequence = [code]
            else:
                setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def table(path: Path, header: Sequence[str] | None, rows: Rows, separator: str = ",") -> None:
    """A delimited file, in gzip if it is called so."""
    text = StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    if header is not None:
        writer.writerow(header)
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = text.getvalue().encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


def workbook(path: Path, header: Sequence[str], rows: Rows, **before: Rows) -> None:
    """The least that is an .xlsx file: every cell as text in place; other sheets by their names."""
    sheets = {**before, "S": [header, *rows]}
    numbers = range(1, len(sheets) + 1)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packed = "http://schemas.openxmlformats.org/package/2006"
    of_main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{of_main}.worksheet+xml"/>'
        for n in numbers
    )
    entries = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>'
        for n, name in zip(numbers, sheets, strict=True)
    )
    targets = "".join(
        f'<Relationship Id="r{n}" Type="{links}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packed}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default '
        'Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{of_main}.sheet.main+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{packed}/relationships"><Relationship Id="r1" '
        f'Type="{links}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{links}"><sheets>{entries}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packed}/relationships">{targets}'
        "</Relationships>",
    }
    for number, sheet in zip(numbers, sheets.values(), strict=True):
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{_lines(sheet)}</sheetData></worksheet>'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')


def _lines(rows: Rows) -> str:
    """Rows of a sheet as XML; empty cells are left out."""
    lines: list[str] = []
    for number, row in enumerate(rows, start=1):
        cells = "".join(
            f'<c r="{chr(65 + i)}{number}" t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>'
            for i, cell in enumerate(row)
            if cell is not None
        )
        lines.append(f'<row r="{number}">{cells}</row>')
    return "".join(lines)


def read_rows(path: Path, separator: str = ",") -> list[list[str]]:
    """All rows of a delimited file, the header among them."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    return list(csv.reader(StringIO(text), delimiter=separator))


def shuffle(path: Path, seed: int, separator: str = ",", *, header: bool = True) -> None:
    """The same table with its rows in another order."""
    rows = read_rows(path, separator)
    head, body = (rows[0], rows[1:]) if header else (None, rows)
    Random(seed).shuffle(body)
    table(path, head, body, separator)


def without_columns(path: Path, columns: Sequence[str], separator: str = ",") -> None:
    """The same table without some columns."""
    rows = read_rows(path, separator)
    keep = [i for i, name in enumerate(rows[0]) if name not in columns]
    cut = [[row[i] for i in keep] for row in rows]
    table(path, cut[0], cut[1:], separator)


def with_cell(path: Path, row: int, column: str, value: str, separator: str = ",") -> None:
    """The same table with one cell changed; rows as a spreadsheet counts them."""
    rows = read_rows(path, separator)
    rows[row - 1][rows[0].index(column)] = value
    table(path, rows[0], rows[1:], separator)
