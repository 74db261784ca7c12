"""Hints at faults of a predictions table that its numbers betray."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.report.text import fixed
from medtransfer.tables.results import ALL, MACRO, MICRO

CHANCE = 0.5
MAX_HINTS = 5


def reversed_scores(results: pl.DataFrame) -> list[str]:
    """Sentences on runs that rank worse than chance, as scores do that mean the opposite.

    Args:
        results: The results table of an evaluation.
    """
    rows = results.filter(
        pl.col("run_id").is_not_null()
        & (pl.col("metric") == HEADLINE)
        & (pl.col("attribute") == ALL)
        & ~pl.col("target").is_in([MACRO, MICRO])
        & (pl.col("high") < CHANCE)
    )
    sentences = [
        f"AUROC of {row['target']} is {fixed(row['value'])} [{fixed(row['low'])}, "
        f"{fixed(row['high'])}] for run '{row['run_id']}' on {row['cohort']}, worse than chance: "
        "its scores may be reversed (high for the healthy), or its labels. If so, write 1 - "
        "probability, or the negative logit, and evaluate again."
        for row in rows.head(MAX_HINTS).to_dicts()
    ]
    if len(rows) > MAX_HINTS:
        sentences.append(f"So it is for {len(rows) - MAX_HINTS} more runs, targets or cohorts.")
    return sentences
