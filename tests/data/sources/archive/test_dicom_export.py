"""An export becomes a manifest: what is kept, what is said, and what never leaves."""

import logging
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.data.images.dicom.files import Raw, dicom, picture
from tests.data.sources.archive.exports import PATIENT, an_export, dicom_bytes, dicom_file

from medtransfer.data.sources.archive.headers import KEYWORDS
from medtransfer.data.sources.import_source import WrittenManifest, import_source
from medtransfer.errors import ConfigError, MedTransferError, TableError
from medtransfer.tables.manifest import read_manifest

STORAGE = "1.2.840.10008.5.1.4.1.1."


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


def run(folder: Path, values: Any = None, **options: str) -> tuple[pl.DataFrame, str]:
    written = written_manifest(folder, values, **options)
    frame = read_manifest(written.path, image_root=written.image_root).frame
    return frame.sort("path"), "\n".join(written.notes)


def written_manifest(folder: Path, values: Any = None, **options: str) -> WrittenManifest:
    out = folder.parent / "work" / "manifest.csv"
    return import_source("dicom", folder, out, options=options, values=values)


def test_a_study_is_a_case_and_a_patient_keeps_its_name(folder: Path) -> None:
    an_export(folder)
    first, notes = run(folder)
    assert "12 images: 6 cases of 6 patients." in notes
    assert first["view"].to_list() == ["PA", "LAT"] * 6
    again = an_export(folder.parent / "later", 3)
    second, _ = run(again)
    assert set(second["patient_id"]) < set(first["patient_id"])
    assert set(second["image_id"]) < set(first["image_id"])


def test_every_column_is_read_from_the_header(folder: Path) -> None:
    dicom_file(
        folder / "x",
        Modality="MG",
        PatientAge="101Y",
        ImageLaterality="L",
        ViewCodeSequence=[{"CodeValue": "R-10226", "CodeMeaning": "anything"}],
        KVP="29",
        ExposureInuAs="88500",
        Manufacturer="LORAD, A Hologic Company",
        ManufacturerModelName="Lorad Selenia",
        BodyPartExamined="MAMMA",
        PresentationIntentType="FOR PRESENTATION",
    )
    frame, _ = run(folder, dates="month")
    expected = {
        "view": "MLO",
        "laterality": "L",
        "modality": "MG",
        "body_part": "BREAST",
        "sex": "F",
        "age": "90",
        "age_band": "80+",
        "maker": "Hologic",
        "model": "Lorad Selenia",
        "kvp": "29.0",
        "exposure_mas": "88.5",
        "intent": "FOR PRESENTATION",
        "month": "2019-03",
    }
    assert {name: frame[name][0] for name in expected} == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"SOPClassUID": STORAGE + "11.1"}, "presentation states"),
        ({"SOPClassUID": STORAGE + "88.22"}, "structured reports"),
        ({"SOPClassUID": STORAGE + "88.59"}, "key object selections"),
        ({"SOPClassUID": STORAGE + "104.1"}, "documents"),
        ({"SOPClassUID": STORAGE + "481.3"}, "radiotherapy objects"),
        ({"SOPClassUID": STORAGE + "66.4"}, "segmentations, maps and raw data"),
        ({"SOPClassUID": STORAGE + "7"}, "secondary captures"),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, "lists of files (DICOMDIR)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screenshots"),
        ({"NumberOfFrames": 12}, "files of several frames"),
        ({"Modality": "CT"}, "slices of CT, MR, PT, NM, kept with --option modality=…"),
        (
            {"PresentationIntentType": "FOR PROCESSING"},
            "images FOR PROCESSING, kept with --option intent=any",
        ),
        ({"PixelData": None}, "objects without pixels"),
    ],
)
def test_what_is_no_image_of_a_study_is_left_out_by_kind(
    folder: Path, entries: dict[str, Any], reason: str
) -> None:
    an_export(folder, 1)
    for number in (7, 8):
        dicom_file(folder / f"other{number}", number, **entries)
    frame, notes = run(folder)
    assert len(frame) == 2
    assert f"4 files: 2 images kept. Left out: {reason} (2)." in notes


def test_files_that_are_broken_are_listed_by_number_and_never_by_name(folder: Path) -> None:
    an_export(folder, 1)
    whole = dicom_bytes(5)
    (folder / "CANARY-cut").write_bytes(whole[:-30])
    (folder / "CANARY-header").write_bytes(whole[:200])
    (folder / "CANARY-text").write_text("CANARY")
    (folder / ".hidden").write_bytes(whole)
    (folder / "link").symlink_to(folder.parent)
    dicom_file(folder.parent / "beside" / "file", 6)
    (folder / "way out").symlink_to(folder.parent / "beside" / "file")
    _, notes = run(folder)
    for reason in (
        "DICOM files that are cut off (1)",
        "unreadable DICOM files (1)",
        "files that are not DICOM (1)",
        "links that leave the folder (1)",
    ):
        assert reason in notes
    assert "Broken or cut off: files 1, 2, counted from 1 in the order of their paths" in notes
    assert "CANARY" not in notes


def test_two_files_of_one_image_count_once(folder: Path) -> None:
    an_export(folder, 2)
    dicom_file(folder / "zz copy", 0)
    frame, notes = run(folder)
    assert len(frame) == 4
    assert "copies of an image that is kept (the same SOP Instance UID) (1)" in notes


def test_filters_say_what_they_keep(folder: Path) -> None:
    an_export(folder, 2)
    for number in range(20, 23):
        dicom_file(folder / f"cr{number}", number, Modality="CR", SOPClassUID=STORAGE + "1")
    frame, notes = run(folder, modality="cr")
    assert len(frame) == 3
    assert "images of another modality (4)" in notes
    assert "By modality: CR 3. By SOP class: Computed Radiography Image Storage 3." in notes
    name = "Digital X-Ray Image Storage - For Presentation"
    frame, notes = run(folder, sop_class=name)
    assert len(frame) == 4
    with pytest.raises(ConfigError, match="modality 'XRAY' is not of the standard") as error:
        run(folder, modality="XRAY", sop_class="Computed Radiography Image")
    assert "Did you mean 'Computed Radiography Image Storage'?" in str(error.value)


def test_burned_in_text_and_identity_are_counted(folder: Path) -> None:
    an_export(folder, 1)
    dicom_file(folder / "a", 8, BurnedInAnnotation="YES", Modality="US")
    dicom_file(folder / "b", 9, BurnedInAnnotation="NO", PatientIdentityRemoved="YES")
    _, notes = run(folder)
    assert "Burned In Annotation of 4 images: YES 1, NO 1, not said 2." in notes
    assert "first at 1 of modalities that often hold text" in notes
    assert "3 of 4 images do not say that they were de-identified" in notes
    frame, notes = run(folder, burned_in="drop")
    assert len(frame) == 3
    assert "images with text burned in (1)" in notes


def test_images_without_a_patient_are_left_out_or_their_study_is_one(folder: Path) -> None:
    an_export(folder, 2)
    dicom_file(folder / "n1", 8, PatientID=None, StudyInstanceUID="1.7")
    dicom_file(folder / "n2", 9, PatientID=" ", StudyInstanceUID="1.7")
    frame, notes = run(folder)
    assert len(frame) == 4
    assert "2 images without a patient id: left out" in notes
    frame, _ = run(folder, no_patient="study")
    assert frame["patient_id"].n_unique() == 3


def test_ids_that_hide_two_people_or_one_are_counted(folder: Path) -> None:
    dicom_file(folder / "a", 1, PatientID="7", PatientSex="F", IssuerOfPatientID="north")
    dicom_file(
        folder / "b",
        2,
        PatientID="7",
        PatientSex="M",
        StudyInstanceUID="1.8",
        IssuerOfPatientID="south",
    )
    dicom_file(folder / "c", 3, PatientID="007", StudyInstanceUID="1.9")
    frame, notes = run(folder)
    assert frame["patient_id"].n_unique() == 2
    assert "1 patient id with several birth dates or sexes: two people may share an id" in notes
    assert "2 patient ids that differ by zeros, blanks or case alone" in notes
    frame, notes = run(folder, patient_by="id+issuer")
    assert frame["patient_id"].n_unique() == 3
    assert "two people" not in notes


def test_cohorts_are_institutions_or_devices_as_asked(folder: Path) -> None:
    for n, place in enumerate(("St. Mary", "ST. MARY ", "Southern General", None)):
        dicom_file(
            folder / f"{n}",
            n,
            InstitutionName=place,
            StudyInstanceUID=f"1.{n}",
            DeviceSerialNumber=str(n % 2),
        )
    frame, notes = run(folder)
    assert set(frame["cohort"]) == {"dicom"}
    frame, notes = run(folder, cohort_by="institution")
    cohorts = frame["cohort"].to_list()
    assert cohorts[0] == cohorts[1] != cohorts[2]
    assert cohorts[3] == "institution-unknown"
    assert "Mary" not in notes + str(cohorts)
    frame, notes = run(folder, {"cohort": {"st. mary": "north"}}, cohort_by="institution")
    assert frame["cohort"].to_list()[:2] == ["north", "north"]
    assert "Cohorts: north 2, " in notes
    frame, _ = run(folder, cohort_by="institution-name")
    assert "Southern General" in frame["cohort"].to_list()
    frame, _ = run(folder, cohort_by="device")
    assert frame["cohort"].n_unique() == 2
    frame, _ = run(folder, cohort_by="model")
    assert set(frame["cohort"]) == {"Siemens Luminos 3"}


def test_values_are_written_in_columns_of_the_headers(folder: Path) -> None:
    an_export(folder, 1)
    values = {"view": {"LAT": "side"}, "model": {"Luminos 3": "room 1", "no such": "x"}}
    frame, notes = run(folder, values)
    assert frame["view"].to_list() == ["PA", "side"]
    assert set(frame["model"]) == {"room 1"}
    assert "'model': no row holds 'no such', which --values names." in notes
    with pytest.raises(TableError, match="column 'vew' of --values is not in the table"):
        run(folder, {"vew": {"LAT": "side"}})
    with pytest.raises(TableError, match="column 'patient_id' of --values"):
        run(folder, {"patient_id": {"00000": "x"}})
    _, notes = run(folder, {"cohort": {"St. Mary": "north"}}, cohort_by="institution")
    assert "'cohort': no image is of 'St. Mary', which --values names." in notes


def test_a_study_of_two_devices_is_of_one_cohort(folder: Path) -> None:
    for n, model in enumerate(("A", "B", "B")):
        dicom_file(folder / f"{n}", n, ManufacturerModelName=model)
    frame, notes = run(folder, cohort_by="model")
    assert set(frame["cohort"]) == {"Siemens B"}
    assert "1 image of studies with several cohorts" in notes


def test_views_are_read_from_descriptions_where_the_entry_is_empty(folder: Path) -> None:
    for n, text in enumerate(("Thorax p.a.", "THORAX LAT", "Thorax p.a. + lat", "pa lateral", "")):
        dicom_file(folder / f"{n}", n, SeriesDescription=text)
    dicom_file(folder / "9", 9, SeriesDescription="chest AP", ViewPosition="strange")
    frame, notes = run(folder)
    assert frame["view"].to_list() == ["PA", "LAT", None, None, None, None]
    assert "View of 2 images is read from the words of the series'" in notes
    assert "View is left empty in 1 image" in notes


def test_ages_come_from_the_entry_or_from_dates(folder: Path) -> None:
    given = ("045Y", "000Y", "006M", "CANARY", None, "58")
    for n, age in enumerate(given):
        dicom_file(folder / f"{n}", n, PatientAge=age)
    frame, notes = run(folder)
    assert frame["age"].to_list() == ["45", "49", "0", "49", "49", "49"]
    assert "Age of 4 images is computed from the dates of birth and study." in notes
    assert "The age of 3 images is no age of the standard" in notes
    assert "CANARY" not in notes


def test_no_image_left_is_an_error_that_says_why(folder: Path) -> None:
    dicom_file(folder / "x", Modality="CT")
    with pytest.raises(TableError, match=r"No image is left of .*slices of CT"):
        run(folder)


def test_the_manifest_does_not_lie_beside_the_secret(folder: Path) -> None:
    an_export(folder, 1)
    (folder.parent / "work").mkdir()
    (folder.parent / "work" / "key").write_text("k" * 40)
    with pytest.raises(ConfigError, match="lies in the folder of the manifest"):
        run(folder, secret=str(folder.parent / "work" / "key"))
    assert not (folder.parent / "work" / "manifest.csv").exists()


def test_progress_is_told(folder: Path) -> None:
    an_export(folder, 150)
    told: list[tuple[int, int]] = []
    out = folder.parent / "m.csv"
    import_source("dicom", folder, out, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (300, 300)
    assert len(told) > 1


CLOSED = {
    "SOPClassUID",
    "Modality",
    "ImageType",
    "Rows",
    "NumberOfFrames",
    "PatientSex",
    "Manufacturer",
    "PatientIdentityRemoved",
    "BurnedInAnnotation",
    "PresentationIntentType",
}
"""Entries that must be as they are for the file to be an image at all, and the maker."""


@pytest.mark.parametrize("cohort_by", ["export", "institution", "device"])
def test_no_text_of_a_header_leaves(
    folder: Path, cohort_by: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    canaries = {name: f"CANARY^{name[:20]}" for name in KEYWORDS if name not in CLOSED}
    dates = {name: "20190307" for name in canaries if name.endswith("Date")}
    more: dict[Any, Any] = {
        "PatientName": "CANARY^NAME",
        "OtherPatientIDs": "CANARY-OTHER",
        "ReferringPhysicianName": "CANARY^DOCTOR",
        "PatientComments": "CANARY comment",
        "StudyDescription": "CANARY description",
        0x00090010: Raw("LO", b"CANARY private"),
        "AnatomicRegionSequence": [{"CodeValue": "CANARY", "CodeMeaning": "CANARY region"}],
    }
    for n in range(3):
        entries = {**PATIENT, **canaries, **dates, **more, "SOPInstanceUID": f"CANARY.{n}"}
        shades = np.full((8, 8), n, np.uint16)
        (folder / f"{n}").write_bytes(dicom(picture(shades) | entries))
    bad = dicom_bytes(4, **{**canaries, **dates})
    (folder / "broken").write_bytes(
        bad[:300] + struct.pack("<HH", 0x0010, 0x0010) + b"??" + bad[310:]
    )
    labels = folder.parent / "labels.csv"
    labels.write_text("AccessionNumber,edema\n" + f"{canaries['AccessionNumber']},1\nCANARY-2,0\n")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        written = written_manifest(
            folder, cohort_by=cohort_by, dates="month", labels=str(labels), targets="edema"
        )
        try:
            written_manifest(folder, labels=str(labels), targets="edema", on="PatientID=nothing")
        except MedTransferError as error:
            notes = str(error)
    everything = "\n".join(
        [*written.notes, notes, caplog.text, *capfd.readouterr(), *(str(w.message) for w in warned)]
    )
    assert "CANARY" not in everything
    assert "1.2.3.4" not in everything
    table = written.path.read_text()
    assert "CANARY" not in table
    assert "20190307" not in table
    assert "19700101" not in table
