"""`medtransfer evaluate --readings`: from three readers' labels to the report."""

from pathlib import Path

import polars as pl
import pytest
from tests.cli.conftest import Call
from tests.evaluation.comparison.readers.test_compare import READ, TABLE

QUICK = "replicates: 20\npermutations: 0\n"


@pytest.mark.slow
def test_readers_are_in_table_and_report_and_an_evaluation_without_them_has_none(
    call: Call, tmp_path: Path
) -> None:
    TABLE.drop("target_x").write_csv(tmp_path / "p.csv")
    READ.frame.write_csv(tmp_path / "readings.csv")
    (tmp_path / "quick.yaml").write_text(QUICK, "utf-8")
    words = ["evaluate", "p.csv", "-o", "out", "--config", "quick.yaml"]
    assert "target" in call(*words).err
    said = call(*words, "--readings", "readings.csv")
    assert said.code == 0, said.err
    assert "Truth: the majority of 3 readers." in said.out
    assert len(pl.read_parquet(tmp_path / "out" / "readers.parquet")) > 10
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Krippendorff's alpha" in page.replace("&#39;", "'")
    assert "majority without r1" in page
    TABLE.write_csv(tmp_path / "p.csv")
    assert call(*words).code == 0
    assert not (tmp_path / "out" / "readers.parquet").exists()
    assert call(*words, "--truth", "majority").code == 2
