"""A stranger's seal neither deletes nor writes files outside of its folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtransfer.errors import StudyError
from medtransfer.integrity.named_content import content_name
from medtransfer.integrity.run_seal import read_run_seal, seal_run
from medtransfer.integrity.sealed_file import SealedFile
from medtransfer.integrity.study_seal import remove_damaged, seal_study
from medtransfer.settings import digest

OTHER = SealedFile(3, "0" * 64).record()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "victim").write_text("precious")
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "report.html").write_text("page")
    return folder


def forge(path: Path, change: Callable[[dict[str, Any]], None], sealed: str = "") -> None:
    """Change a seal, and make it name the digest of its new content."""
    content = json.loads(path.read_text())
    del content["seal"]
    change(content)
    content["seal"] = digest(content[sealed] if sealed else content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["../victim", "cache/../../victim", "/etc/victim", "a\0b"])
def test_a_seal_with_a_path_out_of_the_folder_counts_as_damaged(folder: Path, name: str) -> None:
    seal_study(folder, ())
    forge(folder / "seal.json", lambda seal: seal["files"].update({name: OTHER}), "files")
    (folder / "report.html").write_text("another page")
    assert remove_damaged(folder) == []
    assert (folder.parent / "victim").read_text() == "precious"


def test_what_lies_behind_a_link_is_not_deleted(folder: Path) -> None:
    seal_study(folder, ())
    (folder / "curves").symlink_to(folder.parent)
    change = {"curves/victim": OTHER, "report.html": OTHER}
    forge(folder / "seal.json", lambda seal: seal["files"].update(change), "files")
    assert remove_damaged(folder) == ["report.html"]
    assert (folder.parent / "victim").read_text() == "precious"


@pytest.mark.parametrize("name", ["../victim", "checkpoint/victim"])
def test_a_runs_seal_restores_no_file_of_another_folder(folder: Path, name: str) -> None:
    (folder / "predictions.parquet").write_text("x")
    seal_run(folder)
    assert read_run_seal(folder) is not None
    forge(folder / "done", lambda seal: seal["copies"].update({name: "theirs"}))
    with pytest.raises(StudyError, match=r'done" is damaged'):
        read_run_seal(folder)


def test_a_file_named_by_its_digest_is_sealed_unread_and_compared_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = folder / content_name("0" * 32, b"numbers")
    named.write_bytes(b"numbers")
    with monkeypatch.context() as unread:
        unread.setattr(SealedFile, "read", lambda path: pytest.fail(f"read {path.name}"))
        (folder / "report.html").unlink()
        seal_study(folder, ())
    assert SealedFile.named(named) == SealedFile.read(named)
    assert remove_damaged(folder, verify=True) == []
    named.write_bytes(b"numbres")
    assert remove_damaged(folder) == [named.name]
    assert SealedFile.named(folder / "report.html") is None
