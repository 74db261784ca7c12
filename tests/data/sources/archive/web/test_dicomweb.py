"""Images come from an archive: those that were asked for, each once, and no id in a message."""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.data.sources.archive.exports import dicom_bytes
from tests.data.sources.archive.web.archive_server import Archive, Stored, serving

from medtransfer.data.sources.archive.web import fetch_images, web_archive
from medtransfer.data.sources.import_source import import_source
from medtransfer.errors import ConfigError, MedTransferError, StudyError
from medtransfer.tables.manifest import read_manifest

DX = "1.2.840.10008.5.1.4.1.1.1.1"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dicomweb_client")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setattr(web_archive, "WAIT_MILLISECONDS", 1)


def stored(number: int, study: int, **entries: Any) -> Stored:
    shown = {
        "SOPClassUID": DX,
        "Modality": "DX",
        "AccessionNumber": f"A{study}",
        "PatientID": f"CANARY-{study}",
        "StudyDate": f"2019{study + 1:02d}15",
        **entries,
    }
    uid = f"1.9.{study}.{number}"
    content = dicom_bytes(number, SOPInstanceUID=uid, StudyInstanceUID=f"1.2.{study}", **shown)
    return Stored(content, f"1.2.{study}", f"1.2.{study}.{shown['Modality']}", uid, shown)


def an_archive() -> Archive:
    """Five studies of four pictures, each with a report."""
    pictures = [stored(n, study) for study in range(5) for n in range(4)]
    reports = [stored(9, study, SOPClassUID=REPORT, Modality="SR") for study in range(5)]
    return Archive([*pictures, *reports])


def run(archive: Archive, tmp_path: Path, **options: str) -> tuple[pl.DataFrame, str]:
    out = tmp_path / "work" / "manifest.csv"
    given = {"into": str(tmp_path / "export"), **options}
    written = import_source("dicomweb", archive.address, out, options=given)
    return read_manifest(out, image_root=written.image_root).frame, "\n".join(written.notes)


def test_what_is_fetched_is_what_the_archive_has(tmp_path: Path) -> None:
    with serving(an_archive()) as archive:
        frame, notes = run(archive, tmp_path, modality="DX")
    assert len(frame) == 20
    assert frame["case_id"].n_unique() == 5
    assert "The archive has 25 objects of 5 studies: 20 images fetched, 0 there already;" in notes
    assert "not fetched: structured reports (5)." in notes
    contents = {path.read_bytes() for path in (tmp_path / "export").rglob("*.dcm")}
    pixels = {one.content[-128:] for one in archive.objects if one.entries["Modality"] == "DX"}
    assert {content[-128:] for content in contents} == pixels
    assert archive.queries[0]["ModalitiesInStudy"] == "DX"


def test_the_second_fetch_asks_for_nothing_twice(tmp_path: Path) -> None:
    with serving(an_archive()) as archive:
        first, _ = run(archive, tmp_path, modality="DX")
        assert archive.fetched() == 20
        archive.objects.append(stored(7, 2))
        second, notes = run(archive, tmp_path, modality="DX")
    assert archive.fetched() == 21
    assert "1 image fetched, 20 there already" in notes
    assert set(first["image_id"]) < set(second["image_id"])


def test_the_studies_of_a_table_of_labels_are_asked_for(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("AccessionNumber;oedema\nA1;ja\nA3;nein\nA9;ja\nA*;ja\n")
    out = tmp_path / "work" / "m.csv"
    with serving(an_archive()) as archive:
        options = {"into": str(tmp_path / "x"), "labels": str(labels), "targets": "oedema"}
        values = {"oedema": {"ja": "1", "nein": "0"}}
        written = import_source("dicomweb", archive.address, out, options=options, values=values)
    notes = "\n".join(written.notes)
    asked = [query["AccessionNumber"] for query in archive.queries]
    assert sorted(set(asked)) == ["A1", "A3", "A9"]
    assert "1 id of labels.csv with *, ? or \\ in it not asked for" in notes
    assert "2 matched; without a partner: 0 studies, 2 rows of labels.csv" in notes
    assert archive.fetched() == 8


def test_days_limit_what_is_fetched(tmp_path: Path) -> None:
    with serving(an_archive()) as archive:
        options = {"from": "2019-02-01", "to": "2019-03-31"}
        frame, _ = run(archive, tmp_path, **options)
    assert frame["case_id"].n_unique() == 2
    assert archive.queries[0]["StudyDate"] == "20190201-20190331"


def test_a_whole_archive_is_not_fetched(tmp_path: Path) -> None:
    with serving(an_archive()) as archive:
        with pytest.raises(ConfigError, match="a whole archive is not fetched"):
            run(archive, tmp_path)
        with pytest.raises(ConfigError, match="option 'from' holds '1.2.2019'"):
            run(archive, tmp_path, **{"from": "1.2.2019"})
    assert not archive.asked


def test_an_archive_that_gives_one_page_again_and_again_is_asked_once_more(tmp_path: Path) -> None:
    archive = Archive([stored(n, study) for study in range(2) for n in range(3)])
    archive.ignores_offset = True
    with serving(archive):
        frame, _ = run(archive, tmp_path, modality="DX")
    assert len(frame) == 6
    assert max(archive.asked.values()) <= 3


def test_an_archive_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    archive = an_archive()
    archive.failing = {"/1.9.1.2": [503, 429], "/studies": [503]}
    archive.cut = {"1.9.0.1"}
    with serving(archive):
        frame, _ = run(archive, tmp_path, modality="DX")
    assert len(frame) == 20


def test_images_that_do_not_come_are_counted_and_fetched_the_next_time(tmp_path: Path) -> None:
    archive = an_archive()
    archive.failing = {"/1.9.1.2": [404], "/1.9.3.0": [500]}
    with serving(archive):
        with pytest.raises(StudyError) as error:
            run(archive, tmp_path, modality="DX")
        text = str(error.value)
        assert "18 images fetched" in text
        assert "2 images without an answer: " in text
        assert "status 404, nothing is there (1)" in text
        assert "status 500 (1)" in text
        assert "Run the same command again" in text
        frame, notes = run(archive, tmp_path, modality="DX")
    assert "2 images fetched, 18 there already" in notes
    assert len(frame) == 20
    assert not [path for path in (tmp_path / "export").rglob("*") if ".tmp" in path.name]


def test_an_archive_that_goes_away_stops_the_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_images, "MAX_FAULTS", 5)
    archive = an_archive()
    archive.failing = {f"/{one.instance}": [500] * 9 for one in archive.objects[2:]}
    with serving(archive), pytest.raises(StudyError, match="5 images in a row without an answer"):
        run(archive, tmp_path, modality="DX")


def test_a_token_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-secret-token\n")
    archive = an_archive()
    archive.token = "a-secret-token"
    with serving(archive):
        with pytest.raises(StudyError, match="status 401, it wants a name or a token"):
            run(archive, tmp_path, modality="DX")
        frame, _ = run(archive, tmp_path, modality="DX", token=str(tmp_path / "token"))
    assert len(frame) == 20


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("archive/dicom-web", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https://me:geheim@archive/dicom-web", "holds a name or a password"),
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        run(Archive([], address=address), tmp_path, modality="DX")
    assert "geheim" not in str(error.value)


def test_an_archive_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"The archive cannot be asked: Connection"):
        run(Archive([], address="http://127.0.0.1:9/dicom-web"), tmp_path, modality="DX")


def test_no_id_is_in_a_message_a_log_or_a_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    archive = an_archive()
    archive.failing = {"/1.9.1.2": [500]}
    labels = tmp_path / "labels.csv"
    labels.write_text("PatientID,edema\n" + "".join(f"CANARY-{n},1\n" for n in range(5)))
    options = {"labels": str(labels), "targets": "edema", "on": "PatientID"}
    texts: list[str] = []
    with serving(archive):
        try:
            run(archive, tmp_path, **options)
        except MedTransferError as error:
            texts.append(str(error))
        frame, notes = run(archive, tmp_path, **options)
    names = [str(path.relative_to(tmp_path)) for path in (tmp_path / "export").rglob("*")]
    texts += [notes, caplog.text, *capfd.readouterr(), *names]
    texts.append((tmp_path / "work" / "manifest.csv").read_text())
    assert len(frame) == 20
    assert "CANARY" not in "\n".join(texts)
    assert "1.9.1" not in "\n".join(texts)
