"""Report data written by hand, number by number."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.report.content import ReportData, RungInfo, SplitCounts
from medtransfer.tables.results import (
    RESULTS_CONTRACT,
    Result,
    RungComparison,
    comparisons_frame,
    results_frame,
)

REFERENCE, OTHER = "scratch/effnet-lite0", "imagenet/effnet-lite0"


def result(metric: str, value: float | None, low: float, high: float, **more: Any) -> Result:
    """A number on north, with its interval if it has a value."""
    ends = (None, None) if value is None else (low, high)
    fields = {"run_id": None, "cohort": "north", **more}
    return Result(
        split="test",
        target="y",
        metric=metric,
        value=value,
        low=ends[0],
        high=ends[1],
        num_cases=90,
        num_patients=80,
        **fields,
    )


def placed(
    rows: list[Result], rung: str, fraction: float = 1.0, seed: int | None = None
) -> pl.DataFrame:
    """Rows of a rung."""
    frame = results_frame(rows).with_columns(
        rung=pl.lit(rung),
        label_fraction=pl.lit(fraction),
        seed=pl.lit(seed, pl.Int64),
        retrain_fraction=pl.lit(None, pl.Float64),
        held_out=pl.lit(None, pl.String),
    )
    return frame.select(column.name for column in RESULTS_CONTRACT.columns)


def gap_rows(
    attribute: str, metric: str, gap: float, p: float, lowest: float = 0.7
) -> list[pl.DataFrame]:
    """A gap on north between the groups F and M of an attribute."""
    gaps = [
        Result(
            "r1",
            "test",
            attribute=attribute,
            cohort="north",
            target="y",
            metric=name,
            value=value,
            low=low,
            high=high,
        )
        for name, value, low, high in (
            (f"{metric}_gap", gap, max(0.0, gap - 0.05), gap + 0.05),
            (f"{metric}_gap_p", p, None, None),
        )
    ]
    groups = [
        result(metric, value, value - 0.1, value + 0.1, attribute=attribute, group=group)
        for group, value in (("F", lowest), ("M", lowest + gap))
    ]
    return [placed(gaps, OTHER, seed=0), placed(groups, OTHER)]


def report_data(
    rows: Mapping[str, list[Result]],
    difference: tuple[float, float, float, float] = (0.1, 0.05, 0.15, 0.001),
    *,
    fractions: tuple[float, ...] = (1.0,),
    gaps: list[pl.DataFrame] | None = None,
    margin: tuple[float, str, str] | None = None,
    splits: tuple[tuple[str, str], ...] = (("north", "tune"), ("north", "test")),
) -> ReportData:
    """Two rungs with the same difference on both cohorts.

    Args:
        rows: Numbers of each rung, at every label fraction.
        difference: Of the other from the reference: value, interval, p after correction.
        fractions: Label fractions.
        gaps: From `gap_rows`.
        margin: With the verdicts "no worse" and "equal".
        splits: Cohort and split of the cases.
    """
    frames = [placed(results, rung, f) for rung, results in rows.items() for f in fractions]
    value, low, high, p = difference
    held: dict[str, Any] = {}
    if margin is not None:
        held = {
            "margin": margin[0],
            "no_worse": margin[1],
            "p_no_worse": 0.02,
            "equal": margin[2],
            "p_equal": 0.03,
            "detectable_margin": 0.056,
        }
    compared = [
        RungComparison(
            OTHER,
            REFERENCE,
            1.0,
            None,
            None,
            cohort,
            "y",
            "auroc",
            value,
            low,
            high,
            p,
            p,
            p,
            detectable=0.057,
            num_cases=90,
            num_patients=80,
            **held,
        )
        for cohort in ("north", "south")
    ]
    return ReportData(
        "s",
        "evaluation",
        "binary",
        ("y",),
        EvaluationConfig(margin=None if margin is None else margin[0]),
        REFERENCE,
        tuple(RungInfo(rung) for rung in rows),
        pl.concat([*frames, *(gaps or [])]),
        comparisons_frame(compared),
        counts=tuple(SplitCounts(cohort, split, 90, 80, {"y": 30}) for cohort, split in splits),
    )


def areas(reference: float = 0.7, other: float = 0.8) -> dict[str, list[Result]]:
    """AUROC of both rungs on north."""
    return {
        REFERENCE: [result("auroc", reference, reference - 0.1, reference + 0.1)],
        OTHER: [result("auroc", other, other - 0.1, other + 0.1)],
    }
