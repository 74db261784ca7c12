"""What a user reads when something can be mended."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtransfer import errors
from medtransfer.errors import MedTransferError, fault_list, listed, plural, printable, suggestion
from tests.strategies import FEW


def test_the_docstring_shows_the_whole_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {child.__name__ for child in MedTransferError.__subclasses__()}


def test_errors_of_one_kind_are_caught_by_the_root() -> None:
    for child in MedTransferError.__subclasses__():
        with pytest.raises(MedTransferError, match="what to do"):
            raise child("what to do")


def test_few_faults_stand_on_one_line() -> None:
    text = fault_list('Manifest "m.csv" cannot be used', ["first", "second"], "Mend it.")
    assert text == 'Manifest "m.csv" cannot be used: first; second. Mend it.'


def test_one_fault_without_advice_ends_with_a_full_stop() -> None:
    assert fault_list("It fails", ["so"]) == "It fails: so."


def test_many_faults_stand_on_lines_of_their_own_with_the_advice_last() -> None:
    text = fault_list("It fails", ["a", "b", "c", "d"], "Mend it.")
    assert text.splitlines() == ["It fails:", "  - a", "  - b", "  - c", "  - d", "Mend it."]


def test_long_faults_stand_on_lines_of_their_own() -> None:
    assert fault_list("It fails", ["x" * 300]).splitlines() == ["It fails:", "  - " + "x" * 300]


def test_twenty_faults_are_named_and_the_rest_counted() -> None:
    text = fault_list("It fails", [f"fault {i}" for i in range(25)])
    assert "fault 19" in text
    assert "fault 20" not in text
    assert text.endswith("and 5 more")


def test_a_list_of_values_is_cut_and_counted() -> None:
    assert listed([1, 2, 3]) == "1, 2, 3"
    assert listed(range(12), limit=3) == "0, 1, 2 and 9 more"


def test_terminal_escapes_are_taken_out_of_values() -> None:
    assert printable("\x1b]0;owned\x07") == "�]0;owned�"
    assert "\x1b" not in listed(["\x1b[2J", "b"])


@FEW
@given(st.text(), st.integers(1, 60))
def test_a_printed_value_is_one_short_printable_line(text: str, most: int) -> None:
    shown = printable(text, most)
    assert len(shown) <= most
    assert all(letter.isprintable() or letter == "�" for letter in shown)


def test_a_short_printable_value_is_left_alone() -> None:
    assert printable("Ödem, rechts") == "Ödem, rechts"


def test_the_closest_names_are_suggested() -> None:
    assert suggestion("patient", ["patient_id", "cohort"]) == "Did you mean 'patient_id'?"
    assert suggestion("edema", ["zebra", "quartz"]) == ""


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (12408, "row", "12,408 rows"),
        (1, "study", "1 study"),
        (2, "study", "2 studies"),
    ],
)
def test_counts_agree_with_their_noun(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text
