"""Rungs for tests: seeds that see the same cases through noise, and numbers made by hand."""

import numpy as np
import polars as pl
from scipy.stats import norm, t
from tests.prediction_tables import (
    QUICK,
    Site,
    attributes_of,
    binary_table,
    no_attributes,
    scored_rows,
)

from medtransfer.data.config import Task
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import Mean, MeanOfSeeds
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimate, ResultKey
from medtransfer.evaluation.scoring.score import measure_run
from medtransfer.metrics.discrimination import auroc
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.bootstrap import draw_replicates
from medtransfer.statistics.small_samples import auroc_interval

SITES = {"a": Site({"tune": 40, "test": 100}, each=2), "b": Site({"test": 60}, separation=0.8)}
TRUTH = binary_table(SITES)
CONFIG = QUICK.model_copy(update={"replicates": 200})


def seeds_of(
    rung: str, noise: float, count: int = 3, truth: pl.DataFrame = TRUTH
) -> list[pl.DataFrame]:
    """The same cases seen by several seeds of a rung, each through noise of its own."""
    tables: list[pl.DataFrame] = []
    for seed in range(count):
        rng = np.random.default_rng([seed, len(rung)])
        seen = pl.col("logit_x") + pl.Series(noise * rng.normal(size=len(truth)))
        tables.append(truth.with_columns(seen, run_id=pl.lit(f"{rung}-{seed}")))
    return tables


def mean_of(
    rung: str,
    tables: list[pl.DataFrame],
    fraction: float = 1.0,
    held_out: str | None = None,
    retrained: float | None = None,
    *,
    groups: bool = False,
    task: Task = "binary",
    config: EvaluationConfig = CONFIG,
) -> Mean:
    """A rung's mean over seeds, without attributes unless they are asked for."""
    about = attributes_of if groups else no_attributes
    mean = MeanOfSeeds(GridKey(rung, fraction, held_out, retrained), config)
    for seed, table in enumerate(tables):
        mean.add(measure_run(table, about(table), task, config), seed)
    return mean.mean()


def by_seed_of(tables: list[pl.DataFrame], cohort: str) -> Floats:
    """AUROC of every seed, in the sample and every replicate, from the metrics room alone."""
    return np.stack([replicates_of([table], cohort) for table in tables])


def widened(interval: tuple[float, float] | None, *by_seed: Floats) -> tuple[float, float]:
    """An interval of patients with the seeds of one rung, or of two that are subtracted.

    By scipy's t distribution, written without the code under test.
    """
    assert interval is not None
    value = float(by_seed[0].mean() - sum(v.mean() for v in by_seed[1:]))
    parts = [v.var(ddof=1) / len(v) for v in by_seed]
    ends: list[float] = []
    for end in interval:
        side = abs(value - end)
        patients = (side / norm.ppf(0.975)) ** 2
        if len(by_seed) == 1:
            width = np.hypot(side, t.ppf(0.975, len(by_seed[0]) - 1) * np.sqrt(parts[0]))
        else:
            spread = patients + sum(parts)
            degrees = spread**2 / sum(
                part**2 / (len(v) - 1) for part, v in zip(parts, by_seed, strict=True)
            )
            width = t.ppf(0.975, degrees) * np.sqrt(spread)
        ends.append(value + np.sign(end - value) * width)
    return ends[0], ends[1]


def of_few(value: float, interval: tuple[float, float] | None, cohort: str) -> tuple[float, float]:
    """A percentile interval as it is widened for the patients of the rarer label of a cohort."""
    assert interval is not None
    rows = scored_rows(TRUTH, cohort)
    m = min(rows.filter(target_x=side)["patient_id"].n_unique() for side in (1, 0))
    assert m < 50
    factor = t.ppf(0.975, m - 1) / norm.ppf(0.975) * (m / (m - 1)) ** 0.5
    low, high = interval
    return value - factor * (value - low), value + factor * (high - value)


def score_interval(replicates: Floats, cohort: str) -> tuple[float, float]:
    """The interval of an AUROC of few patients of a cohort, from its replicates. [1 + R]"""
    rows = scored_rows(TRUTH, cohort)
    sides = [rows.filter(target_x=side)["patient_id"].n_unique() for side in (1, 0)]
    assert min(sides) < 50
    variance = float(replicates[1:].var()) * min(sides) / (min(sides) - 1)
    return auroc_interval(float(replicates[0]), sides[0], sides[1], variance)


def replicates_of(tables: list[pl.DataFrame], cohort: str) -> Floats:
    """Mean AUROC over seeds, in the sample and every replicate, from the metrics room alone."""
    values: list[Floats] = []
    for table in tables:
        rows = scored_rows(table, cohort).drop_nulls("target_x").sort("case_id")
        drawn = draw_replicates(rows["patient_id"].to_list(), CONFIG.replicates, 0, cohort)
        truth, logits = rows["target_x"].to_numpy().astype(np.int64), rows["logit_x"].to_numpy()
        values.append(drawn.values(auroc(truth, logits), np.ones(len(rows), dtype=bool)))
    return np.mean(values, axis=0)


def made(
    rung: str,
    values: dict[str, Floats],
    fraction: float = 1.0,
    held_out: str | None = None,
    retrained: float | None = None,
    metric: str = "auroc",
) -> Mean:
    """A rung with numbers made by hand.

    Args:
        rung: Its name.
        values: By cohort, the internal one first. Each [S, 1 + R]
        fraction: Of the labels.
        held_out: Cohort left out of training.
        retrained: Share of a shifted cohort that it was trained on again.
        metric: Whose values they are.
    """
    by_seed = {key_of(cohort, metric): np.atleast_2d(v) for cohort, v in values.items()}
    estimates = {key: Estimate(v.mean(axis=0), 50, 40) for key, v in by_seed.items()}
    key = GridKey(rung, fraction, held_out, retrained)
    seeds = tuple(range(len(next(iter(by_seed.values())))))
    return Mean(key, estimates, by_seed, next(iter(values)), seeds)


def key_of(
    cohort: str, metric: str = "auroc", attribute: str = "all", group: str = "all"
) -> ResultKey:
    """Key of the numbers of target x."""
    return ResultKey(cohort, attribute, group, "x", metric)
