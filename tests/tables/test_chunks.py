"""Passes in slices say what a pass over the whole would say."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW, ids

from medtransfer.tables import chunks
from medtransfer.tables.chunks import (
    ambiguous_owners,
    any_cell,
    has_repeats,
    hashes_of,
    rows_where,
    sorted_shares,
)

few_words = st.lists(st.sampled_from("abcde"), max_size=60)


@pytest.fixture(autouse=True, scope="module")
def small_slices() -> object:
    """Slices of a few rows, so that short tables have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SLICE_ROWS", 7)
        patch.setattr(chunks, "SAMPLE", 5)
        yield


@FEW
@given(st.lists(st.one_of(ids(), st.sampled_from("ab")), max_size=60))
def test_shares_hold_every_row_once_and_follow_each_other(names: list[str]) -> None:
    texts = pl.Series(names, dtype=pl.String)
    shares = [rows for rows in sorted_shares(texts) if len(rows)]
    assert sorted(np.concatenate(shares).tolist() if shares else []) == list(range(len(names)))
    for before, after in pairwise(shares):
        assert max(texts.gather(before)) < min(texts.gather(after))


@FEW
@given(few_words)
def test_rows_are_found_wherever_they_are(words: list[str]) -> None:
    frame = pl.DataFrame({"w": words}, schema={"w": pl.String})
    assert rows_where(frame, pl.col("w") == "a").equals(frame.filter(pl.col("w") == "a"))
    assert any_cell(frame["w"], pl.col("w") == "a") == ("a" in words)


@FEW
@given(few_words)
def test_repeated_texts_are_found(words: list[str]) -> None:
    frame = pl.DataFrame({"w": words}, schema={"w": pl.String})
    assert has_repeats(*hashes_of(frame, pl.col("w"))) == (len(set(words)) < len(words))


@FEW
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["x", "y", None]))))
def test_owners_of_several_values_are_found_and_empty_cells_are_no_value(
    rows: list[tuple[str, str | None]],
) -> None:
    frame = pl.DataFrame(rows, schema={"o": pl.String, "v": pl.String}, orient="row")
    owners = {o for o in "abcdefgh" if {(o, "x"), (o, "y")} <= set(rows)}
    found = ambiguous_owners(*hashes_of(frame, pl.col("o"), pl.col("v")))
    assert sorted(found.tolist()) == sorted(pl.Series(sorted(owners), dtype=pl.String).hash())
