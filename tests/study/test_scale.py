"""Manifests of millions of rows are opened, audited, split and planned in little memory and time.

Pictures are not read. What is measured is the resident memory of a process of its own at its peak
(`VmHWM` of the kernel: everything, Python, its packages and mapped pages of files included, from
the first line to the last), and the time of the processor, of all threads together. Ten million
rows took 1.5 GB and 75 s; ids of up to twelve bytes, as here, are the cheapest: of a longer one
each further byte is kept.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medtransfer.tables.schema import write_frame

CODE = """\
import json, sys, time
from pathlib import Path
import polars as pl
from medtransfer.data.audit.run import audit
from medtransfer.data.splits import assign_splits
from medtransfer.study.config import Study
from medtransfer.runs.inputs import open_manifest
from medtransfer.study.plan import StudyData, plan_runs
from medtransfer.study.planning.flow import flow_of

study = Study.model_validate(json.loads(sys.argv[1]))
begun = time.process_time()
manifest = open_manifest(study.data)
found = audit(manifest, assign_splits(manifest, study.data), None, study.data)
data = StudyData(manifest, pl.DataFrame(), "0" * 64, tuple(found))
planned = plan_runs(study, data)
flow = flow_of(study, data)
lines = Path("/proc/self/status").read_text().splitlines()
print(json.dumps({
    "bytes": next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")),
    "findings": [finding.code for finding in found],
    "seconds": time.process_time() - begun,
    "training": [run.num_cases for run in planned],
    "images": sum(row["images"] for row in flow),
}))
"""


def manifest(folder: Path, rows: int) -> Path:
    """Two images a case, two cases a patient, rows in no order; one cohort of seven is shifted."""
    number = (pl.int_range(0, rows) * 7919) % rows  # a prime: every number once
    patient = number // 4
    frame = pl.select(
        image_id=pl.format("i{}", number),
        path=pl.format("{}.png", number),
        case_id=pl.format("c{}", number // 2),
        patient_id=pl.format("p{}", patient),
        cohort=pl.when(patient % 7 == 0).then(pl.lit("b")).otherwise(pl.lit("a")),
        y=(number // 2 % 10 == 0).cast(pl.Int8),
    )
    path = folder / f"{rows}.parquet"
    write_frame(frame, path)
    return path


def planned(path: Path) -> dict[str, Any]:
    """What reading, splitting and planning takes, and what comes of it."""
    study = {
        "name": "scale",
        "data": {
            "manifest": str(path),
            "task": "binary",
            "targets": ["y"],
            "image": {"resize": 72, "crop": 64},
            "split": {"train_cohorts": ["a"]},
        },
        "rungs": ["scratch/r14x0.5"],
        "seeds": [0],
        "label_fractions": [0.1, 1.0],
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(study)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux")
@pytest.mark.parametrize(
    ("rows", "most_bytes", "seconds"), [(1_000_000, 6e8, 60), (10_000_000, 2e9, 300)]
)
def test_a_huge_manifest_is_planned_in_bounded_memory_and_time(
    tmp_path: Path, rows: int, most_bytes: float, seconds: int
) -> None:
    found = planned(manifest(tmp_path, rows))
    assert found["images"] == rows
    whole, tenth = found["training"]
    assert whole == pytest.approx(rows / 2 * 6 / 7 * 0.65, rel=0.01)
    assert tenth == pytest.approx(whole / 10, rel=0.01)
    assert found["findings"] == []
    assert found["bytes"] < most_bytes
    assert found["seconds"] < seconds
