"""The command `fsck`: what it prints, and its exit code."""

import json
from pathlib import Path

from tests.cli.conftest import Call

from medtransfer.runs.folders import StudyFolder


def test_it_prints_every_fault_and_ends_with_code_2(call: Call, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    folder.claim("s")
    with folder.sealing():
        folder.write("data.json", {"digest": "a"})
        folder.write("study.json", {"name": "s"})
    done = call("fsck", "s")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("3 files compared (")
    assert done.out.endswith("no fault.\n")
    (folder.path / "data.json").write_text("{}")
    done = call("fsck", "s")
    assert done.code == 2
    assert done.out.splitlines()[0].startswith("data.json has 2 bytes, sealed with ")
    assert "`medtransfer run` repairs it." in done.out
    plain = json.loads(call("fsck", "s", "--json").out)
    assert not plain["passed"]
    assert [fault["file"] for fault in plain["faults"]] == ["data.json"]


def test_a_folder_of_something_else_is_refused(call: Call) -> None:
    done = call("fsck", ".")
    assert done.code == 2
    assert "is not the folder of a study" in done.err
