"""One row per difference between two rungs."""

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from medtransfer.tables.results import COMPARISONS_CONTRACT, RungComparison, comparisons_frame
from medtransfer.tables.schema import check_columns, read_frame, typed, write_frame


def comparison(p: float | None) -> RungComparison:
    return RungComparison(
        "b",
        "a",
        label_fraction=1.0,
        held_out=None,
        retrain_fraction=None,
        cohort="A",
        target="macro",
        metric="auroc",
        difference=0.02,
        low=-0.01,
        high=0.05,
        p=p,
        p_holm=p,
        num_cases=90,
        num_patients=80,
    )


def test_comparisons_stand_in_the_order_of_the_contract_with_empty_cells() -> None:
    frame = comparisons_frame([comparison(None), comparison(1e-9)])
    assert frame.columns == [column.name for column in COMPARISONS_CONTRACT.columns]
    assert frame["p"].to_list() == [None, 1e-9]
    assert frame["held_out"].to_list() == [None, None]


def test_no_comparisons_are_a_table_without_rows_of_the_same_types() -> None:
    assert comparisons_frame([]).schema == comparisons_frame([comparison(0.5)]).schema
    assert comparisons_frame([]).is_empty()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_comparisons_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    frame = comparisons_frame([comparison(None), comparison(1e-9)])
    write_frame(frame, tmp_path / f"comparisons{suffix}")
    read = read_frame(tmp_path / f"comparisons{suffix}", COMPARISONS_CONTRACT)
    assert check_columns(read, COMPARISONS_CONTRACT) == []
    assert_frame_equal(typed(read, COMPARISONS_CONTRACT).drop("row"), frame, check_exact=True)
