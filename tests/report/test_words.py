"""Numbers in words, names that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer.metrics.catalog import CATALOG
from medtransfer.report.components import ReportTable, without_empty_columns
from medtransfer.report.questions.method import costs_text
from medtransfer.report.text import (
    Cells,
    fixed,
    interval_text,
    metric_title,
    p_text,
    point_words,
    points_text,
    short_names,
    short_reason,
    unbroken,
)


def test_numbers_without_interval_and_missing_numbers_are_marked() -> None:
    assert interval_text(None) == "–"
    assert interval_text({"value": None, "reason": "no positive case"}) == (
        "undefined (no positive case)"
    )
    assert interval_text({"value": 0.5, "low": None, "high": None}) == "0.50 [no interval]"
    assert [p_text(p) for p in (None, 0.001, 0.04, 1.0)] == ["", "p < 0.01", "p = 0.04", "p = 1.00"]


def test_costs_are_named_by_target_and_by_pair_of_classes() -> None:
    assert costs_text(20.0) == "20 false alarms"
    costs: dict[str, float | dict[str, float]] = {"a": 0.5, "b": {"a": 3.0, "c": 0.0}}
    assert costs_text(costs) == "a 0.5, b called a 3, b called c 0 (in false alarms)"


def test_nothing_is_minus_zero() -> None:
    assert fixed(-0.0004, 3) == "0.000"
    assert fixed(-0.0006, 3) == "−0.001"


def test_a_table_gives_the_reason_of_empty_cells_once() -> None:
    cells = Cells()
    empty = {"value": None, "low": None, "high": None, "reason": "fewer than 10 cases"}
    part = {"value": 0.5, "low": 0.4, "high": 0.6, "reason": "1 of 3 targets left out: no case"}
    full = {"value": 0.5, "low": 0.4, "high": 0.6, "reason": None}
    assert [cells(row) for row in (empty, part, full, empty, None)] == [
        "– ᵃ",
        "0.50 [0.40, 0.60] ᵇ",
        "0.50 [0.40, 0.60]",
        "– ᵃ",
        "–",
    ]
    assert cells.notes == ["ᵃ fewer than 10 cases", "ᵇ 1 of 3 targets left out: no case"]


def test_if_all_targets_are_left_out_the_cause_is_enough() -> None:
    assert short_reason("5 of 5 targets left out: fewer than 10 cases") == "fewer than 10 cases"
    assert short_reason("15 of 5 targets left out: x") == "15 of 5 targets left out: x"
    assert short_reason(None) == "no value"


@pytest.mark.parametrize("name", CATALOG)
def test_every_metric_has_a_title(name: str) -> None:
    assert metric_title(name.replace("<point>", "sens90")).startswith(CATALOG[name].title)


def test_an_operating_point_is_explained() -> None:
    assert points_text(["sens90", "spec80"]) == (
        "sens90: threshold with 90% sensitivity on the tuning split; "
        "spec80: threshold with 80% specificity on the tuning split"
    )
    assert (
        point_words("youden")
        == "the largest sum of sensitivity and specificity on the tuning split"
    )
    assert points_text([]) == ""


def test_no_line_breaks_within_an_interval_a_p_value_or_a_percentage() -> None:
    text = unbroken("better by 0.100 AUROC [−0.050, 0.150], p < 0.01, in 95 % [81%, 96%] of [a, b]")
    assert text.replace("\u00a0", "_") == (
        "better by 0.100 AUROC [−0.050,_0.150], p_<_0.01, in 95_%_[81%,_96%] of [a, b]"
    )


LONG = [
    "vendor-with-a-name/network-of-many-layers-224",
    "vendor-with-a-name/network-of-few-layers-224",
]


def test_long_names_lose_what_they_share() -> None:
    assert list(short_names([*LONG, "scratch/r50x1"], 30).values()) == [
        "…many…",
        "…few…",
        "scratch/r50x1",
    ]


@given(st.lists(st.text(st.sampled_from("ab-/… (2)"), max_size=60), unique=True, max_size=8))
def test_short_names_fit_and_stay_apart(names: list[str]) -> None:
    shortened = short_names(names, 20)
    assert list(shortened) == names
    assert len(set(shortened.values())) == len(names)
    assert all(len(short) <= 20 for short in shortened.values())
    assert all(shortened[name] == name for name in names if len(name) <= 20)


def test_empty_columns_are_left_out() -> None:
    table = without_empty_columns(
        ReportTable(
            ["Rung", "a", "b", "c"],
            [["x", "–", "1", ""], ["y", "–", "–", ""]],
            "",
            frozenset({1, 2}),
        )
    )
    assert table.head == ["Rung", "b"]
    assert table.rows == [["x", "1"], ["y", "–"]]
    assert table.numeric == frozenset({1})


def test_columns_of_marked_dashes_become_a_note_with_their_reason() -> None:
    table = without_empty_columns(
        ReportTable(
            ["Metric", "Network", "Pre-training"],
            [["AUROC", "0.1 ᵃ", "– ᵇ"], ["ECE", "–", "– ᵇ"]],
            notes=["ᵃ few rungs", "ᵇ one pre-training set"],
        )
    )
    assert table.head == ["Metric", "Network"]
    assert table.notes == ["ᵃ few rungs", "Pre-training: one pre-training set"]


def test_a_wide_table_is_set_tight() -> None:
    row = ["scratch/r50x1", "north", *["0.87 [0.76, 0.96]"] * 3]
    assert not ReportTable(["h"] * 5, [row]).tight
    assert ReportTable(["h"] * 9, [row + row[2:] + row[2:3]]).tight
    assert not ReportTable(["h"], []).tight
