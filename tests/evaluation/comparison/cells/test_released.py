"""Replicates that are released after a cell: no number moves, and little memory stays."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.prediction_tables import QUICK, Site, attributes_of, binary_table

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.cells import measured
from medtransfer.evaluation.comparison.cells.released import released
from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.choice.rung_pairs import pairs_frame, rung_pairs
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.evaluation.comparison.seed_means import Mean

SITES = {"a": Site({"tune": 30, "test": 40}), "b": Site({"test": 30})}
CONFIG = QUICK.model_copy(update={"replicates": 50, "permutations": 5, "margin": 0.05})
FACTS = [
    RungFacts("scratch", 2.5e7, 0.0, "r50", "none"),
    RungFacts("few", 2.5e7, 1.3e6, "r50", "few"),
    RungFacts("many", 4.5e7, 1.4e7, "r101", "many"),
]


def two_targets() -> pl.DataFrame:
    """A table of two targets, of which the second has too few positives at the other hospital."""
    table = binary_table(SITES)
    rng = np.random.default_rng(5)
    truth = (rng.random(len(table)) < 0.4).astype(np.int64)
    elsewhere = np.flatnonzero((table["cohort"] == "b").to_numpy())
    truth[elsewhere] = 0
    truth[elsewhere[:2]] = 1
    return table.with_columns(
        target_y=pl.Series(truth).cast(table["target_x"].dtype),
        logit_y=pl.Series(truth - 0.5 + rng.normal(size=len(table))),
    )


def ladder_of(table: pl.DataFrame, rungs: list[str], trainings: list[GridKey]) -> list[LadderRun]:
    """Two seeds of each rung and training set, with noise of their own."""
    runs: list[LadderRun] = []
    for number, rung in enumerate(rungs):
        for seed in (0, 1):
            for training in trainings:
                key = GridKey(rung, *training.training)
                name = f"{key}-{seed}"
                rng = np.random.default_rng([number, seed, int(100 * key.label_fraction)])
                logits = [column for column in table.columns if column.startswith("logit_")]
                noisy = table.with_columns(
                    *(pl.col(c) + pl.Series(rng.normal(size=len(table))) for c in logits),
                    run_id=pl.lit(name),
                )
                runs.append(LadderRun(name, key, seed, lambda noisy=noisy: noisy))
    return runs


def compared(runs: list[LadderRun], task: Task) -> LadderTables:
    about = attributes_of(runs[0].predictions())
    rungs = runs[0].key.rung
    return compare_runs(runs, about, task, CONFIG, reference=rungs, facts=FACTS)


def unreleased(mean: Mean, **_: Any) -> Mean:
    return mean


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "trainings"),
    [
        ("binary", [GridKey("", 1.0), GridKey("", 0.1)]),
        (
            "binary",
            [GridKey("", 1.0, "b", 0.0), GridKey("", 1.0, "b", 0.5), GridKey("", 0.1, "b", 0.5)],
        ),
        ("multi-label", [GridKey("", 1.0), GridKey("", 0.1)]),
    ],
)
def test_the_tables_are_those_of_all_replicates(
    task: Task, trainings: list[GridKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = binary_table(SITES) if task == "binary" else two_targets()
    runs = ladder_of(table, ["scratch", "few", "many"], trainings)
    found = compared(runs, task)
    if task == "multi-label":
        assert any(mean.shared and mean.comparable for mean in found.means)
    monkeypatch.setattr(measured, "released", unreleased)
    whole = compared(runs, task)
    assert_frame_equal(found.results, whole.results, check_exact=True)
    assert_frame_equal(found.comparisons, whole.comparisons, check_exact=True)
    pairs = [pairs_frame(rung_pairs(tables.means)) for tables in (found, whole)]
    assert_frame_equal(*pairs, check_exact=True)
    for kind, curve in whole.curves.items():
        assert_frame_equal(found.curves[kind], curve, check_exact=True)


def test_a_run_keeps_the_replicates_of_few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[Mean] = []

    def noted(mean: Mean, *, is_largest: bool) -> Mean:
        whole.append(mean)
        return released(mean, is_largest=is_largest)

    monkeypatch.setattr(measured, "released", noted)
    runs = ladder_of(binary_table(SITES), ["scratch"], [GridKey("", 1.0), GridKey("", 0.1)])
    full, tenth = (
        num_bytes(found) / num_bytes(before)
        for found, before in zip(compared(runs, "binary").means, whole, strict=True)
    )
    assert tenth < 1 / 10
    assert full < 1 / 3


def num_bytes(mean: Mean) -> int:
    """Bytes of the values of each seed."""
    return sum(values.nbytes for values in mean.by_seed.values())
