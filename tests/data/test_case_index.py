"""Numbers that stand for ids, in their order."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW, ids

from medtransfer.data.case_index import CaseNumbers, numbered
from medtransfer.tables import chunks


@pytest.mark.parametrize("at_once", [chunks.SLICE_ROWS, 5])
def test_ids_are_numbered_in_text_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SLICE_ROWS", at_once)
    monkeypatch.setattr(chunks, "SAMPLE", 4)

    @FEW
    @given(st.lists(st.one_of(ids(), st.sampled_from("abc")), max_size=50))
    def law(names: list[str]) -> None:
        place = {name: i for i, name in enumerate(sorted(set(names)))}
        found = numbered(pl.Series(names, dtype=pl.String))
        assert found.tolist() == [place[name] for name in names]

    law()


def test_a_case_is_known_by_its_first_row() -> None:
    frame = pl.DataFrame(
        {
            "case_id": ["b", "a", "b", "c", "a"],
            "patient_id": ["q", "q", "q", "p", "q"],
            "site": ["1", "2", "3", "4", "5"],
        }
    )
    cases = CaseNumbers.of(frame)
    assert cases.rows.tolist() == [1, 0, 1, 2, 0]
    assert cases.first.tolist() == [1, 0, 3]
    assert cases.patients.tolist() == [1, 1, 0]
    assert (len(cases), cases.num_patients) == (3, 2)
    assert cases.of_first(frame["site"]).to_list() == ["2", "1", "4"]
    assert cases.at_first(frame["site"] == "4").tolist() == [False, False, True]


def test_a_table_without_rows_has_no_cases() -> None:
    frame = pl.DataFrame(schema={"case_id": pl.String, "patient_id": pl.String})
    assert (len(CaseNumbers.of(frame)), CaseNumbers.of(frame).num_patients) == (0, 0)
