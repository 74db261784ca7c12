"""Pre-training on the command line: what is said on the way, and how far it is from elsewhere."""

import json
import re
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Call
from tests.shades import write_shades

RECIPE = """\
name: shades
rung: scratch/r26x0.25
data: {images: shades.parquet, resize: 18, crop: 16}
training: {batch_size: 16, micro_batch: 8, steps: 9, checks: 3, learning_rate: 0.05,
           precision: float32}
"""
STEP = {
    "event": "StepDone",
    "step": 3,
    "steps": 9,
    "loss": 0.75,
    "images_per_second": 50.0,
    "tune_auroc": 0.5,
}


@pytest.fixture(autouse=True)
def _recipe(tmp_path: Path) -> None:
    write_shades(tmp_path / "shades.parquet")
    (tmp_path / "shades.yaml").write_text(RECIPE)


@pytest.mark.slow
def test_a_log_says_how_far_it_is_and_status_says_what_was_made(call: Call) -> None:
    said = call("pretrain", "shades.yaml")
    assert said.code == 0, said.err
    lines = said.err.splitlines()
    assert lines[:2] == ["reading images (60 images)", "preparing images (48 images)"]
    last = r"step 9 of 9, loss \d\.\d{3}, held-out score \d\.\d{3}, [\d,]+ images/s, 0:00 left"
    assert re.fullmatch(last, lines[-1])
    assert said.out.startswith("Rung:   own/shades   (name it under `rungs:` in a study)\nCard: ")

    status = call("status", "rungs/shades")
    assert re.fullmatch(rf"own/shades done: {last}; took \d:\d\d\n", status.out)
    plain = json.loads(call("status", "rungs/shades", "--json").out)
    assert (plain["state"], plain["training"]["step"]) == ("done", 9)

    events = [
        json.loads(line) for line in call("pretrain", "shades.yaml", "--json").out.splitlines()
    ]
    assert events[-1] == {"event": "RungMade", "rung": "own/shades", "folder": "rungs/shades"}


def test_a_stopped_run_says_where_it_stands_and_what_goes_on(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker.sh"  # in the worker's place
    script.write_text(
        f"#!/bin/sh\nread run\necho '{json.dumps(STEP)}'\n"
        'echo \'{"event": "Interrupted"}\'; kill -INT $PPID; read next\n'
    )
    script.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(script))
        said = call("pretrain", "shades.yaml")
    assert said.code == 75
    assert said.err.endswith("Stopped. Run the same command again to resume.\n")
    assert call("status", "rungs/shades").out == (
        "own/shades waiting: step 3 of 9, loss 0.750, held-out score 0.500, 50 images/s, – left\n"
        "Run `medtransfer pretrain` with its recipe again to resume.\n"
    )


def test_a_folder_that_is_neither_is_said_to_be_no_study(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rungs" / "shades").mkdir(parents=True)
    assert "is not the folder of a study that was run" in call("status", "rungs/shades").err


def test_a_rung_that_is_not_there_is_said_with_all_other_faults(call: Call, tmp_path: Path) -> None:
    wrong = RECIPE.replace("scratch/r26x0.25", "scratch/r26x025").replace("steps: 9", "steps: -9")
    (tmp_path / "wrong.yaml").write_text(wrong)
    said = call("pretrain", "wrong.yaml")
    assert said.code == 2
    assert "wrong.yaml:2: rung 'scratch/r26x025' does not exist. Did you mean" in said.err
    assert "wrong.yaml:4: training.steps holds -9" in said.err
    assert not (tmp_path / "rungs").exists()
