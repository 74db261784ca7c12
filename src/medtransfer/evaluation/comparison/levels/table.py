"""Tables of levels: results and comparisons of a study's rungs, for exams in place of cases."""

from pathlib import Path

import polars as pl

from medtransfer.tables.results import COMPARISONS_CONTRACT, RESULTS_CONTRACT
from medtransfer.tables.schema import Column, Contract, read_records

LEVELS_FILE = "levels.parquet"
LEVEL_COMPARISONS_FILE = "level_comparisons.parquet"
_LEVEL = (
    Column("level", "text", "Column of the manifest whose values are the units of the level."),
    Column("rule", "text", "From the logits of cases to that of their unit: `max` or `mean`."),
)
LEVELS_CONTRACT = Contract("Levels", (*_LEVEL, *RESULTS_CONTRACT.columns))
LEVEL_COMPARISONS_CONTRACT = Contract(
    "Comparisons of levels", (*_LEVEL, *COMPARISONS_CONTRACT.columns)
)


def at_level(table: pl.DataFrame, level: str, rule: str) -> pl.DataFrame:
    """Results or comparisons with the columns of their level."""
    named = table.with_columns(level=pl.lit(level), rule=pl.lit(rule))
    return named.select("level", "rule", *table.columns)


def read_levels(path: Path | str) -> pl.DataFrame:
    """Read and check the results of levels.

    Raises:
        TableError: The table breaks its contract.
    """
    return read_records(path, LEVELS_CONTRACT)


def read_level_comparisons(path: Path | str) -> pl.DataFrame:
    """Read and check the comparisons of levels.

    Raises:
        TableError: The table breaks its contract.
    """
    return read_records(path, LEVEL_COMPARISONS_CONTRACT)


def find_levels(folder: Path) -> pl.DataFrame | None:
    """Means of the test cases of levels, with `difference`, `difference_low`, `difference_high`.

    Args:
        folder: Of curves.

    Returns:
        Rows of the results; differences are from the reference rung, empty where there are none.
        None if the study has no levels.
    """
    results, comparisons = folder / LEVELS_FILE, folder / LEVEL_COMPARISONS_FILE
    if not results.is_file():
        return None
    means = read_levels(results).filter(pl.col("run_id").is_null() & (pl.col("split") == "test"))
    keys = ["level", "rung", "label_fraction", "held_out", "cohort", "target", "metric"]
    ends = {"difference_low": "low", "difference_high": "high"}
    if comparisons.is_file():
        differences = read_level_comparisons(comparisons).select(*keys, "difference", **ends)
    else:  # a study of one rung has none
        differences = means.clear().select(*keys, difference="value", **ends)
    return means.join(differences, on=keys, how="left", nulls_equal=True, maintain_order="left")
