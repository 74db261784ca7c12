"""`compare`, `leaderboard` and `evaluate --study`: what they pass on and what they print."""

from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Call

from medtransfer.errors import StudyError
from medtransfer.report.compare import compare as comparing


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of the calls of `compare_studies`, which then stop."""
    calls: list[dict[str, Any]] = []

    def note(studies: list[Path], out: Path, **settings: Any) -> None:
        calls.append({"studies": studies, "out": out, **settings})
        raise StudyError("stopped here")

    monkeypatch.setattr(comparing, "compare_studies", note)
    return calls


def test_folders_are_studies_and_files_are_predictions(
    call: Call, asked: list[dict[str, Any]]
) -> None:
    words = ("--internal", "Vienna", "--language", "pt")
    done = call("compare", "studies/a", "own.csv", "studies/b", "-o", "out", *words)
    assert (done.code, done.err.strip()) == (2, "stopped here")
    (settings,) = asked
    assert settings["studies"] == [Path("studies/a"), Path("studies/b")]
    assert settings["predictions"] == [Path("own.csv")]
    assert settings["internal"] == "Vienna"
    assert settings["language"] == "pt"
    assert settings["config"] is None  # that of the first study


def test_evaluate_with_a_study_compares_with_it(call: Call, asked: list[dict[str, Any]]) -> None:
    words = (
        "--study",
        "studies/a",
        "--values",
        "dx=melanoma:1,nevus:0",
        "--columns",
        "target_x=dx",
        "--language",
        "de",
    )
    assert call("evaluate", "own.csv", "-o", "out", *words).code == 2
    (settings,) = asked
    assert settings["studies"] == [Path("studies/a")]
    assert settings["predictions"] == [Path("own.csv")]
    assert settings["values"] == {"dx": {"melanoma": "1", "nevus": "0"}}
    assert settings["columns"] == {"target_x": "dx"}
    assert settings["language"] == "de"


def test_what_the_study_decides_is_not_asked_again(call: Call) -> None:
    words = ("--study", "studies/a", "--task", "binary", "--truth", "majority")
    done = call("evaluate", "own.csv", "-o", "out", *words)
    assert done.code == 2
    assert "--task, --truth cannot be used with --study" in done.err


def test_a_leaderboard_is_printed_and_written(call: Call, evaluation_folder: Path) -> None:
    done = call("leaderboard", str(evaluation_folder), "-o", "board")
    assert done.code == 0
    assert "place" in done.out
    assert Path("board/leaderboard.csv").is_file()


@pytest.fixture(scope="module")
def evaluation_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.report.ladders import Ladder, write_evaluation

    return write_evaluation(Ladder(attributes=()), tmp_path_factory.mktemp("evaluation"))
