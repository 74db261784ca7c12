"""The table of the paper's experiments names tests that exist."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "the-paper.md"
STATES = {"works", "partly", "by hand", "absent"}


def rows() -> list[list[str]]:
    lines = PAGE.read_text("utf-8").splitlines()
    return [
        [cell.strip() for cell in row.strip("|").split(" | ")] for row in lines if row[:3] == "| E"
    ]


def test_every_experiment_is_told_once_with_a_state() -> None:
    table = rows()
    assert [row[0].strip("| ") for row in table] == [f"E{number}" for number in range(1, 36)]
    assert {len(row) for row in table} == {6}
    assert set(Counter(row[2] for row in table)) <= STATES


def test_what_works_names_its_command_and_a_test_that_exists() -> None:
    for name, _, state, how, lacking, test in rows():
        if state == "absent":
            assert test == "–", name
            continue
        assert "`" in how or how in ("the default", "results and comparisons") or "rungs" in how, (
            name
        )
        path = re.fullmatch(r"`(tests/\S+\.py)`", test)
        assert path is not None, name
        assert (ROOT / path[1]).is_file(), path[1]
        assert state == "works" or lacking != "–", name
