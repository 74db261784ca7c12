"""Hints at faults of a predictions table that its numbers betray."""

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import plural
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.report.text import fixed
from medtransfer.tables.predictions import target_names
from medtransfer.tables.results import ALL, MACRO, MICRO

CHANCE = 0.5
MAX_HINTS = 5
SATURATED, CEASED = 36, 744
"""Logits above and below which float64 holds no probability other than 1 and 0."""


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


def saturated_scores(predictions: pl.DataFrame, task: Task) -> list[str]:
    """Sentences on scores whose probabilities are 1 or 0 to the last digit, and so alike.

    Args:
        predictions: The table that is evaluated.
        task: Relation of its targets.
    """
    sentences: list[str] = []
    for name in target_names(predictions) if task != "single-label" else ():
        logit = pl.col(f"logit_{name}")
        beyond = predictions.filter((logit > SATURATED) | (logit < -CEASED))
        if beyond[f"logit_{name}"].n_unique() > 1:
            sentences.append(
                f"'logit_{name}' is above {SATURATED} or below -{CEASED} in "
                f"{plural(len(beyond), 'row')}: their probabilities are 1 or 0 to the last digit, "
                "and thresholds, calls and calibration do not tell them apart. If it is a raw "
                "score and no logit, write its probability as prob_<name>, and evaluate again."
            )
    return sentences


def soft_labels(predictions: pl.DataFrame) -> list[str]:
    """Sentences on test labels between 0 and 1, which few metrics take.

    Args:
        predictions: The table that is evaluated.
    """
    test = predictions.filter(pl.col("split") == "test")
    sentences: list[str] = []
    for name in target_names(predictions):
        label = pl.col(f"target_{name}")
        soft = test.filter((label > 0) & (label < 1))["case_id"].n_unique()
        if soft:
            sentences.append(
                f"'target_{name}' is between 0 and 1 for {plural(soft, 'test case')}: such soft "
                "labels enter no metric but `brier_soft`, `nll_soft` and `ece_soft`, which are "
                "asked for by name. If they are means over readers, give what each reader said "
                "with --readings, and --truth each, majority or a reader's name, for all metrics."
            )
    return sentences
