"""The folders of a study and of its runs: files are the truth, and nobody else's are touched."""

import json
import os
from pathlib import Path

import polars as pl
import pytest
from tests.prediction_tables import binary_table

from medtransfer.errors import StudyError
from medtransfer.files import sha256
from medtransfer.integrity.study_seal import seal_study
from medtransfer.runs.folders import Lease, RunFolder, StudyFolder
from medtransfer.runs.records import RunCost, RunError
from medtransfer.tables.results import results_frame

HERE = {"threads": 2}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return StudyFolder(tmp_path).run("0123456789ab")


def outcome(run: RunFolder) -> None:
    """Everything a run writes before it is done."""
    run.start({"run_id": run.run_id}, HERE)
    run.write_history([{"step": 2, "tune_auroc": None}, {"step": 4, "tune_auroc": 0.75}])
    run.write_outcome(binary_table(), RunCost(seconds=1.5))


def test_a_run_goes_from_waiting_to_done(run: RunFolder) -> None:
    assert run.state() == "waiting"
    outcome(run)
    assert run.state() == "waiting"
    run.finish()
    assert run.state() == "done"
    assert run.cost() == RunCost(seconds=1.5)
    assert [check.tune_auroc for check in run.history()] == [None, 0.75]


def test_the_mark_of_a_finished_run_holds_the_digests_of_all_its_files(run: RunFolder) -> None:
    outcome(run)
    weights = run.checkpoint / "selected-00000004"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    run.finish()
    mark = json.loads((run.path / "done").read_text())
    assert mark["predictions"] == sha256(run.path / "predictions.parquet")
    assert set(mark["files"]) == {
        "checkpoint/selected-00000004/model.safetensors",
        "cost.json",
        "environment.json",
        "history.jsonl",
        "predictions.parquet",
        "run.json",
    }
    for name, entry in mark["files"].items():
        assert entry["sha256"] == sha256(run.path / name)
    assert json.loads(mark["copies"]["cost.json"])["seconds"] == 1.5


def test_files_that_are_not_as_sealed_are_named_before_they_are_passed_on(run: RunFolder) -> None:
    outcome(run)
    run.require_sealed()  # not finished: nothing is sealed
    run.finish()
    run.require_sealed()
    run.predictions().with_columns(-pl.col("logit_x")).write_parquet(
        run.path / "predictions.parquet"
    )
    with pytest.raises(StudyError, match=r"edited or deleted\): predictions.parquet of run 01234"):
        run.require_sealed()
    (run.path / "done").write_text("")
    with pytest.raises(StudyError, match='done" is damaged'):
        run.require_sealed()


def test_finishing_drops_what_only_going_on_would_need(run: RunFolder) -> None:
    outcome(run)
    for name in ("step-00000003", "step-00000004", "selected-00000004"):
        (run.checkpoint / name).mkdir(parents=True)
        (run.checkpoint / name / "model.safetensors").write_bytes(b"x")
    run.finish()
    assert [path.name for path in run.checkpoint.iterdir()] == ["selected-00000004"]


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_run_that_ended_badly_says_why_until_it_is_tried_again(
    run: RunFolder, state: str
) -> None:
    run.fail(state, "the loss is not finite at step 3", step=3)  # type: ignore[arg-type]
    assert run.state() == state
    assert run.error() == RunError(state, "the loss is not finite at step 3", step=3)  # type: ignore[arg-type]
    run.start({"run_id": run.run_id}, HERE)
    assert run.state() == "waiting"
    assert run.error() is None


def test_each_kind_of_machine_a_run_was_on_is_noted_once(run: RunFolder) -> None:
    for threads in (2, 2, 8, 2):
        run.start({"run_id": run.run_id}, {"threads": threads})
    assert run.environments() == [{"threads": 2}, {"threads": 8}]
    path = run.path / "environment.json"
    for damaged in ('[{"packages": "torch"}, 3, {"threads": 8}]', '{"threads": 8}', '"x"'):
        path.write_text(damaged)  # its seal names it; no command ends in a traceback
        assert run.environments() == ([{"threads": 8}] if "3" in damaged else [])


def test_starting_sweeps_up_what_a_killed_process_left_half_written(run: RunFolder) -> None:
    half = run.checkpoint / "step-00000002" / "model.safetensors.tmp-0123456789abcdef"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    run.start({"run_id": run.run_id}, HERE)
    assert not half.exists()


def test_results_are_stale_when_the_scoring_has_changed(run: RunFolder) -> None:
    assert not run.is_scored("a")
    run.write_results(results_frame([]), "a")
    assert run.is_scored("a")
    assert not run.is_scored("b")
    assert run.results().is_empty()


def test_progress_is_a_view_that_may_be_missing(run: RunFolder) -> None:
    assert run.progress() == {}
    run.write_progress({"step": 3})
    assert run.progress() == {"step": 3}


def test_a_folder_is_claimed_once_and_again_by_its_own_study(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "new" / "study")
    folder.claim("chest")
    (folder.path / "report.html").write_text("x")
    folder.claim("chest")
    with pytest.raises(StudyError, match="holds the study 'chest', not 'skin'"):
        folder.claim("skin")


@pytest.mark.parametrize("content", [None, "{", '{"name": "skin"}'])
def test_the_seal_knows_whose_folder_it_is_if_the_mark_is_damaged(
    tmp_path: Path, content: str | None
) -> None:
    folder = StudyFolder(tmp_path)
    folder.claim("chest")
    seal_study(tmp_path, ())
    if content is None:
        (tmp_path / "study.json").unlink()
    else:
        (tmp_path / "study.json").write_text(content)
    folder.claim("chest")
    with pytest.raises(StudyError, match=r"holds another study, whose study.json is damaged"):
        folder.claim("skin")


@pytest.mark.parametrize("content", ["{", "[]", '{"nane": "chest"}'])
def test_a_damaged_mark_without_a_seal_is_an_error_that_says_how_to_mend_it(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(StudyError, match=r'is damaged.*write {"name": "chest"} into that file'):
        StudyFolder(tmp_path).claim("chest")


def test_what_a_killed_claim_left_behind_does_not_bar_the_next(tmp_path: Path) -> None:
    (tmp_path / "study.json.tmp-0123456789abcdef").write_text("{")
    StudyFolder(tmp_path).claim("chest")
    assert json.loads((tmp_path / "study.json").read_text()) == {"name": "chest"}


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(StudyError, match="is not empty and is not a study folder"):
        StudyFolder(tmp_path).claim("chest")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_folder_that_was_never_run_says_so(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.claim("chest")
    with pytest.raises(StudyError, match=r"has no plan.json.*`medtransfer run study.yaml` makes"):
        folder.read("plan.json")
    folder.write("plan.json", [1])
    assert folder.read("plan.json") == [1]


def test_runs_that_have_a_folder_are_listed_in_order(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert folder.run_ids() == []
    for name in ("b" * 12, "a" * 12):
        folder.run(name).fail("failed", "x")
    assert folder.run_ids() == ["a" * 12, "b" * 12]


@pytest.fixture
def lease(tmp_path: Path) -> Lease:
    folder = StudyFolder(tmp_path)
    folder.claim("chest")
    return Lease(folder)


def test_a_lease_is_taken_and_given_back(lease: Lease) -> None:
    assert lease.holder() is None
    lease.take()
    lease.take()  # its own
    assert lease.holder() is not None
    lease.drop()
    lease.drop()
    assert lease.holder() is None


def test_a_process_that_only_has_the_dead_holders_number_does_not_hold_the_lease(
    lease: Lease, tmp_path: Path
) -> None:
    lease.take()
    about = json.loads((tmp_path / "lease.json").read_text())
    (tmp_path / "lease.json").write_text(json.dumps(about | {"born": "1"}))
    assert lease.holder() is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": 1}', "\0" * 40])
def test_a_torn_lease_is_replaced(lease: Lease, tmp_path: Path, content: str) -> None:
    (tmp_path / "lease.json").write_text(content)
    assert lease.holder() is None
    lease.take()
    assert json.loads((tmp_path / "lease.json").read_text())["pid"] == os.getpid()


def test_predictions_come_back_as_they_were_written(run: RunFolder) -> None:
    table = binary_table()
    outcome(run)
    assert set(run.predictions()["case_id"]) == set(table["case_id"])
    assert isinstance(run.predictions(), pl.DataFrame)


@pytest.mark.parametrize("content", ["null", "[]", "{}", "3", '"x"', "NaN"])
@pytest.mark.parametrize("name", ["study.json", "plan.json"])
def test_json_of_another_shape_is_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    if (name, content) == ("plan.json", "[]"):
        assert StudyFolder(tmp_path).read(name) == []
        return
    with pytest.raises(StudyError, match=f"{name}.*makes it again"):
        StudyFolder(tmp_path).read(name)
