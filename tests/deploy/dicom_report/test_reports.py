"""Reports in DICOM say what the predictions say, name the images, and state their use."""

import re
import shutil
import subprocess
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydicom import dcmread
from tests.deploy import handmade
from tests.deploy.dicom_images import PATIENT, write_dicom
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.deploy.dicom_report.reports import (
    dicom_report,
    require_extra,
    write_dicom_reports,
)
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.errors import ConfigError, ImageError, StudyError

sr = pytest.importorskip("highdicom.sr", reason="highdicom is absent (extra dicom-sr)")
STATEMENT = "Not for diagnosis: for research only"


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> BundleModel:
    path = tmp_path_factory.mktemp("bundle") / "hand.medt"
    handmade.write_by_hand(path)
    return load_bundle(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two images of a study."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    return [write_dicom(folder / f"{n}.dcm", pixels, study="1").read_bytes() for n in "ab"]


def row(**changes: Any) -> dict[str, Any]:
    return {
        "case_id": "1",
        "logit_x": 0.0,
        "probability_x": 0.625,
        "call_x_sens90": 1,
        "set_x": "0|1",
        "ood_energy": 1.5,
        "ood": True,
        "deferred": True,
    } | changes


def read_back(content: bytes) -> Any:
    """The report by highdicom."""
    return sr.ComprehensiveSR.from_dataset(dcmread(BytesIO(content)))


def numbers_and_codes(report: Any) -> dict[str, str | float]:
    """Every measurement and evaluation of a report, by its name."""
    content: dict[str, str | float] = {}
    for group in report.content.get_image_measurement_groups():
        for measurement in group.get_measurements():
            content[measurement.name.meaning] = float(measurement.value)
        for evaluation in group.get_qualitative_evaluations():
            content[evaluation.name.meaning] = evaluation.value.meaning
    return content


@pytest.mark.slow
def test_a_report_says_what_the_prediction_says(by_hand: BundleModel, images: list[bytes]) -> None:
    uid, content = dicom_report(by_hand, row(), images, statement=STATEMENT)
    report = read_back(content)
    assert numbers_and_codes(report) == {
        "Probability of x": 0.625,
        "Probability of x before calibration": 0.5,
        "Call at operating point sens90": "Positive",
        "Prediction set": "Negative or positive",
        "OOD score by energy": 1.5,
        "Unlike the training data": "Yes",
        "Left to a person": "Yes",
        "Use": STATEMENT,
    }
    assert uid == report.SOPInstanceUID
    (target, case) = report.content.get_image_measurement_groups()
    assert (target.tracking_identifier, case.tracking_identifier) == ("x", "case")
    text = dcmread(BytesIO(content)).to_json()
    assert f"bundle {by_hand.bundle.digest}" in text
    assert "operating point sens90: positive from 0.4 before calibration" in text


def test_it_belongs_to_the_study_and_is_neither_final_nor_verified(
    by_hand: BundleModel, images: list[bytes]
) -> None:
    first = dcmread(BytesIO(images[0]))
    report = dcmread(BytesIO(dicom_report(by_hand, row(), images, statement=STATEMENT)[1]))
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate"):
        assert report[name].value == first[name].value
    assert report.SeriesInstanceUID != first.SeriesInstanceUID
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert report.SeriesDescription == STATEMENT
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert named == {dcmread(BytesIO(content)).SOPInstanceUID for content in images}


def test_the_same_bundle_and_images_give_the_same_report(
    by_hand: BundleModel, images: list[bytes]
) -> None:
    uids = [
        dicom_report(by_hand, row(), of_case, statement=statement)[0]
        for of_case, statement in (
            (images, STATEMENT),
            (images[::-1], STATEMENT),
            (images[:1], STATEMENT),
            (images, "For the trial alone"),
        )
    ]
    assert uids[0] == uids[1]
    assert len(set(uids)) == 3


def test_classes_have_one_answer_and_a_set(tmp_path: Path, images: list[bytes]) -> None:
    names = ("a|b", "melanoma of the skin", "z")
    handmade.write_by_hand(tmp_path / "classes.medt", handmade.facts("single-label", names))
    of_case = row() | {f"probability_{name}": 0.3 for name in names}
    of_case |= {f"logit_{name}": 0.3 for name in names}
    of_case |= {"class": "z", "set": "melanoma of the skin|z", "deferred": False, "ood": False}
    model = load_bundle(tmp_path / "classes.medt")
    report = read_back(dicom_report(model, of_case, images, statement=STATEMENT)[1])
    content = numbers_and_codes(report)
    assert content["Most probable class"] == "z"
    assert content["Probability of melanoma of the skin"] == pytest.approx(0.3)
    held = [
        evaluation.value.meaning
        for group in report.content.get_image_measurement_groups()
        for evaluation in group.get_qualitative_evaluations()
        if evaluation.name.meaning == "Class in the prediction set"
    ]
    assert held == ["melanoma of the skin", "z"]


def test_dates_and_times_of_old_files_are_written_anew_or_left_empty(
    by_hand: BundleModel, images: list[bytes]
) -> None:
    for time, date, expected in (
        ("07:27:30", "2004.01.19", ("072730", "20040119")),
        ("in the morning", "yesterday", ("", "")),
    ):
        data = dcmread(BytesIO(images[0]))
        data.add_new("StudyTime", "LO", time)  # as odd exports write it
        data.add_new("StudyDate", "LO", date)
        stream = BytesIO()
        data.save_as(stream)
        report = dicom_report(by_hand, row(), [stream.getvalue()], statement=STATEMENT)[1]
        read = dcmread(BytesIO(report))
        assert (read.StudyTime or "", read.StudyDate or "") == expected


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"SOPInstanceUID": "no uid"}, "has no valid SOPInstanceUID"),
        ({"StudyInstanceUID": ""}, "has no valid StudyInstanceUID"),
        ({"PatientID": "another"}, "belongs to another patient"),
    ],
)
def test_images_that_no_report_can_name_are_refused_with_a_reason(
    by_hand: BundleModel,
    images: list[bytes],
    tmp_path: Path,
    entries: dict[str, str],
    reason: str,
) -> None:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    path = tmp_path / "a.dcm"
    data = dcmread(write_dicom(path, pixels, study="1"))
    stream = BytesIO()
    with warnings.catch_warnings(action="ignore"):  # no warning of ours: it would quote the header
        for name, value in entries.items():
            setattr(data, name, value)
        data.save_as(stream)
    with pytest.raises(ImageError, match=reason) as error:
        dicom_report(by_hand, row(), [images[0], stream.getvalue()], statement=STATEMENT)
    assert PATIENT not in str(error.value)
    with pytest.raises(ImageError, match="is no DICOM file"):
        dicom_report(by_hand, row(), [b"\x89PNG\r\n\x1a\n"], statement=STATEMENT)


def test_what_cannot_be_done_is_said_before_anything(
    by_hand: BundleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    outcome: Any = None
    with pytest.raises(StudyError, match="is a file"):
        write_dicom_reports(by_hand, [], outcome, tmp_path / "file")
    with pytest.raises(ConfigError, match="has 65 characters"):
        write_dicom_reports(by_hand, [], outcome, tmp_path / "out", statement="x" * 65)
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'medtransfer[dicom-sr]'")):
        require_extra()


@pytest.mark.slow
def test_predict_writes_reports_that_dcmtk_reads(
    bundle_model: BundleModel, phantom_folder: Path, tmp_path: Path
) -> None:
    from medtransfer.data.images.decode import decode

    folder = tmp_path / "images"
    folder.mkdir()
    table = pl.read_parquet(phantom_folder / "lesion.parquet").head(5)
    for place, content in enumerate(table["image"]):
        pixels = np.asarray(decode(content, 10_000, None))
        grey = (pixels.mean(axis=2) if pixels.ndim == 3 else pixels).astype(np.uint8)
        write_dicom(folder / f"{place}.dcm", grey, study=str(place // 2))
    (folder / "picture.png").write_bytes(table["image"][0])
    done = CliRunner().invoke(
        app,
        [
            *("predict", str(bundle_model.bundle.path), str(folder), "--case", "study"),
            *("-o", str(tmp_path / "out.csv"), "--dicom-sr", str(tmp_path / "reports")),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "3 DICOM reports in " in done.output
    assert "1 case without one: an image is no DICOM file." in done.output
    predictions = pl.read_csv(tmp_path / "out.csv")
    reports = {
        read_back(path.read_bytes()).StudyInstanceUID: numbers_and_codes(
            read_back(path.read_bytes())
        )
        for path in (tmp_path / "reports").iterdir()
    }
    for case in predictions.filter(~pl.col("case_id").str.ends_with("png")).iter_rows(named=True):
        content = reports[case["case_id"]]
        assert content["Probability of malignant"] == pytest.approx(
            case["probability_malignant"], abs=1e-7
        )
        call = {1: "Positive", 0: "Negative"}[case["call_malignant_sens90"]]
        assert content["Call at operating point sens90"] == call
    dsrdump = shutil.which("dsrdump")
    if dsrdump is None:
        pytest.skip("dcmtk is absent: its dsrdump does not read the reports")
    for path in (tmp_path / "reports").iterdir():
        done = subprocess.run([dsrdump, path], capture_output=True, text=True, check=True)
        assert "Comprehensive SR Document" in done.stdout
        assert STATEMENT in done.stdout
        assert "PRELIMINARY" in done.stdout
        assert not done.stderr
