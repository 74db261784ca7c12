"""Runs that are kept are those that were measured, or they are measured again."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.prediction_tables import (
    QUICK,
    Site,
    attributes_of,
    binary_table,
    class_table,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells import kept_runs as module
from medtransfer.evaluation.comparison.cells.cell_part import (
    CellPart,
    cell_part,
    decoded_part,
    encoded_part,
)
from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns
from medtransfer.evaluation.comparison.cells.seed_part import SeedPart
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run, results_of, score
from medtransfer.statistics.small_samples import MeanSupport, Support

SITES = {"a": Site({"tune": 40, "test": 80}), "b": Site({"test": 60})}
TABLE = binary_table(SITES)
FEW = QUICK.model_copy(update={"replicates": 20, "permutations": 20})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every run that is really measured."""
    calls: list[int] = []
    original = module.cell_part

    def count(*args: Any, **more: Any) -> CellPart:
        calls.append(1)
        return original(*args, **more)

    monkeypatch.setattr(module, "cell_part", count)
    return calls


def part_of(
    kept: KeptRuns,
    table: pl.DataFrame = TABLE,
    task: Task = "binary",
    config: EvaluationConfig = FEW,
    attributes: pl.DataFrame | None = None,
) -> CellPart:
    about = attributes_of(table) if attributes is None else attributes

    def measured() -> MeasuredRun:
        return measure_run(table, about, task, config)

    key = kept.key(table, about, task, config)
    return kept.part(key, measured, config, with_results=True)


def assert_same(one: Any, other: Any) -> None:
    """Equal to the last bit, and in the same order, which is that of the rows."""
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, pl.DataFrame):
        assert_frame_equal(one, other, check_exact=True)
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for value, other_value in zip(one, other, strict=True):
            assert_same(value, other_value)
    else:
        assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["percentile", "bca"])
@pytest.mark.parametrize("task", ["binary", "multi-class"])
def test_what_is_read_back_is_what_was_measured_to_the_bit(
    task: Task, interval: str, tmp_path: Path, counted: list[int]
) -> None:
    table = TABLE if task == "binary" else class_table({"a": Site({"tune": 40, "test": 60})})
    config = FEW.model_copy(update={"interval": interval})
    first = part_of(KeptRuns(tmp_path, 1), table, task, config)
    again = part_of(KeptRuns(tmp_path, 1), table, task, config)
    assert len(counted) == 1
    assert_same(again, first)
    plain = measure_run(table, attributes_of(table), task, config)
    assert_same(first, cell_part(plain, config, with_results=True))
    assert first.results is not None
    assert_frame_equal(first.results, results_of(plain, config))


def test_groups_and_means_over_targets_come_back(tmp_path: Path) -> None:
    sites = {"a": Site({"tune": 60, "test": 120}), "b": Site({"test": 60})}
    table = binary_table(sites, targets=("x", "y")).with_columns(
        target_y=pl.when(pl.col("cohort") == "b").then(None).otherwise("target_y")
    )
    first = part_of(KeptRuns(tmp_path, 1), table, "multi-label")
    assert first.numbers.groups
    assert first.numbers.shared
    assert first.lines
    assert_same(part_of(KeptRuns(tmp_path, 1), table, "multi-label"), first)


def test_a_run_that_is_scored_is_kept_for_the_tables(tmp_path: Path, counted: list[int]) -> None:
    results = KeptRuns(tmp_path, 1).scored(TABLE, attributes_of(TABLE), "binary", FEW)
    assert_frame_equal(results, score(TABLE, attributes_of(TABLE), "binary", FEW))
    kept = KeptRuns(tmp_path, 1)
    key = kept.key(TABLE, attributes_of(TABLE), "binary", FEW)
    part = kept.find(key)
    assert part is not None
    assert part.results is None
    assert kept.find(key, with_results=True) is None
    assert len(counted) == 1


def test_numbers_that_json_lacks_and_empty_ones_come_back() -> None:
    support = MeanSupport("too few", 3, (float("inf"), 0.1 + 0.2))
    odd = Estimate(
        np.array([np.nan, np.inf, -0.0]), 3, 2, None, "why", None, Support(1, None, 3, 2), support
    )
    part = CellPart(SeedPart("a", {ResultKey("a", "all", "all", "é", "m"): odd}), {})
    again = decoded_part(encoded_part(part))
    assert again is not None
    assert_same(again, part)
    (back,) = again.numbers.estimates.values()
    assert replace(back, values=None) == replace(odd, values=None)


@pytest.mark.slow
def test_anything_that_changes_a_number_is_another_key(tmp_path: Path, counted: list[int]) -> None:
    part_of(KeptRuns(tmp_path, 1))
    logit = next(name for name in TABLE.columns if name.startswith("logit_"))
    truth = logit.replace("logit_", "target_")
    first = pl.int_range(pl.len()) == len(TABLE) - 1
    others: list[Callable[[], object]] = [
        lambda: part_of(KeptRuns(tmp_path, 2)),
        lambda: part_of(KeptRuns(tmp_path, 1), config=FEW.model_copy(update={"replicates": 21})),
        lambda: part_of(
            KeptRuns(tmp_path, 1),
            TABLE.with_columns(pl.when(first).then(pl.col(logit) + 1e-9).otherwise(logit)),
        ),
        lambda: part_of(
            KeptRuns(tmp_path, 1),
            TABLE.with_columns(pl.when(first).then(1 - pl.col(truth)).otherwise(truth)),
        ),
        lambda: part_of(
            KeptRuns(tmp_path, 1),
            TABLE.with_columns(pl.lit("same").alias("patient_id")),
            attributes=attributes_of(TABLE),
        ),
        lambda: part_of(KeptRuns(tmp_path, 1), attributes=attributes_of(TABLE, unknown=3)),
    ]
    for number, other in enumerate(others, start=2):
        other()
        assert len(counted) == number
    part_of(KeptRuns(tmp_path, 1))
    assert len(counted) == len(others) + 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "folder", "foreign"])
def test_a_damaged_file_is_measured_again(damage: str, tmp_path: Path, counted: list[int]) -> None:
    whole = part_of(KeptRuns(tmp_path, 1))
    [path] = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "foreign":
        content = bytearray(b"PK something else")
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes({"cut": content[:99], "empty": b""}.get(damage, content))
    assert_same(part_of(KeptRuns(tmp_path, 1)), whole)
    assert len(counted) == 2


def test_large_runs_are_not_kept_and_unused_files_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptRuns(tmp_path, 1)
    part_of(kept, config=FEW.model_copy(update={"replicates": 19}))
    old = {path.name for path in tmp_path.iterdir()}
    now = KeptRuns(tmp_path, 1)
    part_of(now)
    assert len(list(tmp_path.iterdir())) == 2
    now.drop_others()
    [left] = tmp_path.iterdir()
    assert left.name not in old
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    left.unlink()
    part_of(KeptRuns(tmp_path, 1))
    assert not list(tmp_path.iterdir())
