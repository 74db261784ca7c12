"""`medtransfer plan`: what is printed, and how a limit of hours ends."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Call

from medtransfer.data.phantom import Hospital, Phantom, write_phantom

STUDY = """\
name: skin
data:
  manifest: skin.csv
  task: binary
  targets: [malignant]
  image: {resize: 36, crop: 32}
  split: {train_cohorts: [north]}
rungs: [scratch/r14x0.5, scratch/r26x0.25]
seeds: [0, 1]
training: {batch_size: 8, steps: 200000, checks: 1}
"""


@pytest.fixture
def study(tmp_path: Path) -> None:
    phantom = Phantom(hospitals={"north": Hospital(40), "south": Hospital(24)}, size=48)
    write_phantom(phantom, tmp_path / "skin.csv")
    (tmp_path / "study.yaml").write_text(STUDY)


@pytest.mark.usefixtures("study")
def test_a_plan_is_printed_with_ranges_questions_disk_and_savings(call: Call) -> None:
    shown = call("plan", "study.yaml")
    assert shown.code == 0
    assert shown.out.startswith("4 runs: 4 to run. It will take about ")
    assert "scratch/r14x0.5 32 px full" in shown.out
    assert "transfer, shift, fairness, uncertainty: all labels" in shown.out
    assert "Disk: up to " in shown.out
    assert "Largest savings:\n  With linear probes" in shown.out
    assert "Without rung 'scratch/r" in shown.out


@pytest.mark.usefixtures("study")
def test_a_limit_of_hours_refuses_and_tips_what_to_leave_out(call: Call) -> None:
    refused = call("plan", "study.yaml", "--max-hours", "0.01", "--json")
    assert refused.code == 2
    assert json.loads(refused.out)["num_runs"] == 4
    assert "more than --max-hours 0.01. Nothing was run. With linear probes" in refused.err
    assert call("plan", "study.yaml", "--max-hours", "1e6").code == 0


@pytest.mark.usefixtures("study")
def test_check_tells_the_time(call: Call) -> None:
    assert "4 runs, all new" in (said := call("check", "study.yaml").out)
    assert "It will take about " in said


def test_a_number_of_workers_is_a_number(call: Call, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    assert "allowed: a number from 1, or auto" in call("plan", "study.yaml", "-w", "two").err


def test_where_runs_are_trained_is_a_known_place(call: Call, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    assert "'moon' (allowed: local, slurm, ray," in call("run", "study.yaml", "--on", "moon").err
    alone = call("run", "study.yaml", "--one", "a" * 12, "--on", "slurm")
    assert alone.code == 2
    assert "leave out --on slurm" in alone.err
