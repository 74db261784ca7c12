"""Unlabelled cases are no cases of a metric: counted apart, and said."""

from dataclasses import replace

import polars as pl
from tests.prediction_tables import QUICK, Site, binary_table, no_attributes, one_row
from tests.report.hand_made import areas, report_data

from medtransfer.evaluation.scoring.score import score
from medtransfer.report.components import ReportTable
from medtransfer.report.content import SplitCounts
from medtransfer.report.front_page.head_lines import data_line
from medtransfer.report.questions import method


def test_positives_are_of_labelled_cases() -> None:
    counts = (SplitCounts("north", "test", 338, 300, {"y": 189}, masked={"y": 89}),)
    data = replace(report_data(areas()), counts=counts)
    line = data_line(data)
    assert "338 cases" in line
    assert "Positive: y 76% of 249 labelled (89 unlabelled)." in line
    table = method.method(data).parts[1]
    assert isinstance(table, ReportTable)
    assert table.head[-1] == "y: positive"
    assert table.rows[0][-1] == "189 of 249 (89 unlabelled)"
    whole = replace(data, counts=(SplitCounts("north", "test", 76, 70, {"y": 45}),))
    table = method.method(whole).parts[1]
    assert isinstance(table, ReportTable)
    assert table.rows[0][-1] == "45 of 76"


def test_a_mean_over_targets_counts_cases_with_a_label() -> None:
    table = binary_table({"a": Site({"tune": 40, "test": 60})}, targets=("x", "y"))
    names = table.filter(pl.col("split") == "test")["case_id"].head(25).implode()
    hidden = pl.col("case_id").is_in(names)
    table = table.with_columns(
        pl.when(hidden).then(None).otherwise(f"target_{t}").alias(f"target_{t}") for t in "xy"
    )
    results = score(table, no_attributes(table), "multi-label", QUICK)
    assert one_row(results, "auroc", target="macro")["num_cases"] == 35
    assert one_row(results, "auroc", target="x")["num_cases"] == 35
