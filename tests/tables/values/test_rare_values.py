"""Values that few patients have are one group; nothing else changes."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.tables.values.rare_values import is_rest, merge_rare, merge_rare_groups, rest_name

LEAST = 3
CELLS = st.lists(st.tuples(st.sampled_from([*"abcde", None]), st.integers(0, 12)), max_size=60)


@given(CELLS)
def test_every_named_value_has_enough_patients_and_no_other_cell_changes(
    cells: list[tuple[str | None, int]],
) -> None:
    values = pl.Series("x", [value for value, _ in cells], dtype=pl.String)
    owners = pl.Series([f"p{owner}" for _, owner in cells], dtype=pl.String)
    merged = merge_rare(values, owners, LEAST)
    patients: dict[str | None, set[int]] = {}
    for value, owner in cells:
        patients.setdefault(value, set()).add(owner)
    rare = {v for v, p in patients.items() if v is not None and len(p) < LEAST}
    expected = [rest_name(LEAST) if value in rare else value for value, _ in cells]
    assert merged.cells.to_list() == expected
    assert merged.values == len(rare)
    assert merged.patients == len(set[int]().union(*(patients[v] for v in rare)))


def test_a_value_of_many_cases_of_few_patients_is_rare_and_is_not_in_the_sentence() -> None:
    table = pl.DataFrame({"case_id": [f"c{n:02}" for n in range(40)], "clinic": ["N"] * 40})
    cells = ["Zdenka"] * 20 + ["N"] * 20
    table = table.with_columns(clinic=pl.Series(cells))
    owners = pl.DataFrame(
        {"case_id": table["case_id"], "patient_id": ["p"] * 20 + [f"q{n}" for n in range(20)]}
    )
    merged, (sentence,) = merge_rare_groups(table, owners, 10)
    assert merged["clinic"].to_list() == ["other (<10 patients each)"] * 20 + ["N"] * 20
    assert sentence == "'clinic': 1 value of fewer than 10 patients, fewer than 10 in all"
    same, none = merge_rare_groups(table, owners, 1)
    assert same.equals(table)
    assert none == []


def test_the_rest_is_known_where_it_is_crossed() -> None:
    assert is_rest(rest_name(10))
    assert is_rest(f"F × {rest_name(5)}")
    assert not is_rest("other")
