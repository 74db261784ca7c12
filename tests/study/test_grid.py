"""From a study to its runs: every cell once, in an order that compares rungs early."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import TableError
from medtransfer.study.config import Study
from medtransfer.study.grid import Cell, expand

COHORTS = pl.DataFrame({"cohort": ["north", "south", "east", "south"]})


def study(**changes: object) -> Study:
    return Study.model_validate(
        {
            "name": "chest",
            "data": {"manifest": Path("chest.csv"), "task": "binary", "targets": ["Edema"]},
            "rungs": ["scratch/r14x1", "imagenet/effnet-lite0"],
            **changes,
        }
    )


def places(cells: list[Cell]) -> list[tuple[str, float, int]]:
    return [(cell.rung.split("/")[0], cell.label_fraction, cell.seed) for cell in cells]


def test_all_rungs_of_the_first_seed_come_first_and_large_fractions_before_small() -> None:
    cells = expand(study(label_fractions=[0.1, 1.0], seeds=[3, 1]), COHORTS)
    assert places(cells) == [
        ("scratch", 1.0, 3),
        ("imagenet", 1.0, 3),
        ("scratch", 0.1, 3),
        ("imagenet", 0.1, 3),
        ("scratch", 1.0, 1),
        ("imagenet", 1.0, 1),
        ("scratch", 0.1, 1),
        ("imagenet", 0.1, 1),
    ]


def test_a_cell_says_the_same_as_its_run() -> None:
    for cell in expand(study(label_fractions=[0.3, 1.0], seeds=[0, 5]), COHORTS):
        assert cell.run.model.rung == cell.rung
        assert cell.run.data.split.train_fraction == cell.label_fraction
        assert cell.run.seed == cell.seed
        assert cell.held_out is None


def test_a_rungs_own_settings_stand_on_the_studys() -> None:
    own = {"rung": "scratch/r14x1", "pool": "max", "training": {"steps": 900}}
    cells = expand(
        study(rungs=[own, "imagenet/effnet-lite0"], training={"steps": 50, "batch_size": 32}),
        COHORTS,
    )
    first, second = cells[:2]
    assert (first.run.training.steps, first.run.training.batch_size) == (900, 32)
    assert (second.run.training.steps, second.run.training.batch_size) == (50, 32)
    assert (first.run.model.pool, second.run.model.pool) == ("max", "mean")


def test_each_cohort_is_left_out_once() -> None:
    cells = expand(study(leave_cohort_out=True, seeds=[0]), COHORTS)
    found = {(cell.held_out, cell.run.data.split.train_cohorts) for cell in cells}
    assert found == {
        ("east", ("north", "south")),
        ("north", ("east", "south")),
        ("south", ("east", "north")),
    }
    assert len(cells) == 3 * 2


def test_one_cohort_cannot_be_left_out() -> None:
    with pytest.raises(TableError, match="needs at least two cohorts; the manifest has one"):
        expand(study(leave_cohort_out=True), pl.DataFrame({"cohort": ["north"]}))
