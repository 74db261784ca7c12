"""The public functions behind the commands, called from Python in a user's folder."""

from pathlib import Path

import pytest
from tests.cli.conftest import Call, Desk

from medtransfer import (
    MedTransferError,
    StudyError,
    check_manifest,
    check_study,
    import_source,
    init_study,
    join_manifests,
    prepare_study,
    read_manifest,
    read_study,
)


def test_a_study_is_checked_and_prepared_as_by_the_commands(call: Call, desk: Desk) -> None:
    study = read_study("study.yaml")
    printed = call("check", "study.yaml").out
    report = check_study(study)
    assert report.passed
    assert len(report.runs) == 1
    for finding in report.findings:
        assert f"{finding.code} {finding.level:<8} {finding.sentence}" in printed
    assert (report.rows_file, report.pairs_file) == (None, None)
    assert all(cache.missing == 0 for cache in prepare_study(study).caches)


def test_errors_of_a_check_are_returned_not_raised(call: Call, desk: Desk) -> None:
    desk.edit("rungs: [scratch/r14x0.5]", "rungs: [bit-m/r50x1]")
    report = check_study(read_study("study.yaml"))
    assert isinstance(report.fault, MedTransferError)
    assert not report.passed


def test_a_manifest_is_checked_and_gets_a_study_once(call: Call, desk: Desk) -> None:
    report = check_manifest(desk.manifest, desk.path / "out")
    assert report.passed
    assert any("malignant" in note for note in report.notes)
    written = init_study(desk.manifest, desk.path / "new.yaml")
    assert read_study(written.path).data.names == ("malignant",)
    assert written.decisions == written.path.read_text("utf-8").count("DECIDE")
    with pytest.raises(StudyError, match=r'new.yaml" exists already'):
        init_study(desk.manifest, desk.path / "new.yaml")


def test_folders_of_classes_are_imported_and_joined(desk: Desk, tmp_path: Path) -> None:
    manifests: list[Path] = []
    for cohort in ("east", "west"):
        folder = tmp_path / cohort
        for row, label in ((2, "benign"), (3, "malignant"), (4, "benign")):
            image = desk.picture(row)
            target = folder / label / image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(image.read_bytes())
        out = tmp_path / f"{cohort}.csv"
        written = import_source("folder", folder, out, options={"cohort": cohort})
        assert (written.path, written.image_root) == (out, None)
        manifests.append(out)
    joined = join_manifests(manifests, tmp_path / "both.csv")
    assert joined.notes[-1] == "east: 3 images, west: 3 images"
    assert len(read_manifest(joined.path)) == 6
