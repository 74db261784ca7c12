"""Estimates that are kept are those that were measured, or they are measured again."""

from collections.abc import Callable
from dataclasses import fields, replace
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
from medtransfer.evaluation.kept import estimates as module
from medtransfer.evaluation.kept.estimates import KeptEstimates
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, MetricKey
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run, results_of
from medtransfer.statistics.small_samples import MeanSupport, Support

SITES = {"a": Site({"tune": 40, "test": 80}), "b": Site({"test": 60})}
TABLE = binary_table(SITES)
FEW = QUICK.model_copy(update={"replicates": 20, "permutations": 20})


def measured(
    kept: KeptEstimates,
    table: pl.DataFrame = TABLE,
    task: Task = "binary",
    config: EvaluationConfig = FEW,
    attributes: pl.DataFrame | None = None,
) -> MeasuredRun:
    about = attributes_of(table) if attributes is None else attributes
    return measure_run(table, about, task, config, kept.measuring(table, about, task))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every time that something is really measured."""
    calls: list[int] = []
    original = module.measure

    def count(*args: Any) -> Any:
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(module, "measure", count)
    return calls


def assert_same(one: MeasuredRun, other: MeasuredRun) -> None:
    assert len(one.estimates) == len(other.estimates)
    for of_set, of_other in zip(one.estimates, other.estimates, strict=True):
        for estimates, others in zip(of_set, of_other, strict=True):
            assert list(estimates) == list(others)  # in order, which is that of the rows
            for key, estimate in estimates.items():
                for field in fields(Estimate):
                    value, other_value = (getattr(e, field.name) for e in (estimate, others[key]))
                    if isinstance(value, np.ndarray):
                        assert value.tobytes() == other_value.tobytes(), (key, field.name)
                    else:
                        assert value == other_value, (key, field.name)


@pytest.mark.parametrize("interval", ["percentile", "bca"])
@pytest.mark.parametrize("task", ["binary", "multi-class"])
def test_what_is_read_back_is_what_was_measured_to_the_bit(
    task: Task, interval: str, tmp_path: Path, counted: list[int]
) -> None:
    table = TABLE if task == "binary" else class_table({"a": Site({"tune": 40, "test": 60})})
    config = FEW.model_copy(update={"interval": interval})
    first = measured(KeptEstimates(tmp_path, 1), table, task, config)
    again = measured(KeptEstimates(tmp_path, 1), table, task, config)
    assert len(counted) == 1
    assert_same(first, again)
    plain = measure_run(table, attributes_of(table), task, config)
    assert_same(first, plain)
    assert_frame_equal(results_of(again, config), results_of(plain, config))


def test_numbers_that_json_lacks_and_empty_ones_come_back(tmp_path: Path) -> None:
    support = MeanSupport("too few", 3, (float("inf"), 0.1 + 0.2))
    odd = Estimate(
        np.array([np.nan, np.inf, -0.0]), 3, 2, None, "why", None, Support(1, None, 3, 2), support
    )
    kept = KeptEstimates(tmp_path, 1)
    none: list[dict[MetricKey, Estimate]] = [{}]
    kept.keep("k" * 32, ([{MetricKey("é", "m"): odd}, {}], none))
    found = kept.find("k" * 32)
    assert found is not None
    assert found[1] == none
    back = found[0][0][MetricKey("é", "m")]
    assert back.values is not None
    assert odd.values is not None
    assert back.values.tobytes() == odd.values.tobytes()
    assert replace(back, values=None) == replace(odd, values=None)


def test_anything_that_changes_a_number_is_another_key(tmp_path: Path, counted: list[int]) -> None:
    measured(KeptEstimates(tmp_path, 1))
    logit = next(name for name in TABLE.columns if name.startswith("logit_"))
    truth = logit.replace("logit_", "target_")
    first = pl.int_range(pl.len()) == len(TABLE) - 1
    others: list[Callable[[], object]] = [
        lambda: measured(KeptEstimates(tmp_path, 2)),
        lambda: measured(
            KeptEstimates(tmp_path, 1), config=FEW.model_copy(update={"replicates": 21})
        ),
        lambda: measured(
            KeptEstimates(tmp_path, 1),
            TABLE.with_columns(pl.when(first).then(pl.col(logit) + 1e-9).otherwise(logit)),
        ),
        lambda: measured(
            KeptEstimates(tmp_path, 1),
            TABLE.with_columns(pl.when(first).then(1 - pl.col(truth)).otherwise(truth)),
        ),
        lambda: measured(
            KeptEstimates(tmp_path, 1),
            TABLE.with_columns(pl.lit("same").alias("patient_id")),
            attributes=attributes_of(TABLE),
        ),
        lambda: measured(KeptEstimates(tmp_path, 1), attributes=attributes_of(TABLE, unknown=3)),
    ]
    for number, other in enumerate(others, start=2):
        other()
        assert len(counted) == number
    measured(KeptEstimates(tmp_path, 1))
    assert len(counted) == len(others) + 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "folder", "foreign"])
def test_a_damaged_file_is_measured_again(damage: str, tmp_path: Path, counted: list[int]) -> None:
    whole = measured(KeptEstimates(tmp_path, 1))
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
    assert_same(measured(KeptEstimates(tmp_path, 1)), whole)
    assert len(counted) == 2


def test_large_estimates_are_not_kept_and_unused_files_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptEstimates(tmp_path, 1)
    measured(kept, config=FEW.model_copy(update={"replicates": 19}))
    old = {path.name for path in tmp_path.iterdir()}
    now = KeptEstimates(tmp_path, 1)
    measured(now)
    assert len(list(tmp_path.iterdir())) == 2
    now.drop_others()
    [left] = tmp_path.iterdir()
    assert left.name not in old
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    left.unlink()
    measured(KeptEstimates(tmp_path, 1))
    assert not list(tmp_path.iterdir())
