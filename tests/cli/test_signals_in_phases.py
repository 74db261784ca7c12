"""SIGINT, SIGTERM and SIGHUP at drawn moments of real commands: 75, no lease, and on it goes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.shades import write_shades

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.files import sha256

STUDY = """\
name: tiny
data:
  manifest: ph.csv
  task: binary
  targets: [malignant]
  attributes: [sex]
  image: {resize: 36, crop: 32}
  split: {train_cohorts: [north]}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {batch_size: 8, steps: 40, checks: 4, checkpoint_seconds: 0}
evaluation: {replicates: 200, permutations: 100}
"""
PRETRAIN = """\
name: shades
rung: scratch/r26x0.25
about: shades of grey
data: {images: shades.parquet, resize: 18, crop: 16}
training: {batch_size: 16, epochs: 20, learning_rate: 0.05}
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DRAWS = 7 if os.environ.get("SOAK") else 1
"""Moments of each signal in each command."""
COMMANDS = {
    "import": ["import", "csv", ".", "-o", "out/m.csv", "--option", "table=ph.csv"],
    "check": ["check", "study.yaml", "-o", "out"],
    "prepare": ["prepare", "study.yaml", "-o", "out"],
    "run": ["run", "study.yaml", "-o", "out"],
    "report": ["report", "done"],
    "evaluate": ["evaluate", "done/predictions.parquet", "-o", "out"],
    "pretrain": ["pretrain", "pretrain.yaml", "-o", "out"],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, studies and a finished study."""
    folder = tmp_path_factory.mktemp("desk")
    hospitals = {"north": Hospital(30), "south": Hospital(20)}
    write_phantom(Phantom(kind="lesion", hospitals=hospitals, signal=0.7), folder / "ph.csv")
    write_shades(folder / "shades.parquet")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "pretrain.yaml").write_text(PRETRAIN)
    code, errors = ended(start(folder, ["run", "study.yaml", "-o", "done"]))
    assert code == 0, errors
    return folder


def start(folder: Path, words: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # communicate() closes its pipe
        [sys.executable, "-m", "medtransfer", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and errors of a command, once it is over."""
    _, errors = process.communicate(timeout=600)
    return process.returncode, errors


def wait_for_handlers(process: "subprocess.Popen[str]") -> None:
    """Wait until the command hears signals, or is over."""
    path = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        lines = path.read_text("ascii").splitlines()
        caught = next((int(li.split()[1], 16) for li in lines if li.startswith("SigCgt")), 0)
        if caught >> (signal.SIGHUP - 1) & 1:
            return
        time.sleep(0.005)


def fresh(folder: Path) -> None:
    """Remove what a command left, but for the finished study."""
    subprocess.run(["rm", "-rf", str(folder / "out")], check=True)
    (folder / "out").mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_at_any_moment_ends_a_command_with_75_and_it_goes_on(
    desk: Path, name: str
) -> None:
    draw = random.Random(name)
    fresh(desk)
    whole = start(desk, COMMANDS[name])
    wait_for_handlers(whole)
    begin = time.monotonic()
    code, errors = ended(whole)
    assert code == 0, errors
    seconds = time.monotonic() - begin
    golden = tables(desk)
    stopped = 0
    for number in SIGNALS * DRAWS:
        fresh(desk)
        process = start(desk, COMMANDS[name])
        wait_for_handlers(process)
        time.sleep(draw.uniform(0, seconds))
        process.send_signal(number)
        code, errors = ended(process)
        assert code in (0, 75), f"{name} {number!r}: {errors}"
        assert "Traceback" not in errors
        assert not list(desk.glob("*/lease*")), f"{name} {number!r}"
        stopped += code == 75
        code, errors = ended(start(desk, COMMANDS[name]))
        assert code == 0, f"{name} {number!r}: {errors}"
        assert tables(desk) == golden, f"{name} {number!r}"
    print(f"{name}: {stopped} of {len(SIGNALS) * DRAWS} stopped in {seconds:.1f} s")


@pytest.mark.slow
def test_a_second_ctrl_c_ends_a_study_at_once(desk: Path) -> None:
    fresh(desk)
    process = start(desk, COMMANDS["run"])
    wait_for_handlers(process)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 75
    assert time.monotonic() - begin < 10


def tables(folder: Path) -> dict[str, str]:
    """Digests of what a command computes."""
    names = ("predictions.parquet", "results.parquet", "comparisons.parquet", "m.csv")
    paths = [path for name in names for path in sorted((folder / "out").rglob(name))]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
