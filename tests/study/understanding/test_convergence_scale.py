"""Slopes of log10 of the steps on scale, against statsmodels and a simulation of seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest
from statsmodels.api import OLS, add_constant

from medtransfer.analysis.interval import Interval
from medtransfer.analysis.table import AskedRun, UnderstandingRow, understanding_frame
from medtransfer.evaluation.comparison.scaling import RungFacts
from medtransfer.report.beside.convergence_scale import convergence_scale
from medtransfer.study.understanding.convergence_scale import ONE_SEED, convergence_scale_rows

FACTS = [
    RungFacts(f"{data}/{network}", weights, images, network, data)
    for data, images in (("1k", 1.3e6), ("21k", 14.2e6), ("jft", 3e8))
    for network, weights in (("r50", 2.4e7), ("r101", 4.3e7), ("r152", 2.3e8))
]
SCRATCH = RungFacts("scratch/r50", 2.4e7, 0.0, "r50", "none")


def table(steps: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    rows = [
        AskedRun(rung, f"{rung}-{seed}", seed).row(
            "convergence",
            (0, "network"),
            "after",
            "steps_to_95",
            Interval.without_interval(value, "one network"),
            cases=0,
        )
        for rung, values in steps.items()
        for seed, value in enumerate(values)
    ]
    return understanding_frame(rows)


def drawn(seed: int, seeds: int = 3) -> dict[str, list[float]]:
    """Steps that fall by a tenth of a decade for ten times the images, with noise of the seeds."""
    draw = np.random.default_rng(seed)
    means = [3 - 0.1 * np.log10(fact.images) for fact in FACTS]
    return {
        fact.rung: [10 ** (mean + draw.normal(0, 0.05)) for _ in range(seeds)]
        for fact, mean in zip(FACTS, means, strict=True)
    }


def by_term(rows: list[UnderstandingRow]) -> dict[str, UnderstandingRow]:
    return {row.metric.rpartition("_")[2]: row for row in rows}


def test_the_slopes_are_those_of_least_squares_and_scratch_is_left_out() -> None:
    steps = drawn(1)
    rows = by_term(convergence_scale_rows(table(steps | {"scratch/r50": [9.0]}), [*FACTS, SCRATCH]))
    n, d = (np.log10([getattr(fact, name) for fact in FACTS]) for name in ("parameters", "images"))
    n, d = n - n.mean(), d - d.mean()
    means = [np.log10(values).mean() for values in steps.values()]
    expected = OLS(means, add_constant(np.stack([n, d, n * d - (n * d).mean()], axis=1))).fit()
    values = [rows[term].value for term in ("network", "data", "interaction")]
    assert values == pytest.approx(expected.params[1:])
    assert all(row.rung == "all" and row.run_id is None for row in rows.values())


def test_the_interval_over_seeds_covers_the_slope() -> None:
    covered = 0
    for seed in range(100):
        row = by_term(convergence_scale_rows(table(drawn(seed)), FACTS))["data"]
        assert row.low is not None
        assert row.high is not None
        covered += row.low <= -0.1 <= row.high
    assert covered >= 88


def test_one_seed_has_slopes_without_intervals_and_one_rung_has_none() -> None:
    rows = convergence_scale_rows(table(drawn(1, seeds=1)), FACTS)
    assert {row.reason for row in rows} == {ONE_SEED}
    assert all(row.value is not None and row.low is None for row in rows)
    first = {FACTS[0].rung: drawn(1)[FACTS[0].rung]}
    assert convergence_scale_rows(table(first), FACTS) == []
    assert convergence_scale_rows(table({}), FACTS) == []


def test_two_rungs_of_one_network_give_the_effect_of_data_alone() -> None:
    steps = {"1k/r50": [100.0, 110.0], "21k/r50": [50.0, 55.0]}
    rows = by_term(convergence_scale_rows(table(steps), FACTS))
    assert rows["data"].value == pytest.approx(-np.log10(2) / np.log10(14.2 / 1.3))
    assert rows["network"].value is None
    assert rows["network"].reason == "no pre-training set has networks of two sizes"


def test_the_report_gives_factors() -> None:
    rows = [vars(row) for row in convergence_scale_rows(table(drawn(1)), FACTS)]
    (part,) = convergence_scale(rows)
    cell = part.rows[1][1]  # type: ignore[attr-defined] — a table
    assert cell.startswith("0.")
    assert "[" in cell
    assert convergence_scale([]) == []


def test_a_rung_with_one_seed_leaves_the_slopes_without_intervals() -> None:
    steps = drawn(1)
    last = FACTS[-1].rung
    rows = convergence_scale_rows(table(steps | {last: steps[last][:1]}), FACTS)
    assert {(row.low, row.reason) for row in rows} == {(None, ONE_SEED)}


def test_runs_that_never_came_above_chance_are_counted() -> None:
    rows = table(drawn(1))
    first = pl.col("run_id") == rows["run_id"][0]
    rows = rows.with_columns(value=pl.when(~first).then("value"))
    (reason,) = {row.reason for row in convergence_scale_rows(rows, FACTS)}
    assert reason == "1 of 27 runs never came above chance and are left out"
