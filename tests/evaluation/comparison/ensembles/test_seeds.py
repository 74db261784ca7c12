"""Seeds together are one more rung without a seed, and leave what is said of the rungs alone."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from tests.prediction_tables import Site, binary_table, no_attributes

from medtransfer.evaluation.comparison.cells.rung_runs import LadderRun
from medtransfer.evaluation.comparison.ensembles.seeds import seed_ensembles
from medtransfer.evaluation.comparison.grid_key import GridKey, ensemble_name, ensemble_parts
from medtransfer.evaluation.comparison.ladder import LadderTables, compare_runs
from medtransfer.evaluation.scoring.config import EvaluationConfig

SITES = {"a": Site({"tune": 60, "test": 120})}
CONFIG = EvaluationConfig(replicates=50, permutations=0)


def runs(counts: dict[str, int]) -> list[LadderRun]:
    """Runs whose networks err apart from each other: together they are better."""
    made: list[LadderRun] = []
    for number, (rung, count) in enumerate(counts.items()):
        for seed in range(count):
            run_id = f"{rung}-{seed}"
            table = binary_table(SITES, seed=1, run_id=run_id)
            noise = np.random.default_rng([number, seed]).normal(size=len(table))
            table = table.with_columns(logit_x=pl.col("logit_x") + 2 * noise)
            made.append(LadderRun(run_id, GridKey(rung), seed, lambda table=table: table))
    return made


def compared(of_runs: list[LadderRun], ensembles: list[LadderRun]) -> LadderTables:
    attributes = no_attributes(of_runs[0].predictions())
    return compare_runs(of_runs, attributes, "binary", CONFIG, reference="m", ensembles=ensembles)


def test_each_rung_with_all_of_its_seeds_has_an_ensemble() -> None:
    of_runs = runs({"m": 3, "n": 2})
    (ensemble,) = seed_ensembles(of_runs, 3)
    assert ensemble.key.rung == "m (ensemble of 3 seeds)"
    assert ensemble.seed is None
    table = ensemble.predictions()
    assert sorted(table["member"].unique().to_list()) == [0, 1, 2]
    assert table["run_id"].unique().to_list() == [ensemble.run_id]
    assert seed_ensembles(of_runs[::-1], 3)[0].run_id == ensemble.run_id
    assert seed_ensembles(runs({"m": 1}), 1) == []
    assert ensemble_parts(ensemble_name("bit/m-r50x1", 3)) == ("bit/m-r50x1", 3)
    assert ensemble_parts("bit/m-r50x1") == ("bit/m-r50x1", 1)


@pytest.fixture(scope="module")
def tables() -> tuple[LadderTables, LadderTables]:
    """With ensembles, and without."""
    of_runs = runs({"m": 3, "n": 3})
    return compared(of_runs, seed_ensembles(of_runs, 3)), compared(of_runs, [])


@pytest.mark.slow
def test_what_is_said_of_the_rungs_does_not_change(
    tables: tuple[LadderTables, LadderTables],
) -> None:
    together, alone = tables
    of_ensemble = pl.col("rung").str.contains("ensemble")
    assert together.results.filter(~of_ensemble).equals(alone.results)
    assert together.comparisons.filter(~of_ensemble).equals(alone.comparisons)
    assert [mean.key for mean in together.means] == [mean.key for mean in alone.means]


def test_an_ensemble_is_scored_by_its_mean_probability_and_compared_with_its_rung(
    tables: tuple[LadderTables, LadderTables],
) -> None:
    together, _ = tables
    rows = together.comparisons.filter(pl.col("rung").str.contains("ensemble"))
    assert set(rows.select("rung", "reference").unique().rows()) == {
        ("m (ensemble of 3 seeds)", "m"),
        ("n (ensemble of 3 seeds)", "n"),
    }
    gain = rows.filter(metric="auroc", cohort="a")
    assert (gain["difference"] > 0.02).all()
    of_runs = [run.predictions().sort("case_id") for run in runs({"m": 3})]
    probability = np.mean([1 / (1 + np.exp(-t["logit_x"].to_numpy())) for t in of_runs], axis=0)
    truth = of_runs[0]["target_x"].to_numpy()
    test = (of_runs[0]["split"] == "test").to_numpy()
    row = together.results.filter(
        pl.col("rung") == "m (ensemble of 3 seeds)",
        pl.col("metric") == "brier",
        pl.col("run_id").is_not_null(),
        pl.col("attribute") == "all",
    )
    assert_allclose(row["value"][0], np.mean((probability - truth)[test] ** 2), rtol=1e-9)
    assert row["seed"].to_list() == [None]
