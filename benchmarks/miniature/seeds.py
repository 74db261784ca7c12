"""Widen the intervals of the miniature's AUROCs and effects of scale by what its seeds add.

python benchmarks/miniature/seeds.py [benchmarks/miniature/results.parquet]

The studies were scored when intervals held patients alone. The table of results still has, for each
rung, the SD of a single run between seeds (`auroc_sd_seeds`, 0 where the runs differ no more than
their patients explain). An effect is a weighted sum of the rungs' means over three seeds, so its
variance is that of its patients plus the weights' squares times the variance between seeds by the
number of seeds. The variance between seeds is pooled over the rungs, and Student's quantile has
Satterthwaite's degrees of freedom. This is not a run again: seeds of label fractions, of other
metrics and of pre-training are in none of it.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import norm, t

from medtransfer.recipes.miniature import SCALES, WIDTHS
from medtransfer.statistics.scaling import scale_effects

SEEDS = 3
PARAMETERS = {"r26x0.25": 0.9e6, "r26x0.5": 3.5e6}
IMAGES = {"1k": 999, "10k": 9_998, "100k": 99_980}
FRACTIONS = (0.03, 0.1, 0.3, 1.0)
HEADLINES = ("malignant", "abnormal", "macro")
RESULTS = Path(__file__).parent / "results.parquet"


def effect_weights() -> dict[str, np.ndarray]:
    """Weights of the six rungs' means in each effect: the effects of one rung alone. Each [6]"""
    grid = [(width, scale) for width in WIDTHS for scale in SCALES]
    effects = scale_effects(
        np.eye(len(grid)),
        np.array([PARAMETERS[width] for width, _ in grid]),
        np.array([IMAGES[scale] for _, scale in grid], dtype=np.float64),
        [width for width, _ in grid],
        [scale for _, scale in grid],
    )
    return {name: effect.slopes for name, effect in effects.items()}


def widened(row: dict, between: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Ends of a 95 % interval of patients and seeds.

    Args:
        row: Of the table of results, its interval of patients.
        between: SD between seeds of every rung it is pooled over. [K]
        weights: Of the rungs' means in the number.
    """
    of_patients = ((row["high"] - row["low"]) / (2 * norm.ppf(0.975))) ** 2
    of_seeds = float((weights**2).sum() * (between**2).mean() / SEEDS)
    freedom = len(between) * (SEEDS - 1)
    total = of_patients + of_seeds
    quantile = t.ppf(0.975, freedom * (total / of_seeds) ** 2) if of_seeds > 0 else norm.ppf(0.975)
    half = quantile * total**0.5
    return row["value"] - half, row["value"] + half


def pooled_sds(results: pl.DataFrame, row: dict) -> np.ndarray:
    """SDs between seeds of all rungs of a study, on the cohort, target and labels of a row."""
    same = [pl.col(name) == row[name] for name in ("study", "cohort", "target", "label_fraction")]
    of_rungs = results.filter(pl.col("metric") == "auroc_sd_seeds", *same)
    return of_rungs["value"].to_numpy()


def print_aurocs(results: pl.DataFrame) -> None:
    """Print the AUROC of every rung by task, cohort and share of the labels."""
    rows = results.filter(
        pl.col("metric") == "auroc", pl.col("rung") != "all", pl.col("target") != "micro"
    )
    tested = rows.with_columns(task=pl.col("study").str.replace("-imagenet", ""))
    tested = tested.filter(pl.col("target").is_in(HEADLINES))
    for (task, cohort), of_cohort in tested.group_by("task", "cohort", maintain_order=True):
        print(f"\n{task}, {cohort}:\n")
        print("| rung | " + " | ".join(map(str, FRACTIONS)) + " |")
        print("| --- " * (len(FRACTIONS) + 1) + "|")
        for (rung,), of_rung in of_cohort.sort("rung").group_by("rung", maintain_order=True):
            cells: list[str] = []
            for row in of_rung.sort("label_fraction").iter_rows(named=True):
                low, high = widened(row, pooled_sds(results, row), np.ones(1))
                cells.append(f"{row['value']:.3f} [{max(low, 0):.3f}, {min(high, 1):.3f}]")
            print(f"| {rung} | " + " | ".join(cells) + " |")


def print_effects(results: pl.DataFrame) -> None:
    """Print the effects of scale on AUROC with all labels, with either interval."""
    effects = results.filter(
        pl.col("metric").str.starts_with("auroc_scale_"),
        pl.col("label_fraction") == 1.0,
        pl.col("target") != "micro",
    )
    print("| task | cohort | effect | patients alone | patients and seeds |")
    print("| --- | --- | --- | --- | --- |")
    changed, weights = 0, effect_weights()
    pre_trained = results.filter(pl.col("rung").str.contains("tiny-"))
    for row in effects.iter_rows(named=True):
        name = row["metric"].removeprefix("auroc_scale_")
        low, high = widened(row, pooled_sds(pre_trained, row), weights[name])
        changed += (low > 0 or high < 0) != (row["low"] > 0 or row["high"] < 0)
        print(
            f"| {row['study']} | {row['cohort']} | {name} | {row['value']:.3f} "
            f"[{row['low']:.3f}, {row['high']:.3f}] | [{low:.3f}, {high:.3f}] |"
        )
    print(f"\nEffects that exclude 0 with one of the two intervals only: {changed}.")


def main() -> None:
    results = pl.read_parquet(sys.argv[1] if len(sys.argv) > 1 else RESULTS)
    whole = results.filter(pl.col("attribute") == "all")
    print_effects(whole)
    print_aurocs(whole)


if __name__ == "__main__":
    main()
