"""Garbage of a study: named with sizes, deleted only when asked, and nothing else is."""

import shutil
from pathlib import Path

import pytest

from medtransfer import collect_garbage
from medtransfer.errors import StudyError
from medtransfer.files import sha256
from medtransfer.integrity.fsck import fsck
from medtransfer.integrity.study_seal import seal_study
from medtransfer.runs.folders import Lease, StudyFolder


@pytest.fixture
def littered(study: StudyFolder) -> StudyFolder:
    """The study with garbage of every kind in it."""
    path = study.path
    planned, orphan = study.run_ids()[:2]
    study.write("plan.json", [row for row in study.read("plan.json") if row["run_id"] != orphan])
    step = study.run(planned).checkpoint / "step-00000002"
    step.mkdir()
    (step / "model.safetensors").write_bytes(b"x" * 1000)
    (path / "runs" / planned / f"cost.json.tmp-{'0' * 16}").write_bytes(b"x" * 10)
    (path / "cache" / "9px-abc").mkdir()
    (path / "cache" / "9px-abc" / "1x8-0.pixels").write_bytes(b"x" * 100)
    (path / "features" / "abc").mkdir(parents=True)
    (path / "features" / "abc" / "features.safetensors").write_bytes(b"x" * 10)
    seal_study(path, [path / "plan.json"])
    return study


def content(folder: Path) -> dict[str, str]:
    """Digests of all files, but for seals, which note times."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in files
        if path.name not in ("seal.json", "done")
    }


def test_a_study_as_it_was_run_holds_no_garbage(study: StudyFolder) -> None:
    garbage = collect_garbage(study, delete=True)
    assert (garbage.items, garbage.notes) == ((), ())
    assert fsck(study.path).passed


def test_files_behind_a_link_are_left_and_that_is_said(
    littered: StudyFolder, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("of others")
    shutil.rmtree(littered.path / "cache")
    (littered.path / "cache").symlink_to(elsewhere)
    garbage = collect_garbage(littered, delete=True)
    assert "images" not in {item.kind for item in garbage.items}
    assert garbage.notes == (
        "cache is a link: what lies behind it may be of others, and was left.",
    )
    assert (elsewhere / "precious").read_text() == "of others"


def test_garbage_is_named_with_its_size_and_left(littered: StudyFolder) -> None:
    before = content(littered.path)
    garbage = collect_garbage(littered)
    sizes = {item.kind: item.nbytes for item in garbage.items}
    assert sizes | {"run": 0} == {
        "temporary": 10,
        "checkpoint": 1000,
        "run": 0,
        "images": 100,
        "features": 10,
    }
    assert sizes["run"] > 1000
    assert garbage.nbytes == sum(sizes.values())
    assert content(littered.path) == before


def test_what_is_named_is_deleted_and_nothing_else(littered: StudyFolder) -> None:
    before = content(littered.path)
    named = [item.path for item in collect_garbage(littered).items]
    garbage = collect_garbage(littered, delete=True)
    assert [item.path for item in garbage.items] == named
    kept = {
        name: digest
        for name, digest in before.items()
        if not any(name == path or name.startswith(f"{path}/") for path in named)
    }
    assert content(littered.path) == kept
    assert collect_garbage(littered).items == ()
    assert fsck(littered.path).passed


def test_images_are_left_where_the_data_cannot_be_read(
    littered: StudyFolder, tmp_path: Path
) -> None:
    text = (littered.path / "study.yaml").read_text("utf-8")
    (littered.path / "study.yaml").write_text(text.replace("lesion.parquet", "gone.parquet"))
    garbage = collect_garbage(littered, delete=True)
    assert {item.kind for item in garbage.items} == {"temporary", "checkpoint", "run"}
    assert "were left" in garbage.notes[0]
    assert (littered.path / "cache" / "9px-abc").is_dir()


def test_a_study_at_work_is_left_alone(littered: StudyFolder) -> None:
    lease = Lease(littered)
    lease.take()
    before = content(littered.path)
    with pytest.raises(StudyError, match="is working on this study"):
        collect_garbage(littered, delete=True)
    assert content(littered.path) == before
    lease.drop()
