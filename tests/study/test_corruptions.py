"""Corrupted test cases of a study: predicted by finished runs, shown in table and report."""

from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.data.images.corruptions import named_corruptions
from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.corruptions.table import read_corruptions
from medtransfer.integrity.fsck import fsck
from medtransfer.report.page import write_report
from medtransfer.runs.events import Event, RunEnded, RunExtended
from medtransfer.study.check import check_study
from medtransfer.study.config import Study

PROBE = {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}}


def study_of(tiny_study: Study, **changes: object) -> Study:
    return Study.model_validate(tiny_study.model_dump(exclude_unset=True) | changes)


@pytest.mark.slow
@pytest.mark.parametrize("training", [None, PROBE], ids=["fine-tuned", "probe"])
def test_finished_runs_predict_corrupted_cases_and_nothing_is_trained(
    tiny_study: Study, tmp_path: Path, training: dict[str, object] | None
) -> None:
    changes: dict[str, object] = {} if training is None else {"training": training}
    plain = study_of(tiny_study, seeds=[0, 1], **changes)
    folder = run_here(plain, tmp_path / "s")
    results = (folder.path / "results.parquet").read_bytes()
    asked = study_of(tiny_study, seeds=[0, 1], corruptions=["blur", "jpeg@5"], **changes)
    waiting = check_study(asked, folder.path).unpredicted
    assert waiting == dict.fromkeys(["a+blur@1", "a+blur@3", "a+blur@5", "a+jpeg@5"], 2)

    events: list[Event] = []
    run_here(asked, folder.path, events.append)
    assert not any(isinstance(event, RunEnded) for event in events)
    assert sum(isinstance(event, RunExtended) for event in events) == 2
    assert not check_study(asked, folder.path).unpredicted
    assert fsck(folder.path).passed
    # they are no hospitals: nothing is added to the results
    again = pl.read_parquet(folder.path / "results.parquet")
    assert set(again["cohort"].drop_nulls()) == {"a", "b"}
    assert (folder.path / "results.parquet").read_bytes() == results

    table = read_corruptions(folder.path / "curves" / "corruptions.parquet")
    rows = table.filter(pl.col("metric") == "auroc").sort("cohort")
    assert rows["cohort"].to_list() == ["a+blur@1", "a+blur@3", "a+blur@5", "a+jpeg@5"]
    assert rows["num_seeds"].to_list() == [2] * 4
    means = again.filter(
        pl.col("run_id").is_null()
        & (pl.col("cohort") == "a")
        & (pl.col("metric") == "auroc")
        & (pl.col("attribute") == "all")
    )
    assert rows["clean"].to_list() == pytest.approx(means["value"].to_list() * 4)
    page = write_report(folder).read_text()
    assert "Worse images of the same patients" in page
    assert " after " in page
    assert " loses " in page
    assert "loses no AUROC" in page or "loses most to" in page
    events.clear()
    run_here(asked, folder.path, events.append)
    assert not any(isinstance(event, RunExtended) for event in events)


def test_a_hospital_of_such_a_name_is_refused(tiny_study: Study, tmp_path: Path) -> None:
    frame = pl.read_parquet(tiny_study.data.manifest)
    frame = frame.with_columns(pl.col("cohort").replace({"b": "a+blur@3"}))
    frame.write_parquet(tmp_path / "m.parquet")
    data = tiny_study.data.model_dump(exclude_unset=True) | {"manifest": tmp_path / "m.parquet"}
    study = study_of(tiny_study, corruptions=["blur@3"], data=data)
    fault = check_study(study, tmp_path / "s").fault
    assert isinstance(fault, TableError)
    assert str(fault).startswith("Cohort 'a+blur@3' has the name of a corrupted cohort.")


def test_settings(tiny_study: Study) -> None:
    assert [c.name for c in named_corruptions(["blur", "blur@3", "noise@2"])] == [
        "blur@1",
        "blur@3",
        "blur@5",
        "noise@2",
    ]
    with pytest.raises(ValueError, match="corruptions"):
        study_of(tiny_study, corruptions=["fog"])
    with pytest.raises(ValueError, match="keep must be weights"):
        study_of(tiny_study, corruptions=["blur"], keep="predictions")
