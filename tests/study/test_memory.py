"""A run needs memory for its batch, not for its data set.

What is measured is anonymous memory: pages of the mapped image cache are the system's to take back.
"""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.data.audit import corpus

PICTURES = 40
SIDE = 64
FEW, MANY = 2600, 7800  # with the few, every batch is full already
CODE = """\
import json, sys, threading, time
from pathlib import Path
from medtransfer.study.config import Study
from medtransfer.runs.transfer import environment, transfer
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.runs.folders import StudyFolder

most = 0
def look():
    global most
    while True:
        lines = Path("/proc/self/status").read_text().splitlines()
        most = max(most, next(int(l.split()[1]) for l in lines if l.startswith("RssAnon")))
        time.sleep(0.02)

study = Study.model_validate(json.loads(sys.argv[1]))
place = StudyFolder(Path(sys.argv[2]))
place.claim(study.name)
threading.Thread(target=look, daemon=True).start()
data = read_data(study, place.images)
(run,) = plan_runs(study, data)
own = place.run(run.run_id)
own.start({"run_id": run.run_id}, environment(run.cell.run.training))
transfer(run.cell.run, place, own, lambda _: False)
assert own.is_done()
print(most // 1024)
"""


def manifest(folder: Path, count: int) -> Path:
    """Many cases that share a few files; one in ten trains, one in twenty tunes."""
    for number in range(PICTURES):
        picture = corpus.png(corpus.colour(SIDE, SIDE + number), 2)
        (folder / f"{number}.png").write_bytes(picture)
    rows = pl.DataFrame({"n": range(count)})
    split = pl.when(pl.col("n") % 20 < 2).then(pl.lit("train"))
    split = split.when(pl.col("n") % 20 == 2).then(pl.lit("tune")).otherwise(pl.lit("test"))
    name = pl.format("c{}", "n")
    table = rows.select(
        name.alias("image_id"),
        pl.format("{}.png", pl.col("n") % PICTURES).alias("path"),
        name.alias("case_id"),
        name.alias("patient_id"),
        pl.lit("a").alias("cohort"),
        split.alias("split"),
        (pl.col("n") // 20 % 2).alias("y"),
    )
    table.write_csv(folder / f"{count}.csv")
    return folder / f"{count}.csv"


def peak(folder: Path, count: int) -> int:
    """MiB of anonymous memory that scanning, training, testing and scoring need at most."""
    study = {
        "name": "memory",
        "data": {
            "manifest": str(manifest(folder, count)),
            "task": "binary",
            "targets": ["y"],
            "image": {"resize": SIDE, "crop": SIDE},
        },
        "rungs": ["scratch/r14x0.5"],
        "seeds": [0],
        "training": {"batch_size": 16, "micro_batch": 16, "steps": 6, "checks": 2},
        "evaluation": {"replicates": 20, "permutations": 10},
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(study), str(folder / f"study-{count}")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_three_times_the_data_need_no_more_memory(tmp_path: Path) -> None:
    few, many = peak(tmp_path, FEW), peak(tmp_path, MANY)
    pixels = (MANY - FEW) * SIDE * SIDE * 3 / 2**20
    assert pixels > 50  # what would be held at least if images were, a byte a channel
    assert many - few < pixels / 2, f"{few} MiB for {FEW} cases, {many} MiB for {MANY}"
