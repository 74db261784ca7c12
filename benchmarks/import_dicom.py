"""Speed and memory of importing an export of DICOM files, beside plain pydicom on the same files.

    python benchmarks/import_dicom.py [--quick]

The export: 30,000 radiographs by rule, each with the header of a digital X-ray (about 110 elements,
nested sequences, a private block) and 32 KB of pixels, ten to a folder. --quick makes 3,000.

(a) pydicom: `dcmread(stop_before_pixels=True)` and the values of the entries that an import reads.
(b) headers: `read_header_frame`, which reads the same entries.
(c) import: `import_source("dicom")` from the start of Python to the written manifest, in a process
    of its own.

Times are processor times, since the machine may be shared: (a) and (b) take turns, three times, and
the median counts. Goals: (b) at least 3 times as fast as (a), (c) at least as fast as (a), and the
peak memory of (c) under 400 MB for 30,000 files. MB are 10^6 bytes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from statistics import median

from imports import peak_megabytes
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from medtransfer.data.sources.archive.headers import KEYWORDS, read_header_frame
from medtransfer.data.sources.download import list_files
from medtransfer.data.sources.import_source import import_source

FILES, QUICK = 30_000, 10
MIN_RATIO, MIN_IMPORT_RATIO, MAX_MB = 3.0, 1.0, 400.0
ROUNDS = 3
PIXELS = 128
IDS = {
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1{:09d}",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.2{:09d}",
    "PatientID": "PAT{:09d}",
    "AccessionNumber": "ACC{:09d}",
}
"""Entries that differ from file to file, with the width of their template."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the files")
    parser.add_argument("--folder", type=Path, help="import this folder, in this process")
    options = parser.parse_args()
    if options.folder:
        return import_once(options.folder)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "export"
        count = FILES // QUICK if options.quick else FILES
        write_export(folder, count)
        return compare(folder, count)


def compare(folder: Path, count: int) -> int:
    """Measure all three, print them and the goals; 1 if a goal was missed."""
    files, _ = list_files(folder)
    paths = files["path"].to_list()
    with_pydicom: list[float] = []
    with_ours: list[float] = []
    for _ in range(ROUNDS):
        with_pydicom.append(seconds(lambda: read_with_pydicom(folder, paths)))
        with_ours.append(seconds(lambda: read_header_frame(folder, paths)))
    done = subprocess.run(
        [sys.executable, __file__, "--folder", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    import_seconds, megabytes = map(float, done.stdout.split())
    a, b = median(with_pydicom), median(with_ours)
    print(f"{count:,} files of an archive, processor time, median of {ROUNDS}:")
    print(f"(a) pydicom  {a:6.1f} s  {count / a:8,.0f} files/s")
    print(
        f"(b) headers  {b:6.1f} s  {count / b:8,.0f} files/s  {a / b:.1f} × (a) (goal: {MIN_RATIO})"
    )
    print(
        f"(c) import   {import_seconds:6.1f} s  {count / import_seconds:8,.0f} files/s  "
        f"{a / import_seconds:.1f} × (a) (goal: {MIN_IMPORT_RATIO}), {megabytes:,.0f} MB "
        f"(goal: under {MAX_MB:,.0f})"
    )
    missed = [
        name
        for name, met in (
            ("headers", a / b >= MIN_RATIO),
            ("import", a / import_seconds >= MIN_IMPORT_RATIO),
            ("memory", megabytes < MAX_MB),
        )
        if not met
    ]
    print(f"goals missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def seconds(work: Callable[[], object]) -> float:
    """Processor time of a piece of work, all threads together."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def read_with_pydicom(folder: Path, paths: list[str]) -> int:
    """The entries of every file, as a script reads them; how many are given."""
    given = 0
    for path in paths:
        dataset = dcmread(folder / path, stop_before_pixels=True)
        given += sum(bool(dataset.get(keyword)) for keyword in KEYWORDS)
    return given


def import_once(folder: Path) -> int:
    """Import a folder; print the processor time of this process and its peak memory."""
    secret = folder.parent / "secrets" / "secret"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("0123456789abcdef" * 4)
    out = folder.parent / "work" / "manifest.parquet"
    import_source("dicom", folder, out, options={"secret": str(secret)})
    print(time.process_time(), peak_megabytes())
    return 0


def write_export(folder: Path, count: int) -> None:
    """Files of two views a study and a study and a half a patient, ten to a folder."""
    template = template_file()
    for number in range(count):
        place = folder / f"{number // 1000:03d}" / f"{number // 10 % 100:02d}"
        if number % 10 == 0:
            place.mkdir(parents=True, exist_ok=True)
        content = template
        owners = (number, number // 2, number // 3, number // 2)
        for form, owner in zip(IDS.values(), owners, strict=True):
            content = content.replace(form.format(0).encode(), form.format(owner).encode())
        (place / f"I{number:06d}").write_bytes(content)


def template_file() -> bytes:
    """A radiograph with the header that a digital X-ray device writes."""
    dataset = Dataset()
    for keyword, form in IDS.items():
        setattr(dataset, keyword, form.format(0))
    texts = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", ""],
        "Manufacturer": "Philips Medical Systems",
        "InstitutionName": "Universitätsklinik",
        "ReferringPhysicianName": "Any^Body",
        "StationName": "XR1",
        "StudyDescription": "Thorax in zwei Ebenen",
        "SeriesDescription": "Thorax pa",
        "ManufacturerModelName": "DigitalDiagnost",
        "PatientName": "Jane^Doe",
        "PatientBirthDate": "19600304",
        "PatientSex": "F",
        "BodyPartExamined": "CHEST",
        "KVP": "125",
        "Exposure": "2",
        "ProtocolName": "Thorax pa",
        "ViewPosition": "PA",
        "PhotometricInterpretation": "MONOCHROME2",
        "PresentationIntentType": "FOR PRESENTATION",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.3",
        "BurnedInAnnotation": "NO",
    }
    for keyword, text in texts.items():
        setattr(dataset, keyword, text)
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.Modality = "DX"
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{name}Date", "20190307")
        setattr(dataset, f"{name}Time", "101112.345")
    for keyword in ("ViewCodeSequence", "AnatomicRegionSequence", "ProcedureCodeSequence"):
        setattr(dataset, keyword, [coded(keyword)])
    request = Dataset()
    request.RequestedProcedureDescription = "Thorax"
    request.ScheduledProtocolCodeSequence = [coded("protocol"), coded("protocol")]
    dataset.RequestAttributesSequence = [request]
    for number in range(40):
        dataset.add_new((0x0019, 0x1000 + number), "LO", f"private entry {number}")
    dataset.add_new((0x0029, 0x1010), "OB", bytes(4096))
    for keyword in ("Rows", "Columns"):
        setattr(dataset, keyword, PIXELS)
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = bytes(2 * PIXELS * PIXELS)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def coded(meaning: str) -> Dataset:
    """An item of a coded entry."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "R-10214", "SRT", meaning
    return item


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
