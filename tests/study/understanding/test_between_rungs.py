"""Pairs of rungs of one seed, from files of Gram matrices."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from medtransfer.analysis.grams import network_grams, write_grams
from medtransfer.errors import StudyError
from medtransfer.study.plan import PlannedRun
from medtransfer.study.understanding.between_rungs import between_rungs

PATIENTS = np.array([f"p{k}" for k in range(100)])
IDS = [f"c{k}" for k in range(100)]


def run_of(rung: str, seed: int) -> PlannedRun:
    fake: Any = SimpleNamespace(run_id=f"{rung}-{seed}", cell=SimpleNamespace(rung=rung, seed=seed))
    return cast("PlannedRun", fake)


def written(run: PlannedRun, folder: Path, stages: list[str], ids: list[str] = IDS) -> Path:
    draw = np.random.default_rng(len(run.run_id) + run.cell.seed)
    outputs = {stage: draw.normal(size=(100, 4)).astype(np.float32) for stage in stages}
    numbers = {stage: place for place, stage in enumerate(stages)}
    path = folder / f"{run.run_id}.parquet"
    write_grams(network_grams(ids, outputs, numbers, PATIENTS), path)
    return path


def test_runs_of_one_seed_are_paired_by_stages_or_by_features(tmp_path: Path) -> None:
    runs = [run_of(rung, seed) for seed in (0, 1) for rung in ("cnn", "cnn2", "vit")]
    stages = {"cnn": ["stem", "features"], "cnn2": ["stem", "features"], "vit": ["b.0", "features"]}
    files = {run.run_id: written(run, tmp_path, stages[run.cell.rung]) for run in runs}
    files["vit-1"].unlink()  # its weights are gone
    rows = between_rungs(runs, files)
    assert [(row.seed, row.rung, row.network, row.stage) for row in rows] == [
        (0, "cnn", "cnn2", "stem"),
        (0, "cnn", "cnn2", "features"),
        (0, "cnn", "vit", "features"),
        (0, "cnn2", "vit", "features"),
        (1, "cnn", "cnn2", "stem"),
        (1, "cnn", "cnn2", "features"),
    ]
    assert all(row.value is not None and row.num_cases == 100 for row in rows)


def test_runs_that_looked_at_other_cases_are_refused(tmp_path: Path) -> None:
    runs = [run_of("cnn", 0), run_of("vit", 0)]
    files = {
        runs[0].run_id: written(runs[0], tmp_path, ["features"]),
        runs[1].run_id: written(runs[1], tmp_path, ["features"], IDS[::-1]),
    }
    with pytest.raises(StudyError, match="the same order only: 100 of 100 positions differ"):
        between_rungs(runs, files)
