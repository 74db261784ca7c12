"""An automatic study that really trains: killed and resumed, and without a look at the test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.in_process import no_worker

from medtransfer import auto_study
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import ConfigError
from medtransfer.integrity.fsck import fsck
from medtransfer.runs.events import Decided, Event, RunEnded
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.tested.reads import count_reads

RUNGS = ["tiny-10k/r26x0.25", "tiny-100k/r26x0.25", "scratch/r14x0.5"]
BASED_ON_TIME = ("seconds", "seconds_left", "sentence")
"""Fields that differ between two commands, however the same they are."""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three small networks at 32 px, of two hospitals."""
    folder = tmp_path_factory.mktemp("auto")
    hospitals = {"a": Hospital(90), "b": Hospital(30)}
    table = folder / "lesions.parquet"
    write_phantom(Phantom(kind="lesion", hospitals=hospitals, size=32, signal=1.5, seed=3), table)
    study = {
        "name": "lesions",
        "data": {
            "manifest": table.name,
            "task": "binary",
            "targets": ["malignant"],
            "image": {"resize": 36, "crop": 32},
            "split": {"train_cohorts": ["a"]},
        },
        "rungs": RUNGS,
        "training": {"batch_size": 8, "steps": 12, "checks": 3, "learning_rate": 0.01},
        "evaluation": {"replicates": 100, "permutations": 50},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml"


def command(study_file: Path, out: Path) -> list[str]:
    words = ["auto", str(study_file), "-o", str(out), "--hours", "1", "--workers", "1"]
    return [sys.executable, "-m", "medtransfer", *words]


def decisions(out: Path) -> dict[str, Mapping[str, object]]:
    """What was decided, and on which tuning numbers."""
    return {
        path.name: {
            name: value
            for name, value in json.loads(path.read_text()).items()
            if name not in BASED_ON_TIME
        }
        for path in sorted((out / "auto").glob("[1-9]*.json"))
    }


@pytest.mark.slow
def test_killed_and_resumed_it_decides_the_same_and_repeats_nothing(
    study_file: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        command(study_file, whole), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Deploy " in done.stdout
    assert f"medtransfer export {whole} -o whole.medt" in done.stdout

    process = subprocess.Popen(
        command(study_file, killed),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (killed / "auto" / "3-race.json").is_file():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)  # into the fine-tuning
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "auto" / "6-finalists.json").exists()
    made = {path: path.read_bytes() for path in (killed / "auto").glob("[0-9]*.json")}
    ended = {path: path.stat().st_mtime_ns for path in (killed / "runs").glob("*/cost.json")}
    assert ended

    again = subprocess.run(
        command(study_file, killed), env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert {path: path.read_bytes() for path in made} == made
    assert {path: path.stat().st_mtime_ns for path in ended} == ended
    assert decisions(killed) == decisions(whole)
    assert len(decisions(whole)) == 6
    for name in ("predictions.parquet", "results.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert fsck(killed).passed


@pytest.mark.slow
def test_no_test_case_is_predicted_before_the_finalists_are_chosen(
    study_file: Path, tmp_path: Path
) -> None:
    folder, stages = StudyFolder(tmp_path / "out"), list[str]()

    def hear(event: Event) -> None:
        if isinstance(event, Decided):
            stages.append(event.stage)
            assert count_reads(folder) == {}
            assert not (folder.path / "predictions.parquet").exists()
            for run_id in folder.run_ids():
                if folder.run(run_id).is_done():
                    splits = folder.run(run_id).predictions()["split"].unique().to_list()
                    assert splits == ["tune"]
                    assert not (folder.run(run_id).path / "predictions").exists()

    with no_worker():
        outcome = auto_study(study_file, folder.path, hear, hours=1, workers=1)
    assert stages == ["candidates", "probes", "race", "short", "full", "finalists"]
    assert count_reads(folder) == {"a": 1, "b": 1}
    predicted = {path.parent.parent.name for path in folder.path.glob("runs/*/predictions/*.json")}
    finalists = json.loads((folder.path / "plan.json").read_text())
    assert predicted == {run["run_id"] for run in finalists}  # and no other run
    assert len({run["seed"] for run in finalists}) * 2 == len(finalists)  # at equal seeds
    assert outcome.advice.rung in {run["rung"] for run in finalists}
    assert "How the rungs were selected" in outcome.report.read_text()

    events: list[Event] = []
    with no_worker():
        again = auto_study(study_file, folder.path, events.append, hours=1, workers=1)
    assert not [event for event in events if isinstance(event, RunEnded)]
    assert again.advice == outcome.advice
    assert count_reads(folder) == {"a": 1, "b": 1}


@pytest.mark.slow
def test_without_time_to_fine_tune_the_probes_decide(study_file: Path, tmp_path: Path) -> None:
    sentences: list[str] = []
    long = study_file.with_name("long.yaml")  # hours of fine-tuning, seconds of probes
    long.write_text(study_file.read_text().replace("steps: 12", "steps: 100000"))

    def hear(event: Event) -> None:
        if isinstance(event, Decided):
            sentences.append(event.sentence)

    with no_worker():
        outcome = auto_study(long, tmp_path / "out", hear, hours=0.05, rungs=RUNGS[:2], workers=1)
    assert any("No fine-tuning: it takes about" in sentence for sentence in sentences)
    assert outcome.advice.mode == "linear"


def test_hours_must_be_a_time(study_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hours holds 0 \(allowed: over 0"):
        auto_study(study_file, tmp_path / "out", hours=0)
    assert not (tmp_path / "out").exists()


def test_a_study_file_sets_its_own_values(study_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="image_root and values are for manifests"):
        auto_study(study_file, tmp_path / "out", image_root=tmp_path)
