"""What the system refuses ends in a sentence: long names, few handles, little memory, locales."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Call
from tests.conftest import ROOT

from medtransfer.errors import REFUSALS, system_fault
from medtransfer.study import status

LONG = "x" * 300
TABLE = "image_id,path,case_id,patient_id,cohort,y,sex\na,a.png,a,p,Zürich,1,é\nb,b.png,b,q,h,0,f\n"


@pytest.mark.parametrize(
    "words",
    [
        ["check", f"{LONG}.csv"],
        ["init", f"{LONG}.csv"],
        ["init", "m.csv", "-o", f"{LONG}.yaml"],
        ["run", f"{LONG}.yaml"],
        ["status", LONG],
        ["report", LONG],
        ["fsck", LONG],
        ["check", "m.csv", "-o", LONG],
        ["check", "m.csv", "-o", "/".join(["d" * 200] * 25)],
    ],
    ids=lambda words: f"{words[0]} {len(words)}",
)
def test_a_long_name_is_refused_without_a_traceback(
    call: Call, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "m.csv").write_text(TABLE, "utf-8")
    said = call(*words)
    assert said.code == 2
    assert "long" in said.err or "not exist" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("number", sorted(REFUSALS))
def test_a_refusal_of_the_system_says_what_and_what_to_do(
    call: Call, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/data/MILLER_JOHN.png")

    monkeypatch.setattr(status, "find_study", refuse)
    said = call("status")
    assert said.code == 2
    assert said.err.startswith(f"The system refused: {REFUSALS[number][0]} (in ")
    assert said.err.endswith("What was finished is kept; run the same command again.\n")
    assert "MILLER" not in said.err


def test_memory_and_threads_that_run_out_are_refusals_and_bugs_are_not() -> None:
    assert "memory ran out" in str(system_fault(MemoryError()))
    assert "no further thread" in str(system_fault(RuntimeError("can't start new thread")))
    assert system_fault(RuntimeError("a bug")) is None
    assert system_fault(OSError("a bug")) is None
    assert system_fault(FileNotFoundError(errno.ENOENT, "a bug")) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["output", "file names"],
)
def test_an_ascii_locale_reads_names_and_escapes_what_it_cannot_show(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "ü.csv").write_text(TABLE, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "medtransfer", "init", "ü.csv", "-o", "s.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert "manifest: ü.csv" in (tmp_path / "s.yaml").read_text("utf-8")
