"""study.lock and drift: circumstances of a study, what changed between commands, and now."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer import StudyFolder, fsck, study_drift
from medtransfer.errors import StudyError
from medtransfer.integrity.code_digest import code_digest
from medtransfer.runs.events import Drifted, Event
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.record import lock
from medtransfer.study.record.lock import note_circumstances, read_lock
from medtransfer.study.yaml_file import read_study


def test_a_finished_study_has_its_circumstances(finished: StudyFolder) -> None:
    content = read_lock(finished)
    assert content is not None
    facts = content.facts
    assert facts["code"] == code_digest()
    assert facts["packages.torch"]
    assert facts["study.training.steps"] == 4
    assert facts["weights.scratch/r14x0.5"] == "random"
    assert len(str(facts["weights.imagenet/effnet-lite0"])) == 64
    assert facts["runs.device"] == ["cpu"]
    assert facts["runs.precision"]
    assert content.changes == ()
    assert not [name for name in facts if "manifest" in name or "path" in name]


def test_a_study_as_it_was_run_has_not_drifted(study: StudyFolder) -> None:
    drift = study_drift(study)
    assert (drift.differences, drift.notes) == ((), ())
    assert fsck(study.path).passed


def test_other_settings_data_and_packages_are_named(
    study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_study(study.path / "study.yaml")
    table = pl.read_parquet(config.data.manifest)
    table.filter(pl.col("cohort") == "a").write_parquet(tmp_path / "other.parquet")
    data = config.data.model_copy(update={"manifest": tmp_path / "other.parquet"})
    training = config.training.model_copy(update={"steps": 9})
    monkeypatch.setattr(lock, "version", lambda name: f"0-{name}")
    drift = study_drift(study, config.model_copy(update={"data": data, "training": training}))
    then_now = {item.name: (item.then, item.now) for item in drift.differences}
    assert then_now["study.training.steps"] == (4, 9)
    assert then_now["data.images"] == (72, 48)
    assert then_now["packages.torch"][1] == "0-torch"
    assert {"data.digest", "data.patients", "packages.polars"} <= set(then_now)
    assert not [name for name in then_now if name.startswith(("weights", "runs", "machine"))]


def test_data_that_are_gone_are_a_note(study: StudyFolder, tmp_path: Path) -> None:
    config = read_study(study.path / "study.yaml")
    data = config.data.model_copy(update={"manifest": tmp_path / "gone.parquet"})
    drift = study_drift(study, config.model_copy(update={"data": data}))
    assert drift.differences == ()
    assert drift.notes[0].startswith("The data cannot be compared:")


def test_a_changed_circumstance_is_told_and_kept_with_both_values(study: StudyFolder) -> None:
    config = read_study(study.path / "study.yaml")
    data = read_data(config, study.images)
    planned = plan_runs(config, data, study)
    events: list[Event] = []
    note_circumstances(study, config, data, planned, events.append)
    assert events == []
    evaluation = config.evaluation.model_copy(update={"replicates": 7})
    other = config.model_copy(update={"evaluation": evaluation})
    note_circumstances(study, other, data, planned, events.append)
    (event,) = events
    assert isinstance(event, Drifted)
    assert "study.evaluation.replicates 100 → 7" in event.message
    content = read_lock(study)
    assert content is not None
    (change,) = content.changes
    assert (change["then"], change["now"]) == (100, 7)
    assert str(change["time"]).endswith("Z")


def test_a_study_without_a_lock_cannot_be_compared(study: StudyFolder) -> None:
    (study.path / "study.lock").write_text("{")
    with pytest.raises(StudyError, match=r"no study.lock that can be read"):
        study_drift(study)
