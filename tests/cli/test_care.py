"""The commands that look after a study."""

import io
import json

import polars as pl
import pytest
from tests.cli.conftest import Call, Desk

from medtransfer.study.yaml_file import read_study


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


def test_forget_names_first_and_never_shows_the_id(
    call: Call, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = desk.table.filter(cohort="south")["patient_id"][0]
    said = call("forget", "--patient", patient)
    assert said.code == 0
    assert "predictions for the patient" in said.out
    assert "Nothing was deleted." in said.out
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{patient}\n"))
    deleted = call("forget", "--patient", "-", "--yes")
    assert "Deleted in the study's folder." in deleted.out
    plain = call("forget", "--patient", patient, "--json")
    assert json.loads(plain.out)["study"]["traces"] == []
    for outcome in (said, deleted, plain):
        assert patient not in outcome.out + outcome.err


def test_forget_takes_runs_or_a_patient(call: Call, desk: Desk) -> None:
    (run_id,) = (path.name for path in (desk.path / "studies" / "skin" / "runs").iterdir())
    assert call("forget").code == 2
    assert call("forget", run_id, "--patient", "x").code == 2
    said = call("forget", run_id)
    assert f"runs/{run_id}\n" in said.out
    assert "trains them again" in said.out
    assert "Deleted." in call("forget", run_id, "--yes").out
    assert call("forget", run_id, "--yes").code == 2


@pytest.mark.slow
def test_the_next_run_trains_and_predicts_nothing_anew(call: Call, desk: Desk) -> None:
    from tests.in_process import run_here

    patient = desk.table.filter(cohort="south")["patient_id"][0]
    call("forget", "--patient", patient, "--yes")
    desk.write(desk.table.filter(pl.col("patient_id") != patient))
    events: list[str] = []
    folder = run_here(
        read_study(desk.path / "study.yaml"),
        desk.path / "studies" / "skin",
        lambda event: events.append(type(event).__name__),
    )
    assert not {"RunStep", "RunExtended", "Repaired"} & set(events)
    assert patient not in folder.run(folder.run_ids()[0]).predictions()["patient_id"].to_list()
    assert (folder.path / "results.parquet").is_file()
