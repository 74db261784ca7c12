"""Ages as hospitals write them."""

import polars as pl
import pytest

from medtransfer.data.sources.cells import with_age


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
