"""Two runs beside each other: equal to the bit, or where and by how much not."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.runs.folders import RunFolder
from medtransfer.study.record.comparison import (
    compare_histories,
    compare_predictions,
    compare_weights,
)

TABLE = pl.DataFrame(
    {
        "member": [0, 0, 0],
        "case_id": ["a", "b", "c"],
        "cohort": ["north", "north", "south"],
        "split": ["tune", "test", "test"],
        "target_x": [1.0, 0.0, None],
        "logit_x": [0.5, -1.25, 3.0],
        "ood_y": [0.1, None, 0.3],
    }
)


def test_equal_predictions_are_equal_whatever_the_order_and_the_labels() -> None:
    other = TABLE.reverse().with_columns(target_x=pl.lit(0.0))
    part, largest = compare_predictions(TABLE, other)
    assert part.is_equal
    assert part.then == part.now
    assert largest is None


def test_the_largest_difference_says_where_it_is() -> None:
    bit = np.nextafter(0.5, 1)
    other = TABLE.with_columns(logit_x=pl.Series([bit, -1.25, 3.5]))
    part, largest = compare_predictions(TABLE, other)
    assert part.is_equal is False
    assert part.then != part.now
    assert largest is not None
    assert (largest.value, largest.column, largest.cohort) == (0.5, "logit_x", "south")
    assert largest.cases == 2
    assert part.detail == "2 of 3 cases differ, at most by 0.5 (logit_x, test of south)"
    one_bit = compare_predictions(TABLE, TABLE.with_columns(logit_x=pl.Series([bit, -1.25, 3.0])))
    assert one_bit[1] is not None
    assert one_bit[1].value == bit - 0.5


def test_other_cases_or_columns_are_not_equal() -> None:
    part, _ = compare_predictions(TABLE, TABLE.head(2))
    assert (part.is_equal, part.detail) == (False, "1 case missing, 0 more")
    part, _ = compare_predictions(TABLE, TABLE.drop("ood_y"))
    assert part.detail.endswith("columns missing: ood_y")


def test_a_score_that_became_undefined_is_infinitely_far() -> None:
    _, largest = compare_predictions(
        TABLE, TABLE.with_columns(ood_y=pl.Series([0.1, None, None], dtype=pl.Float64))
    )
    assert largest is not None
    assert largest.value == float("inf")


def run_with(path: Path, weights: bytes | None, steps: list[float]) -> RunFolder:
    run = RunFolder(path)
    run.write_history([{"step": n, "tune_loss": loss} for n, loss in enumerate(steps)])
    if weights is not None:
        folder = run.checkpoint / "selected-00000004"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(weights)
    return run


def test_weights_are_compared_where_both_have_them(tmp_path: Path) -> None:
    runs = [
        run_with(tmp_path / name, content, [0.5])
        for name, content in (("a", b"w"), ("b", b"w"), ("c", b"v"), ("d", None))
    ]
    assert compare_weights(runs[0], runs[1]).is_equal is True
    assert compare_weights(runs[0], runs[2]).is_equal is False
    assert compare_weights(runs[3], runs[0]).is_equal is None


def test_the_first_validation_that_differs_is_named(tmp_path: Path) -> None:
    first = run_with(tmp_path / "a", None, [0.5, 0.4, 0.3])
    other = run_with(tmp_path / "b", None, [0.5, 0.4, 0.2])
    assert compare_histories(first, first).is_equal
    assert compare_histories(first, other).detail == "they differ from step 2 on"
    shorter = run_with(tmp_path / "c", None, [0.5])
    assert compare_histories(first, shorter).detail == "their number differs"
    assert json.loads((shorter.path / "history.jsonl").read_text())["step"] == 0
