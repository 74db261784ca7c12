"""The predictions contract: any framework may write the table, none may bend it."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.strategies import FEW, finite, ids

from medtransfer.errors import TableError
from medtransfer.tables.predictions import (
    PREDICTION_KEY,
    PREDICTIONS_CONTRACT,
    check_predictions,
    read_predictions,
    target_names,
    write_predictions,
)
from medtransfer.tables.schema import write_frame

HEAD = "run_id,member,case_id,patient_id,cohort,split,target_x,logit_x"


def table(**changes: Sequence[object]) -> pl.DataFrame:
    """Three cases of three patients; a change replaces a column, None leaves it out."""
    columns: dict[str, Sequence[object]] = {
        "run_id": ["r"] * 3,
        "member": [0] * 3,
        "case_id": ["a", "b", "c"],
        "patient_id": ["p", "q", "s"],
        "cohort": ["A"] * 3,
        "split": ["tune", "test", "test"],
        "target_x": [0.0, 1.0, None],
        "logit_x": [-0.5, 1e-9, 3.25],
        **changes,
    }
    return pl.DataFrame({name: column for name, column in columns.items() if column})


def complaint(folder: Path, frame: pl.DataFrame) -> str:
    write_frame(frame, folder / "p.parquet")
    with pytest.raises(TableError) as caught:
        read_predictions(folder / "p.parquet")
    return str(caught.value)


def test_a_target_whose_name_no_page_can_show_is_refused(tmp_path: Path) -> None:
    named = table().rename({"target_x": "target_x\x1by", "logit_x": "logit_x\x1by"})
    assert "is no name (allowed: text of up to 200 characters" in complaint(tmp_path, named)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_keeps_the_contract_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    frame = table(ood_energy=[-1.5, 0.1 + 0.2, 3.0])
    write_predictions(frame, tmp_path / f"p{suffix}")
    assert_frame_equal(read_predictions(tmp_path / f"p{suffix}"), frame, check_exact=True)


@FEW
@given(
    st.lists(
        st.tuples(ids(), st.none() | st.floats(0, 1), finite()),
        min_size=1,
        max_size=10,
        unique_by=lambda row: row[0],
    ),
    st.sampled_from([".csv", ".parquet"]),
)
def test_any_ids_targets_and_logits_come_back_exactly_in_the_order_of_the_key(
    tmp_path: Path, rows: list[tuple[str, float | None, float]], suffix: str
) -> None:
    cases = [case for case, _, _ in rows]
    frame = table(
        run_id=["r"] * len(rows),
        member=[0] * len(rows),
        case_id=cases,
        patient_id=cases,
        cohort=["A"] * len(rows),
        split=["test"] * len(rows),
        target_x=[target for _, target, _ in rows],
        logit_x=[logit for _, _, logit in rows],
    ).cast({"target_x": pl.Float64})
    write_predictions(frame, tmp_path / f"p{suffix}")
    read = read_predictions(tmp_path / f"p{suffix}")
    assert_frame_equal(read, frame.sort(PREDICTION_KEY), check_exact=True)


def test_a_foreign_csv_is_enough(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"{HEAD}\nr,0,007,01,A,test,1,-2.5\nr,1,007,01,A,test,,3\n")
    read = read_predictions(str(tmp_path / "p.csv"))
    assert read.rows() == [
        ("r", 0, "007", "01", "A", "test", 1.0, -2.5),
        ("r", 1, "007", "01", "A", "test", None, 3.0),
    ]


def test_soft_targets_and_several_targets_are_fine(tmp_path: Path) -> None:
    frame = table(target_x=[0.3, 0.0, 1.0], target_y=[1.0, None, 0.5], logit_y=[0.0, 1.0, 2.0])
    write_predictions(frame, tmp_path / "p.parquet")
    assert target_names(read_predictions(tmp_path / "p.parquet")) == ["x", "y"]


@pytest.mark.parametrize(
    "name", [c.name for c in PREDICTIONS_CONTRACT.columns if c.required and "<" not in c.name]
)
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    text = complaint(tmp_path, table(**{name: []}))
    assert f"column '{name}' is missing" in text
    assert "See docs/reference/predictions.md" in text


def test_targets_and_logits_are_needed_and_belong_together(tmp_path: Path) -> None:
    assert "there is no column 'target_<name>'" in complaint(tmp_path, table(target_x=[]))
    assert "there is no column 'logit_<name>'" in complaint(tmp_path, table(logit_x=[]))
    assert "'target_y' has no 'logit_y'" in complaint(tmp_path, table(target_y=[0.0, 1.0, 1.0]))


def test_a_case_counted_twice_is_refused(tmp_path: Path) -> None:
    text = complaint(tmp_path, table(case_id=["SECRET", "b", "SECRET"], split=["test"] * 3))
    assert "(run_id, member, case_id) is not unique: 1 value repeated in rows 1, 3" in text
    assert "SECRET" not in text


def test_a_case_of_two_members_or_two_runs_is_not_counted_twice() -> None:
    same = {"case_id": ["a"] * 3, "patient_id": ["p"] * 3, "split": ["test"] * 3}
    assert check_predictions(table(**same, member=[0, 1, 2]).with_row_index("row")) == []
    runs = table(**same, run_id=["r", "s", "t"], target_x=[1.0] * 3)
    assert check_predictions(runs.with_row_index("row")) == []


def test_weights_of_cases_are_refused_unless_they_are_equal(tmp_path: Path) -> None:
    assert "'Sample weight' holds weights of cases, and every case counts once here" in complaint(
        tmp_path, table().with_columns(pl.Series("Sample weight", [1.0, 2.0, 1.0]))
    )
    for name in ("w", "Gewicht", "sampling-weight", "IPTW", "poids", "pondération", "权重"):
        weighted = table().with_columns(pl.Series(name, [1.0, 2.0, 1.0]))
        assert f"'{name}' holds weights of cases" in complaint(tmp_path, weighted)
    write_frame(table().with_columns(weight=pl.lit(1.0)), tmp_path / "equal.parquet")
    assert len(read_predictions(tmp_path / "equal.parquet")) == 3


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_logits_are_finite(tmp_path: Path, wrong: float) -> None:
    text = complaint(tmp_path, table(logit_x=[0.0, wrong, wrong]))
    assert "'logit_x' is not finite in rows 2, 3" in text


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_scores_of_foreignness_are_finite(tmp_path: Path, wrong: float) -> None:
    text = complaint(tmp_path, table(ood_knn=[0.0, wrong, wrong], ood_energy=[0.0, 1.0, 2.0]))
    assert "'ood_knn' is not finite in rows 2, 3" in text
    assert "ood_energy" not in text
    with pytest.raises(TableError, match="'ood_knn' is not finite"):
        write_predictions(table(ood_knn=[wrong, 0.0, 0.0]), tmp_path / "p.csv")


@pytest.mark.parametrize("wrong", [-1.0, 1.01, -1e-9, float("nan"), float("inf")])
def test_targets_lie_between_zero_and_one(tmp_path: Path, wrong: float) -> None:
    text = complaint(tmp_path, table(target_x=[0.0, 1.0, wrong]))
    assert "'target_x' is outside 0 to 1 in row 3" in text


def test_cells_that_are_no_numbers_are_refused_not_masked(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"{HEAD}\nr,0,a,p,A,test,yes,high\nr,0,b,q,A,test,1,\n")
    with pytest.raises(TableError) as caught:
        read_predictions(tmp_path / "p.csv")
    assert "'target_x' holds 'yes' in 1 row, first in row 2 (allowed: a number)" in str(
        caught.value
    )
    assert "'logit_x' holds 'high' in 1 row, first in row 2 (allowed: a number)" in str(
        caught.value
    )
    assert "'logit_x' is empty in 1 row, first in row 3" in str(caught.value)


def test_members_stored_as_decimals_keep_their_number(tmp_path: Path) -> None:
    write_frame(table(member=[0.0, 1.0, 2.0]), tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet")["member"].to_list() == [0, 1, 2]


def test_split_names_are_a_closed_list(tmp_path: Path) -> None:
    text = complaint(tmp_path, table(split=["val", "test", "test"]))
    assert "'split' holds 'val' in 1 row, first in row 1 (allowed: train, tune, test)" in text


def test_a_patient_in_two_splits_of_a_run_is_refused(tmp_path: Path) -> None:
    text = complaint(tmp_path, table(patient_id=["SECRET", "SECRET", "p"]))
    assert "1 patient in more than one split of a run, rows 1, 2" in text
    assert "SECRET" not in text


def test_patients_of_different_cohorts_or_runs_may_share_a_number() -> None:
    shared = {"patient_id": ["1", "1", "2"]}
    assert check_predictions(table(**shared, cohort=["A", "B", "B"]).with_row_index("row")) == []
    assert check_predictions(table(**shared, run_id=["r", "s", "s"]).with_row_index("row")) == []


def test_all_faults_are_named_in_one_error(tmp_path: Path) -> None:
    text = complaint(
        tmp_path,
        table(
            case_id=["a", "a", "c"],
            member=[0, 0, 0],
            patient_id=["p", "p", "q"],
            target_x=[0.0, 7.0, 1.0],
            logit_x=[0.0, 1.0, float("inf")],
        ),
    )
    for part in ("is not unique", "outside 0 to 1", "not finite", "more than one split"):
        assert part in text


def test_a_table_that_breaks_the_contract_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="not finite"):
        write_predictions(table(logit_x=[0.0, 1.0, float("nan")]), tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "value"), [("patient_id", "someone else"), ("cohort", "b"), ("target_x", 0.5)]
)
def test_one_case_must_be_the_same_in_all_runs(
    tmp_path: Path, column: str, value: str | float
) -> None:
    one = pl.DataFrame(
        {
            "run_id": ["r", "r"],
            "member": [0, 0],
            "case_id": ["c1", "c2"],
            "patient_id": ["p1", "p2"],
            "cohort": ["a", "a"],
            "split": ["test", "test"],
            "target_x": [1.0, 0.0],
            "logit_x": [0.3, -0.2],
        }
    )
    first = pl.col("case_id") == "c1"
    changed = pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    two = one.with_columns(changed, run_id=pl.lit("s"))
    path = tmp_path / "p.csv"
    pl.concat([one, two]).write_csv(path)
    with pytest.raises(TableError, match=rf"'{column}' is not the same.*rows 2, 4"):
        read_predictions(path)
    pl.concat([one, one.with_columns(run_id=pl.lit("s"))]).write_csv(path)
    assert len(read_predictions(path)) == 4
