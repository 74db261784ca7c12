"""Cells that are kept give the tables that were made without them, and are made again if stale."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.prediction_tables import QUICK, Site, attributes_of, binary_table

from medtransfer.evaluation.comparison.cells import measured
from medtransfer.evaluation.comparison.cells.encoding import decoded_cell, encoded_cell
from medtransfer.evaluation.comparison.cells.kept_cells import KeptCells
from medtransfer.evaluation.comparison.cells.kept_runs import KeptRuns
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.choice.rung_pairs import pairs_frame, rung_pairs
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.evaluation.scoring.config import EvaluationConfig

SITES = {"a": Site({"tune": 30, "test": 40}), "b": Site({"test": 40})}
CONFIG = QUICK.model_copy(update={"replicates": 20, "permutations": 5, "margin": 0.05})
FACTS = [RungFacts("few", 2.5e7, 1.3e6, "r50", "few"), RungFacts("many", 4.5e7, 1e7, "r101", "m")]
TABLE = binary_table(SITES)
ABOUT = attributes_of(TABLE)


def run_of(rung: str, fraction: float, seed: int, draw: int = 0) -> LadderRun:
    rng = np.random.default_rng([len(rung), int(100 * fraction), seed, draw])
    name = f"{rung}-{fraction}-{seed}"
    noisy = TABLE.with_columns(
        pl.col("logit_x") + pl.Series(rng.normal(size=len(TABLE))), run_id=pl.lit(name)
    )
    return LadderRun(name, GridKey(rung, fraction), seed, lambda: noisy, content=f"{name}-{draw}")


RUNS = [
    run_of(rung, fraction, seed)
    for rung in ("few", "many")
    for fraction, seed in ((1.0, 0), (1.0, 1), (0.1, 0))
]


def tables_of(
    runs: Sequence[LadderRun], folder: Path | None, config: EvaluationConfig = CONFIG
) -> LadderTables:
    cells = None if folder is None else KeptCells(folder, "1")
    return compare_runs(runs, ABOUT, "binary", config, reference="few", facts=FACTS, cells=cells)


@pytest.fixture(scope="module")
def plain() -> LadderTables:
    """Tables that were made without anything kept."""
    return tables_of(RUNS, None)


@pytest.fixture
def summed_up(monkeypatch: pytest.MonkeyPatch) -> list[GridKey]:
    """Places of the cells that are really summed up, in order."""
    places: list[GridKey] = []

    class Noted(measured.CellInProgress):
        def __init__(self, key: GridKey, scorer: measured.RunScorer) -> None:
            places.append(key)
            super().__init__(key, scorer)

    monkeypatch.setattr(measured, "CellInProgress", Noted)
    return places


def assert_same(one: LadderTables, other: LadderTables) -> None:
    assert_frame_equal(one.results, other.results, check_exact=True)
    assert_frame_equal(one.comparisons, other.comparisons, check_exact=True)
    pairs = [pairs_frame(rung_pairs(tables.means)) for tables in (one, other)]
    assert_frame_equal(*pairs, check_exact=True)
    assert one.curves.keys() == other.curves.keys()
    for kind, curve in other.curves.items():
        assert_frame_equal(one.curves[kind], curve, check_exact=True)


@pytest.mark.slow
def test_tables_of_kept_cells_are_the_same_to_the_last_bit(
    plain: LadderTables, tmp_path: Path, summed_up: list[GridKey]
) -> None:
    assert_same(tables_of(RUNS, tmp_path), plain)
    assert len(summed_up) == 4
    assert_same(tables_of(RUNS, tmp_path), plain)
    assert len(summed_up) == 4


@pytest.mark.slow
def test_a_new_run_sums_up_its_own_cell_alone(tmp_path: Path, summed_up: list[GridKey]) -> None:
    tables_of(RUNS, tmp_path)
    summed_up.clear()
    changed = [*RUNS[:-1], run_of("many", 0.1, 0, draw=1)]
    found = tables_of(changed, tmp_path)
    assert summed_up == [GridKey("many", 0.1)]
    assert_same(found, tables_of(changed, None))


@pytest.mark.slow
def test_other_settings_find_nothing(tmp_path: Path, summed_up: list[GridKey]) -> None:
    tables_of(RUNS[:2], tmp_path)
    other = CONFIG.model_copy(update={"replicates": 21})
    tables_of(RUNS[:2], tmp_path, other)
    compare_runs(
        RUNS[:2],
        ABOUT.with_columns(sex=pl.lit("F")),
        "binary",
        CONFIG,
        reference="few",
        cells=KeptCells(tmp_path, "1"),
    )
    compare_runs(RUNS[:2], ABOUT, "binary", CONFIG, reference="few", cells=KeptCells(tmp_path, "2"))
    assert len(summed_up) == 4


def test_runs_whose_content_is_not_known_are_not_kept(tmp_path: Path) -> None:
    tables_of([replace(run, content=None) for run in RUNS[:2]], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_damaged_files_are_made_again(
    plain: LadderTables, tmp_path: Path, summed_up: list[GridKey]
) -> None:
    tables_of(RUNS, tmp_path)
    summed_up.clear()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert_same(tables_of(RUNS, tmp_path), plain)
    assert len(summed_up) == 4


@pytest.mark.slow
def test_what_is_of_no_use_is_dropped(tmp_path: Path) -> None:
    tables_of(RUNS, tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    cells = KeptCells(tmp_path, "1")
    compare_runs(RUNS[:3], ABOUT, "binary", CONFIG, reference="few", facts=FACTS, cells=cells)
    cells.drop_others()
    assert {path.name for path in tmp_path.iterdir()} < before


def test_a_cell_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    tables_of(RUNS[:2], tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    cell = decoded_cell(content, RUNS[0].key)
    assert cell is not None
    assert encoded_cell(cell) == content
    assert decoded_cell(content[:-8], RUNS[0].key) is None


@pytest.mark.slow
def test_runs_of_a_kept_cell_stay_for_its_next_new_run(tmp_path: Path) -> None:
    def parts_after(runs: Sequence[LadderRun]) -> set[str]:
        kept, cells = KeptRuns(tmp_path, 1), KeptCells(tmp_path / "cells", "1")
        compare_runs(
            runs, ABOUT, "binary", CONFIG, reference="few", facts=FACTS, kept=kept, cells=cells
        )
        kept.drop_others()
        cells.drop_others()
        return {path.name for path in tmp_path.glob("*.safetensors")}

    before = parts_after(RUNS)
    assert len(before) == len(RUNS)
    changed = [*RUNS[:-1], run_of("many", 0.1, 0, draw=1)]
    after = parts_after(changed)
    assert len(after) == len(RUNS)
    assert len(before & after) == len(RUNS) - 1
