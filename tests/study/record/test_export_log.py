"""Histories and settings for other programs: complete, and naming no person and no file."""

import importlib
import importlib.util
import re
import socket
from pathlib import Path

import polars as pl
import pytest

from medtransfer import StudyFolder, export_log
from medtransfer.errors import ConfigError
from medtransfer.study.record.run_logs import number_of_points, read_run_logs

TRACKERS = ("tensorboard", "mlflow", "wandb")


def has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not has(name), reason=f"{name} is not installed")


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_tables_have_a_row_a_run_and_a_row_a_validation(
    finished: StudyFolder, tmp_path: Path
) -> None:
    exported = export_log(finished, tmp_path / "log")
    runs = pl.read_csv(tmp_path / "log" / "runs.csv")
    history = pl.read_csv(tmp_path / "log" / "history.csv")
    assert runs["run_id"].to_list() == [row["run_id"] for row in finished.read("plan.json")]
    assert (exported.runs, len(runs), len(history)) == (8, 8, 16)
    assert runs["training.steps"].unique().to_list() == [4]
    assert set(runs["seed"]) == {0, 1}
    assert runs["seconds"].null_count() == 0
    for (run_id,), rows in history.group_by("run_id"):
        checks = finished.run(str(run_id)).history()
        assert rows["tune_loss"].to_list() == pytest.approx([c.tune_loss for c in checks])
    values = number_of_points(read_run_logs(finished))
    defined = history.select("train_loss", "tune_loss", "tune_auroc", "learning_rate")
    assert values == exported.values == sum(16 - n for n in defined.null_count().row(0))


def test_no_path_id_column_or_hospital_is_exported(finished: StudyFolder, tmp_path: Path) -> None:
    export_log(finished, tmp_path / "log")
    text = content(tmp_path / "log").decode()
    patient = finished.run(finished.run_ids()[0]).predictions()["patient_id"][0]
    for word in (patient, "lesion.parquet", "malignant", "train_cohorts", str(finished.path)):
        assert word not in text


def test_a_format_that_does_not_exist_and_a_full_folder_are_refused(
    finished: StudyFolder, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="'excel' \\(allowed: csv, tensorboard, mlflow, wandb\\)"):
        export_log(finished, tmp_path / "log", "excel")
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file"):
        with pytest.raises(ConfigError, match="is not an empty folder"):
            export_log(finished, out)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_names_its_extra(
    finished: StudyFolder, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("medtransfer.study.record.trackers.import_module", missing)
    with pytest.raises(ConfigError, match=rf"Install the extra `medtransfer\[{name}\]`"):
        export_log(finished, tmp_path / "log", name)
    assert not (tmp_path / "log").exists()


@needs("tensorboard")
@pytest.mark.slow
def test_tensorboard_reads_every_value_back(finished: StudyFolder, tmp_path: Path) -> None:
    loader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    exported = export_log(finished, tmp_path / "log", "tensorboard")
    count = 0
    for log in read_run_logs(finished):
        events = loader.EventAccumulator(str(tmp_path / "log" / log.run_id))
        events.Reload()
        points = {
            (name, item.step): item.value
            for name in events.Tags()["scalars"]
            for item in events.Scalars(name)
        }
        count += len(points)
        for name, step, value in log.points():
            assert points[name, step] == pytest.approx(value, rel=1e-6)
    assert count == exported.values


@needs("mlflow")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # of SQLAlchemy, in MLflow's own code
@pytest.mark.slow
def test_mlflow_reads_runs_and_values_back(finished: StudyFolder, tmp_path: Path) -> None:
    tracking = importlib.import_module("mlflow.tracking")
    export_log(finished, tmp_path / "log", "mlflow")
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'log' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("finished")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    for log in read_run_logs(finished):
        run = runs[log.run_id]
        assert run.data.params["seed"] == str(log.settings["seed"])
        history = client.get_metric_history(run.info.run_id, "tune_loss")
        assert [item.value for item in history] == [check.tune_loss for check in log.checks]


@needs("wandb")
@pytest.mark.slow
def test_wandb_writes_offline_runs_without_facts_of_the_machine(
    finished: StudyFolder, tmp_path: Path
) -> None:
    export_log(finished, tmp_path / "log", "wandb")
    runs = list((tmp_path / "log").rglob("*.wandb"))
    assert len(runs) == 8
    # wandb 0.31 has no reader of these files but its own server: the names are in them as texts
    assert all(b"tune_auroc" in run.read_bytes() for run in runs)
    assert not list((tmp_path / "log").rglob("*.log"))
    words = set(re.findall(rb"[A-Za-z0-9_.-]+", content(tmp_path / "log")))
    assert socket.gethostname().encode() not in words
    assert str(tmp_path).encode() not in content(tmp_path / "log")
