"""`medtransfer size`: the printed table is what `sample_size` returns."""

import json
from pathlib import Path

from tests.cli.conftest import Call
from tests.prediction_tables import binary_table


def test_assumptions_and_a_table_give_sizes(call: Call, tmp_path: Path) -> None:
    said = call("size", "--prevalence", "0.018", "--auroc", "0.8", "--auroc-within", "0.05")
    assert said.code == 0, said.err
    assert "4,252" in said.out
    binary_table().write_parquet(tmp_path / "p.parquet")
    found = json.loads(call("size", "p.parquet", "--json").out)
    assert {row["target"] for row in found["rows"]} == {"x"}
    assert "design effect" in call("size", "p.parquet").out


def test_what_is_missing_is_said(call: Call) -> None:
    said = call("size")
    assert said.code == 2
    assert "prevalence is missing: give it, or a predictions table" in said.err
