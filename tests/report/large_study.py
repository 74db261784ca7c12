"""Report data of a large study: a grid of rungs, targets, hospitals and attributes, by rule."""

from itertools import product

import numpy as np
import polars as pl

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.catalog import CATALOG, result_names
from medtransfer.models.ladder import LADDER
from medtransfer.report.content import ReportData, RungInfo, SplitCounts
from medtransfer.tables.results import (
    ALL,
    COMPARISONS_CONTRACT,
    MACRO,
    RESULTS_CONTRACT,
)
from medtransfer.tables.schema import typed

COMPARED = ("auroc", "sensitivity@sens90", "specificity@sens90", "ece", "balanced_accuracy")
GROUPS = ("one", "two", "three")
CONFIG = EvaluationConfig(operating_points=("sens90",))


def large_data(
    rungs: int = 40, targets: int = 30, cohorts: int = 5, attributes: int = 6
) -> ReportData:
    """Tables as a study of that size writes them, its numbers drawn at random."""
    names = [*LADDER, *(f"timm/model-{n}" for n in range(rungs))][:rungs]
    findings = [f"finding-{n}" for n in range(targets)]
    places = [f"hospital-{n}" for n in range(cohorts)]
    metrics = [
        name
        for metric in CATALOG.values()
        for name, _ in result_names(metric, CONFIG.operating_points, CONFIG.risks)
    ]
    overall = _grid(
        rung=names, cohort=places, target=[*findings, MACRO], metric=metrics
    ).with_columns(attribute=pl.lit(ALL), group=pl.lit(ALL))
    grouped = _grid(
        rung=names,
        cohort=places,
        target=[*findings, MACRO],
        attribute=[f"attribute-{n}" for n in range(attributes)],
        group=GROUPS,
        metric=COMPARED,
    )
    gaps = _grid(
        rung=names,
        cohort=places,
        target=[*findings, MACRO],
        attribute=[f"attribute-{n}" for n in range(attributes)],
        metric=[f"{m}{end}" for m in COMPARED for end in ("_gap", "_gap_p", "_ratio")],
    ).with_columns(group=pl.lit(ALL))
    drops = _grid(
        rung=names, cohort=places[1:], target=[MACRO], metric=[f"{m}_drop" for m in metrics]
    ).with_columns(attribute=pl.lit(ALL), group=pl.lit(ALL))
    columns = ("rung", "cohort", "target", "attribute", "group", "metric")
    keys = pl.concat([part.select(columns) for part in (overall, grouped, gaps, drops)])
    runs = keys.filter(pl.col("attribute") == ALL).with_columns(run_id=pl.col("rung"), seed=0)
    return ReportData(
        name="large",
        kind="evaluation",
        task="multi-label",
        targets=tuple(findings),
        evaluation=CONFIG,
        reference=names[0],
        rung_infos=tuple(RungInfo(name) for name in names),
        results=_numbers(pl.concat([keys, runs], how="diagonal")),
        comparisons=_comparisons(names, places, [*findings, MACRO]),
        counts=tuple(
            SplitCounts(place, split, 900, 800, dict.fromkeys(findings, 200))
            for place, split in [(places[0], "tune"), *((place, "test") for place in places)]
        ),
    )


def _grid(**columns: list[str] | tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(product(*columns.values())), schema=list(columns), orient="row")


def _numbers(keys: pl.DataFrame) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    value = rng.uniform(0.6, 0.9, len(keys))
    undefined = (keys["metric"].hash(1) % 7 == 0).to_numpy()
    frame = keys.with_columns(
        split=pl.lit("test"),
        value=pl.Series(np.where(undefined, np.nan, value)).fill_nan(None),
        num_cases=900,
        num_patients=800,
        num_positive=200,
        label_fraction=1.0,
        reason=pl.when(pl.Series(undefined)).then(pl.lit("no case of two classes")),
    ).with_columns(low=pl.col("value") - 0.05, high=pl.col("value") + 0.05)
    missing = [c.name for c in RESULTS_CONTRACT.columns if c.name not in frame.columns]
    return typed(frame.with_columns(pl.lit(None).alias(name) for name in missing), RESULTS_CONTRACT)


def _comparisons(rungs: list[str], places: list[str], targets: list[str]) -> pl.DataFrame:
    frame = _grid(rung=rungs[1:], cohort=places, target=targets, metric=COMPARED[:3])
    rng = np.random.default_rng(1)
    frame = frame.with_columns(
        reference=pl.lit(rungs[0]),
        label_fraction=1.0,
        difference=pl.Series(rng.uniform(-0.05, 0.1, len(frame))),
        p=0.2,
        p_holm=0.4,
        num_cases=900,
        num_patients=800,
        detectable=0.05,
    ).with_columns(low=pl.col("difference") - 0.05, high=pl.col("difference") + 0.05)
    missing = [c.name for c in COMPARISONS_CONTRACT.columns if c.name not in frame.columns]
    return typed(
        frame.with_columns(pl.lit(None).alias(name) for name in missing), COMPARISONS_CONTRACT
    )
