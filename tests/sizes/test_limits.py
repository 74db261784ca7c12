"""Limits can be raised, and say how; memory is what machine, container and process leave."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from medtransfer.errors import ConfigError, TableError
from medtransfer.sizes.limits import (
    GIB,
    LIMITS,
    MAX_MEMORY,
    MAX_ROWS,
    MAX_RUNS,
    available_memory,
    count_fault,
    memory_limit,
    require_count,
    require_memory,
)


def test_more_than_is_allowed_is_refused_with_the_variable_that_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(TableError) as caught:
        require_count(300_000_000, "rows", MAX_ROWS, 'Manifest "a.csv"', TableError)
    assert str(caught.value) == (
        'Manifest "a.csv" has 300,000,000 rows (allowed: up to 100,000,000). If that is meant, set '
        "the environment variable MEDTRANSFER_MAX_ROWS to 300000000."
    )
    monkeypatch.setenv("MEDTRANSFER_MAX_ROWS", "300000000")
    require_count(300_000_000, "rows", MAX_ROWS, "It", TableError)
    assert count_fault(MAX_RUNS.default, "runs", MAX_RUNS, "It") is None


@pytest.mark.parametrize("text", ["-1", "0", "many", "1e9", "9" * 30, "٣"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    for limit in LIMITS:
        monkeypatch.setenv(limit.variable, text)
        with pytest.raises(ConfigError, match=rf"{limit.variable} holds '.*whole numbers from 1"):
            limit.value()


def test_every_limit_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"
    for limit in LIMITS:
        assert f"| `{limit.variable}` |" in page.read_text("utf-8")


def test_memory_is_refused_with_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAX_MEMORY.variable, "2")
    assert memory_limit() == 2 * GIB
    require_memory(2 * GIB, "It", TableError)
    with pytest.raises(TableError) as caught:
        require_memory(5 * GIB + 1, 'Manifest "a.csv"', TableError)
    assert str(caught.value) == (
        'Manifest "a.csv" needs about 5.0 GiB of memory once it is unpacked, and 2.0 GiB are '
        "available. Use a larger machine, or set the environment variable "
        "MEDTRANSFER_MAX_MEMORY_GIB to 6 to try it here."
    )


def test_the_address_space_of_a_process_limits_what_is_available() -> None:
    code = (
        "import resource; from medtransfer.sizes.limits import available_memory;"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); print(available_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2**30
    assert available_memory() > 0
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 2**30
