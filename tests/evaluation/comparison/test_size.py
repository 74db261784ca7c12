"""A table that does not fit in memory is refused before it is tried."""

import polars as pl
import pytest
from tests.prediction_tables import binary_table

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.evaluate_table import require_memory
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.sizes.limits import free_memory
from medtransfer.sizes.scoring import require_scoring_memory, scoring_memory

TABLE = binary_table(targets=("x", "y"))


def test_ten_million_rows_are_refused_with_what_they_need_and_what_to_do() -> None:
    def require(gib: int, *, fits: bool) -> None:
        require_scoring_memory(10_000_000, 2, fits=fits, free=gib * 2**30)

    with pytest.raises(TableError) as caught:
        require(20, fits=True)
    said = str(caught.value)
    assert "A run of 10,000,000 rows needs about 38" in said
    assert "20.0 GiB are free" in said
    assert "fewer targets" in said
    assert "Set `metrics: [core]`" in said
    assert "about 12.6 GiB" in said
    require(20, fits=False)
    for fits in (True, False):
        with pytest.raises(TableError, match=r"are free\. Evaluate fewer targets"):
            require(10, fits=fits)
    require(200, fits=True)


def test_runs_are_scored_one_after_the_other_and_count_once() -> None:
    bytes_of_one = scoring_memory(len(TABLE), 2, fits=True)
    two = pl.concat([TABLE, TABLE.with_columns(run_id=pl.lit("other"))])
    require_memory(two, EvaluationConfig(), free=bytes_of_one)
    with pytest.raises(TableError):
        require_memory(pl.concat([TABLE, TABLE]), EvaluationConfig(), free=bytes_of_one)


def test_the_system_says_how_much_is_free() -> None:
    free = free_memory()
    assert free is None or 2**20 < free < 2**50
    require_memory(TABLE, EvaluationConfig())
