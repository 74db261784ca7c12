"""The commands that look after a study."""

import json

from tests.cli.conftest import Call, Desk


def test_logs_are_lines_or_json(call: Call, desk: Desk) -> None:
    (run_id,) = (path.name for path in (desk.path / "studies" / "skin" / "runs").iterdir())
    said = call("logs")
    assert said.code == 0
    assert f"{run_id}  done: 2 steps" in said.out
    lines = call("logs", run_id, "--study", "studies/skin", "--json").out.splitlines()
    assert {json.loads(line)["run_id"] for line in lines} == {run_id}


def test_a_study_without_failures_has_nothing_to_retry(call: Call, desk: Desk) -> None:
    assert call("retry", "--failed").out == "No run failed or diverged.\n"
    said = call("retry")
    assert said.code == 2
    assert "--failed" in said.err
    assert json.loads(call("retry", "--failed", "--json").out) == []


def test_a_study_at_rest_has_nothing_to_cancel(call: Call, desk: Desk) -> None:
    said = call("cancel", "studies/skin")
    assert said.code == 2
    assert "No process works on" in said.err


def test_gc_deletes_only_when_told(call: Call, desk: Desk) -> None:
    folder = desk.path / "studies" / "skin" / "cache" / "9px-abc"
    folder.mkdir()
    (folder / "1x8-0.pixels").write_bytes(b"x" * 2048)
    said = call("gc")
    assert "cache/9px-abc   2.0 KiB" in said.out
    assert "Nothing was deleted. --yes deletes these 2.0 KiB." in said.out
    assert folder.is_dir()
    assert json.loads(call("gc", "--yes", "--json").out)["nbytes"] == 2048
    assert not folder.exists()
    assert call("gc", "studies/skin").out == "Nothing to delete.\n"
