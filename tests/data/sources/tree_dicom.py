"""An export of an archive: two patients, three studies, copies, reports and an unreadable file."""

from pathlib import Path

from tests.data.sources.archive.exports import PNG, dicom_file

OPTIONS = {"secret": str(Path(__file__).with_name("pseudonyms_of_tests.secret")), "dates": "month"}
"""A secret that is none: the golden file needs one that stays."""
FILES = (
    ("A/1.dcm", "0012", "1.2.1", {"ViewPosition": "PA", "PatientAge": "045Y"}),
    ("A/2.dcm", "0012", "1.2.1", {"ViewPosition": "LATERAL"}),
    ("A/3.dcm", "0012", "1.2.2", {"ViewPosition": "AP", "Manufacturer": "Philips Medical Systems"}),
    ("B/1.dcm", "777", "1.2.3", {"ViewPosition": "PA", "PatientSex": "M", "KVP": "120.04"}),
)


def write(folder: Path) -> None:
    """Folders of files, as an archive writes them."""
    for number, (name, patient, study, more) in enumerate(FILES):
        dicom_file(folder / name, number, PatientID=patient, StudyInstanceUID=study, **more)
    dicom_file(folder / "A" / "4.dcm", 0, PatientID="0012", StudyInstanceUID="1.2.1")  # a copy
    report = "1.2.840.10008.5.1.4.1.1.88.11"
    dicom_file(folder / "A" / "5.dcm", 5, PatientID="0012", SOPClassUID=report, Modality="SR")
    (folder / "B" / "2.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x08\x00\x05\x00??" + b"x" * 40)
    (folder / "README").write_bytes(PNG)
