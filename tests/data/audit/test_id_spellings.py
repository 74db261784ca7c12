"""Ids that differ by spelling alone, and those that only look alike."""

import polars as pl
import pytest

from medtransfer.data.audit.id_spellings import id_spellings
from medtransfer.data.audit.tables import USAGE


def codes(first: str, second: str, usages: tuple[str, str], cohorts: str = "AA") -> list[str]:
    frame = pl.DataFrame(
        {"row": [2, 3], "patient_id": [first, second], USAGE: usages, "cohort": [*cohorts]}
    )
    return [finding.code for finding in id_spellings(frame)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("0012", "12"),
        ("p1", "P1"),
        ("p001", "p1"),
        ("12.0", "12"),
        ("12,0", "12"),
        ("a\u200bb", "ab"),
        ("A/007", "a/7"),
        ("P 1", "p1"),
        ("P-001", "P_1"),
        ("Ｐ１", "P1"),
        ("'0012", "12"),
        ("0", "000"),
    ],
)
def test_spellings_of_one_id_are_found(first: str, second: str) -> None:
    assert codes(first, second, ("train", "test")) == ["A018"]
    assert codes(first, second, ("train", "train"), "AB") == ["A018"]
    assert codes(first, second, ("train", "train")) == ["A019"]
    assert codes(first, first, ("train", "test")) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("12", "120"),
        ("1.05", "1.5"),
        ("a1", "b1"),
        ("10", "1"),
        ("1-0", "1"),
        ("1-1", "11"),
        ("1 1", "11"),
        ("a-b", "ab"),
    ],
)
def test_other_ids_are_other_patients(first: str, second: str) -> None:
    assert codes(first, second, ("train", "test")) == []


@pytest.mark.parametrize("rounded", ["1.23E+15", "1,23E+15", "1E+20"])
def test_ids_that_a_spreadsheet_rounded_are_named(rounded: str) -> None:
    assert codes(rounded, "5", ("train", "test")) == ["A019"]
    assert codes("1e5", "5", ("train", "test")) == []


@pytest.mark.parametrize("word", ["NA", "unknown", "north/NA", "k.A.", "不明"])
def test_words_for_a_missing_value_are_no_patient(word: str) -> None:
    assert codes(word, word, ("train", "train")) == ["A019"]
    assert codes("Nadia/X", "Nan1", ("train", "test")) == []
