"""Names that the shell completes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medtransfer.cli.completion.names import (
    MARK,
    complete_metrics,
    complete_rungs,
    complete_sources,
    complete_studies,
    complete_studies_and_bundles,
    complete_studies_and_tables,
)
from medtransfer.models.ladder import LADDER
from medtransfer.runs import folders


def test_rungs_of_the_ladder_and_of_this_folder_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(LADDER) <= set(complete_rungs(""))
    assert complete_rungs("bit-m/r50") == [name for name in LADDER if name.startswith("bit-m/r50")]
    assert "auroc" in complete_metrics("auro")
    assert complete_sources("pad") == ["pad-ufes-20", "padchest"] or "padchest" in complete_sources(
        "pad"
    )
    assert (
        complete_rungs("no such")
        == complete_metrics("no such")
        == complete_sources("no such")
        == []
    )


def test_studies_come_first_and_folders_lead_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete_studies("") == []
    for name in ("studies/chest", "studies/notes", "elsewhere/skin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "studies" / "chest" / MARK).write_text("{}")
    (tmp_path / "chest.yaml").write_text("")
    (tmp_path / ".hidden").mkdir()
    assert complete_studies("") == ["studies/chest/", "chest.yaml", "elsewhere/", "studies/"]
    assert complete_studies("e") == ["elsewhere/"]
    assert complete_studies("elsewhere/") == ["elsewhere/skin/"]
    assert complete_studies("studies/c") == ["studies/chest/"]
    assert complete_studies(f"{tmp_path}/els") == [f"{tmp_path}/elsewhere/"]
    assert complete_studies("not/there/") == complete_studies("~nobody-of-that-name/") == []


def test_what_was_typed_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    for typed in ("./", "~/", f"{tmp_path}/"):
        assert complete_studies(f"{typed}e") == [f"{typed}elsewhere/"]


def test_tables_and_bundles_are_completed_where_a_command_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("chest.yaml", "own.csv", "own.parquet", "skin.medt", "notes.txt"):
        (tmp_path / name).write_text("")
    assert complete_studies("") == ["chest.yaml"]
    assert complete_studies_and_tables("") == ["own.csv", "own.parquet"]
    assert complete_studies_and_bundles("") == ["skin.medt"]


def test_a_study_is_known_by_the_file_that_its_folder_has() -> None:
    assert MARK == folders.MARK


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("medtransfer fetch bit-m/r50x", "bit-m/r50x1"),
        ("medtransfer leaderboard studies/a --metric auro", "auroc"),
        ("medtransfer import chexp", "chexpert"),
        ("medtransfer report studies/ch", "studies/chest/"),
    ],
)
def test_the_shell_is_answered(line: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "studies" / "chest").mkdir(parents=True)
    words = line.split(" ")
    asked = {
        "_MEDTRANSFER_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    command = (
        "import sys; sys.argv[0] = 'medtransfer'; from medtransfer.cli.main import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert expected in result.stdout.split()
