"""The audit of a large table stays small beside the table, and makes no pass by row."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "audit.py"


@pytest.mark.slow
def test_ten_million_rows_are_audited_in_bounded_time_and_memory() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--part", "c"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10,000,000 rows" in done.stdout
