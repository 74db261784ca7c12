"""A study's images are looked at before it runs; a manifest can be checked without a study."""

import io
import re
from pathlib import Path

import polars as pl
import pytest
from PIL import Image, ImageOps
from tests.in_process import run_here

from medtransfer.errors import StudyError, TableError
from medtransfer.report.page import write_report
from medtransfer.runs.events import Preparing
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.image_checks import audit_manifest, audit_study_images
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.schedule import run_study

SECOND = 60
"""A place of the other hospital in the small phantom."""


def resaved(data: bytes) -> bytes:
    """The same pixels in another file."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def mirrored(data: bytes) -> bytes:
    stream = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(data))).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def copied(phantom_folder: Path, tiny_study: Study, tmp_path: Path) -> Study:
    """A study in which an image of one hospital is also among the other's, saved anew."""
    return with_picture(tiny_study, phantom_folder, tmp_path, resaved)


def with_picture(study: Study, folder: Path, target: Path, change: object) -> Study:
    table = pl.read_parquet(folder / "lesion.parquet")
    images, labels = table["image"].to_list(), table["malignant"].to_list()
    images[SECOND], labels[SECOND] = change(images[0]), labels[0]  # type: ignore[operator]
    table = table.with_columns(image=pl.Series(images), malignant=pl.Series(labels))
    table.write_parquet(target / "m.parquet")
    data = study.data.model_dump(exclude_unset=True) | {"manifest": target / "m.parquet"}
    return Study.model_validate({**study.model_dump(exclude_unset=True), "data": data})


@pytest.mark.slow
def test_the_same_pixels_at_two_hospitals_stop_a_study_unless_waived(
    copied: Study, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="A008 different files with the same pixels"):
        run_study(copied, tmp_path / "s")
    assert not list((tmp_path / "s").glob("runs/*/done"))
    reason = "both hospitals show the film of the same phantom"
    waived = Study.model_validate(
        {**copied.model_dump(exclude_unset=True), "waive": {"A008": reason}}
    )
    folder = run_here(waived, tmp_path / "s")
    codes = [finding["code"] for finding in folder.read("data.json")["findings"]]
    assert codes[0] == "A008"
    page = write_report(folder).read_text()
    row = re.search(r"A008.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert reason in row.group()


@pytest.mark.parametrize("leave_out", [False, True], ids=["one split", "each cohort left out"])
def test_copies_of_a_study_are_found_in_its_splits(
    tiny_study: Study, phantom_folder: Path, tmp_path: Path, leave_out: bool
) -> None:
    study = with_picture(tiny_study, phantom_folder, tmp_path, mirrored)
    if leave_out:
        data = study.data.model_copy(
            update={"split": study.data.split.model_copy(update={"train_cohorts": None})}
        )
        study = study.model_copy(update={"leave_cohort_out": True, "data": data})
    folder = StudyFolder(tmp_path / "s")
    data_read = read_data(study, folder.images)
    planned = plan_runs(study, data_read)
    heard: list[str] = []

    def hear(event: object) -> None:
        assert isinstance(event, Preparing)
        assert event.done <= event.total == len(data_read.manifest) or "preparing" in event.what
        heard.append(event.what)

    found = audit_study_images(study, folder, data_read, planned, hear)
    assert dict.fromkeys(heard).keys() == {
        "preparing images at 32 px",
        "sketching images",
        "looking for copies",
    }
    assert "A004" in {finding.code for finding in found.findings}
    assert found.pairs is not None
    assert set(found.pairs["turn"]) == {"mirrored"}
    facts = {"code", "row", "other_row", "distance", "likeness", "turn", "manifest"}
    assert set(found.pairs.columns) == facts
    heard.clear()
    again = audit_study_images(study, folder, data_read, planned, hear)
    assert heard == []  # nothing is unpacked, sketched or compared twice
    assert again.findings == found.findings


def test_a_manifest_is_checked_without_a_study(copied: Study, tmp_path: Path) -> None:
    data, draft = audit_manifest(tmp_path / "m.parquet", StudyFolder(tmp_path / "c"))
    assert draft is not None
    assert draft.targets == ("malignant", "truth_malignant")
    assert data.findings[0].code == "A008"


def test_a_manifest_without_a_target_is_checked_all_the_same(
    phantom_folder: Path, tmp_path: Path
) -> None:
    table = pl.read_parquet(phantom_folder / "lesion.parquet")
    bare = table.select("image_id", "case_id", "patient_id", "cohort", "image").with_columns(
        patient_id=pl.lit("p1"), note=pl.lit("mail me: jane@example.org").str.slice(9)
    )
    bare.write_parquet(tmp_path / "m.parquet")
    data, draft = audit_manifest(tmp_path / "m.parquet", StudyFolder(tmp_path / "c"))
    assert draft is None
    assert [finding.code for finding in data.findings][:2] == ["A001", "P001"]
    assert "jane" not in " ".join(finding.sentence for finding in data.findings)


def test_a_manifest_that_breaks_its_contract_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image_id,path\n1,a.png\n")
    with pytest.raises(TableError, match="column 'case_id' is missing"):
        audit_manifest(tmp_path / "m.csv", StudyFolder(tmp_path / "c"))
