"""A table that does not fit in memory is refused before it is tried."""

import polars as pl
import pytest
from tests.prediction_tables import binary_table

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.evaluate_table import (
    free_memory,
    memory_needed,
    require_memory,
)

TABLE = binary_table(targets=("x", "y"))


def test_ten_million_rows_are_refused_with_what_they_need_and_what_to_do() -> None:
    row = TABLE.head(1)
    huge = pl.concat([row] * 10).select(pl.all().repeat_by(1_000_000).explode())
    assert len(huge) == 10_000_000
    with pytest.raises(TableError) as caught:
        require_memory(huge, free=20 * 2**30)
    said = str(caught.value)
    assert "A run of 10,000,000 rows needs about 98" in said
    assert "20.0 GiB are free" in said
    assert "fewer targets" in said
    require_memory(huge, free=200 * 2**30)


def test_runs_are_scored_one_after_the_other_and_count_once() -> None:
    two = pl.concat([TABLE, TABLE.with_columns(run_id=pl.lit("other"))])
    assert memory_needed(two) == memory_needed(TABLE)
    longer = pl.concat([TABLE, TABLE])
    assert memory_needed(longer) > memory_needed(TABLE)


def test_the_system_says_how_much_is_free() -> None:
    free = free_memory()
    assert free is None or 2**20 < free < 2**50
    require_memory(TABLE)
