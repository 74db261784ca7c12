"""A real archive, Orthanc with its DICOMweb plugin, on this machine (Debian: orthanc-dicomweb)."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import polars as pl
import pytest
from pydicom import dcmread
from tests.data.sources.archive.exports import dicom_bytes

from medtransfer.data.images.scan import scan_images
from medtransfer.data.sources.import_source import import_source
from medtransfer.tables.manifest import read_manifest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STUDIES, VIEWS = 5, 3
SECONDS = 60
pytestmark = pytest.mark.slow


@pytest.fixture
def address(tmp_path: Path) -> Generator[str]:
    """The root of an archive that holds nothing."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.is_file():
        pytest.skip("Orthanc is not installed: apt install orthanc orthanc-dicomweb")
    pytest.importorskip("dicomweb_client")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    command = [program, str(tmp_path / "orthanc.json")]
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    root = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{root}/dicom-web/studies", process)
        yield root
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail("Orthanc did not start")


def upload(root: str, content: bytes) -> None:
    urlopen(Request(f"{root}/instances", data=content, method="POST"), timeout=30).close()


def filled(root: str) -> None:
    for study in range(STUDIES):
        for view in range(VIEWS):
            number = study * VIEWS + view
            entries = {
                "PatientID": f"{study // 2:04d}",
                "StudyInstanceUID": f"1.2.826.0.1.{study + 1}",
                "SeriesInstanceUID": f"1.2.826.0.2.{study + 1}",
                "SOPInstanceUID": f"1.2.826.0.3.{number + 1}",
                "AccessionNumber": f"ACC{study}",
                "StudyDate": f"20190{study + 1}15",
                "PatientName": "CANARY^NAME",
            }
            upload(root, dicom_bytes(number, **entries))


def run(root: str, tmp_path: Path, **options: str) -> tuple[pl.DataFrame, str]:
    out = tmp_path / "work" / "manifest.parquet"
    given = {"into": str(tmp_path / "export"), **options}
    written = import_source("dicomweb", f"{root}/dicom-web", out, options=given)
    manifest = read_manifest(out, image_root=written.image_root)
    facts = scan_images(manifest, 1_000_000, tmp_path / "work" / "facts.parquet")
    assert len(facts) == len(manifest)
    return manifest.frame, "\n".join(written.notes)


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


def test_images_of_a_real_archive_are_fetched_once_and_can_be_read(
    address: str, tmp_path: Path
) -> None:
    filled(address)
    frame, notes = run(address, tmp_path, modality="DX")
    assert len(frame) == STUDIES * VIEWS
    assert frame["case_id"].n_unique() == STUDIES
    assert frame["patient_id"].n_unique() == 3
    assert f"{STUDIES * VIEWS} images fetched, 0 there already" in notes
    assert "CANARY" not in notes
    sent = {dcmread(path).PixelData for path in (tmp_path / "export").rglob("*.dcm")}
    assert len(sent) == STUDIES * VIEWS
    again, notes = run(address, tmp_path, modality="DX")
    assert f"0 images fetched, {STUDIES * VIEWS} there already" in notes
    assert again.equals(frame)


def test_labels_and_days_choose_studies_of_a_real_archive(address: str, tmp_path: Path) -> None:
    filled(address)
    (tmp_path / "labels.csv").write_text("AccessionNumber,edema\nACC1,1\nACC3,0\nACC8,1\n")
    labels = {"labels": str(tmp_path / "labels.csv"), "targets": "edema"}
    frame, notes = run(address, tmp_path, **labels)
    assert len(frame) == 2 * VIEWS
    assert "2 matched; without a partner: 0 studies, 1 rows of labels.csv" in notes
    options = {"from": "2019-02-01", "to": "2019-03-31", "into": str(tmp_path / "other")}
    frame, _ = run(address, tmp_path, **options)
    assert frame["case_id"].n_unique() == 2
