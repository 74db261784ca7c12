"""Mapping of a user's own table: columns, labels, words for missing values."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from medtransfer.errors import ConfigError, fault_list


@dataclass(frozen=True)
class Mapped:
    """Contents of ``--columns``: our names to theirs, and to fixed texts."""

    columns: dict[str, str]
    constants: dict[str, str]


def read_mapping(text: str) -> Mapped:
    """``ours=theirs`` takes a column, ``ours:=text`` writes the same text in every row.

    Raises:
        ConfigError: An entry is neither, or a name is given twice.
    """
    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    faults: list[str] = []
    for entry in entries(text):
        ours, sign, theirs = entry.partition("=")
        fixed = ours.endswith(":")
        ours, theirs = ours.removesuffix(":").strip(), theirs.strip()
        if not (ours and sign and theirs):
            faults.append(f"'{entry}' is neither ours=theirs nor ours:=text")
        elif ours in columns or ours in constants:
            faults.append(f"'{ours}' is given twice")
        else:
            (constants if fixed else columns)[ours] = theirs
    if faults:
        raise ConfigError(fault_list("--columns cannot be used", faults))
    return Mapped(columns, constants)


def entries(text: str) -> list[str]:
    """Entries between commas; one that holds a comma itself stands in double quotes."""
    fields = next(csv.reader([text], skipinitialspace=True), list[str]())
    return [entry.strip() for entry in fields if entry.strip()]


def text_pairs(text: str, option: str) -> list[tuple[str, str]]:
    """``column=text`` entries; a column may come several times.

    Raises:
        ConfigError: An entry is none.
    """
    pairs = [entry.partition("=") for entry in entries(text)]
    wrong = [left + sign + right for left, sign, right in pairs if not (left and sign and right)]
    if wrong:
        faults = [f"'{entry}' is not column=text" for entry in wrong]
        raise ConfigError(fault_list(f"--option {option} cannot be used", faults))
    return [(left.strip(), right.strip()) for left, _, right in pairs]


def parts_of(theirs: str, columns: Sequence[str]) -> list[str]:
    """The columns that ``lesion`` or ``patient+lesion`` names; a column may itself hold a plus."""
    return [theirs] if theirs in columns else [part.strip() for part in theirs.split("+")]
