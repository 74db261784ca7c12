"""Ages as hospitals write them."""

from collections.abc import Sequence

import polars as pl
import pytest

from medtransfer.data.cases import proposed_attributes, reported_attributes
from medtransfer.data.sources.cells import with_age
from medtransfer.tables.values.ages import AgeRange, age_groups, age_range


@pytest.mark.parametrize(
    ("text", "age", "band"),
    [
        ("58", 58, "40-59"),
        ("58.9", 58, "40-59"),
        ("58,5", 58, "40-59"),
        ("045Y", 45, "40-59"),
        ("006M", 0, "0-19"),
        ("6 months", 0, "0-19"),
        ("18mo", 1, "0-19"),
        ("10 days", 0, "0-19"),
        ("003W", 0, "0-19"),
        ("45 Jahre", 45, "40-59"),
        ("45 years old", 45, "40-59"),
        ("45yo", 45, "40-59"),
        ("45 y/o", 45, "40-59"),
        ("45 y.o.", 45, "40-59"),
        ("3 Jahre alt", 3, "0-19"),
        ("1y 6m", 1, "0-19"),
        ("11 months, 3 weeks", 0, "0-19"),
        ("2 years and 11 months", 2, "0-19"),
        ("45岁", 45, "40-59"),
        ("6个月", 0, "0-19"),
        ("18ヶ月", 1, "0-19"),
        ("６０才", 60, "60-79"),
        ("18개월", 1, "0-19"),
        ("45 lat", 45, "40-59"),
        ("18 мес.", 1, "0-19"),
        ("60-69", None, "60-79"),
        ("55 - 64", None, None),
        (">89", 90, "80+"),
        (">=90", 90, "80+"),
        ("90+", 90, "80+"),
        ("95", 90, "80+"),
        (">60", None, None),
        ("<1", 0, "0-19"),
        ("<18", None, "0-19"),
        ("414", None, None),
        ("-5", None, None),
        ("old", None, None),
        ("5 furlongs", None, None),
        ("6m 2y", None, None),
        ("60 5", None, None),
    ],
)
def test_an_age_is_read_right_or_named(text: str, age: int | None, band: str | None) -> None:
    frame, notes = with_age(pl.DataFrame({"x": [text]}), pl.col("x"))
    assert frame.select("age", "age_band").row(0) == (age, band)
    assert bool(notes) == (age is None)
    quoted = "1 value" if text in ("old", "5 furlongs") else f"'{text}'"
    assert all(f"{quoted} in 1 row" in note for note in notes)


def grouped(name: str, cells: Sequence[str | float | None]) -> tuple[list[str | None], list[str]]:
    groups, notes = age_groups(pl.Series(name, cells, strict=False))
    return groups.to_list(), notes


@pytest.mark.parametrize("name", ["age", "Alter", "PatientAge", "age_at_exam", "年齢"])
@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("045Y", "40-59"),
        ("6 months", "0-19"),
        (">89", "80+"),
        ("60-69", "60-79"),
        ("50-69", None),
        ("58,5", "40-59"),
        ("adult", None),
        (None, None),
    ],
)
def test_ages_of_a_manifest_written_by_hand_are_groups(
    name: str, text: str | None, band: str | None
) -> None:
    cells = [text, *(f"{year:03d}Y" for year in range(20, 60))]
    groups, notes = grouped(name, cells)
    assert groups[:2] == [band, "20-39"]
    assert groups[-1] == "40-59"
    (note,) = notes
    assert note.startswith(f"'{name}': ")
    assert "read in bands of twenty years (0-19, 20-39, 40-59, 60-79, 80+)." in note
    assert ("In no band, so not known: " in note) == (band is None and text is not None)


def test_many_ages_without_a_unit_are_groups_as_numbers_too() -> None:
    years = [float(year) for year in range(30, 50)]
    assert grouped("age", years)[0] == 10 * ["20-39"] + 10 * ["40-59"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("age", ["60-69", "70-79", ">79", "<60"]),
        ("age", ["young", "old"]),
        ("age", ["0", "1"]),
        ("age_group", ["1", "2", "3", "4", "5"] * 4),
        ("Altersgruppe", [str(code) for code in range(14)]),
        ("dosage", [str(dose) for dose in range(40)]),
        ("age_days", [str(300 * day) for day in range(40)]),
        ("age", []),
    ],
)
def test_groups_that_a_hospital_has_made_stay_as_they_stand(name: str, cells: list[str]) -> None:
    assert grouped(name, cells) == (cells, [])


def test_ages_are_proposed_and_reported_in_bands_and_stay_numbers_elsewhere() -> None:
    frame = pl.DataFrame(
        {
            "case_id": [f"c{number}" for number in range(60)],
            "patient_id": [f"p{number}" for number in range(60)],
            "age": [str(20 + number) for number in range(60)],
        }
    )
    assert proposed_attributes(frame).names == ("age",)
    groups = reported_attributes(frame, ["age"], 10)["age"].value_counts().sort("age")
    assert groups.rows() == [("20-39", 20), ("40-59", 20), ("60-79", 20)]
    assert frame["age"].n_unique() == 60


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("60 to 69", 60, 69),
        ("(60, 70]", 61, 70),
        ("[60, 70)", 60, 69),
        ("[60-70)", 60, 69),
        ("80 et plus", 80, float("inf")),
        ("80 y más", 80, float("inf")),
        ("80 oder älter", 80, float("inf")),
        ("menor de 1", 0, 0),
        ("moins de 1 an", 0, 0),
        ("12 mths", 1, 1),
    ],
)
def test_ranges_and_limits_in_other_words(text: str, low: float, high: float) -> None:
    assert age_range(text) == AgeRange(low, high)
