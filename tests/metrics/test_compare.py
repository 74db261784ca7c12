"""Holm's correction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.drawn_cases import LAW

from medtransfer.metrics.compare import holm

p_values = st.lists(st.none() | st.floats(0, 1), max_size=8)


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, then never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one_and_leaves_a_single_p_as_it_is() -> None:
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []


def test_a_missing_p_stays_missing_and_does_not_count() -> None:
    assert holm([None, 0.02, None, 0.01]) == [None, pytest.approx(0.02), None, pytest.approx(0.02)]


@LAW
@given(p_values)
def test_corrected_p_values_keep_their_order_and_are_no_smaller(found: list[float | None]) -> None:
    corrected = holm(found)
    assert [p is None for p in corrected] == [p is None for p in found]
    pairs = sorted((p, c) for p, c in zip(found, corrected, strict=True) if p is not None)
    assert all(p <= c <= 1 for p, c in pairs)
    assert [c for _, c in pairs] == sorted(c for _, c in pairs)


@LAW
@given(p_values, st.floats(0.001, 0.2))
def test_what_is_rejected_is_what_stepping_down_rejects(
    found: list[float | None], level: float
) -> None:
    known = sorted(p for p in found if p is not None)
    rejected = 0
    while rejected < len(known) and known[rejected] * (len(known) - rejected) <= level:
        rejected += 1
    assert sum(c is not None and c <= level for c in holm(found)) == rejected
