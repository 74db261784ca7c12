"""Effect of scale on the steps that training needs, in the section *Why*."""

from collections.abc import Sequence

from medtransfer.evaluation.comparison.scaling import SCALE
from medtransfer.report.components import Component, ReportTable
from medtransfer.report.content import Row
from medtransfer.report.text import fixed
from medtransfer.tables.results import ALL

TERMS = {
    "network": "ten times the weights",
    "data": "ten times the pre-training images",
    "interaction": "interaction: change of one effect for a tenfold increase in the other",
}
CAPTION = (
    "Factor by which the steps to 95% change, over the pre-trained rungs of known scale; below 1 "
    "is faster. Intervals: seeds. Rungs differ in more than scale: these effects are descriptive."
)


def convergence_scale(rows: Sequence[Row]) -> list[Component]:
    """Factors of the steps for a tenfold scale; nothing where none can be estimated.

    Args:
        rows: Means of the table of understanding; slopes are of log10 of the steps.
    """
    by_term = {
        str(row["metric"]).rpartition(SCALE)[2]: row
        for row in rows
        if row["rung"] == ALL and row["question"] == "convergence"
    }
    if all(row["value"] is None for row in by_term.values()):
        return []
    lines = [
        [words, _factor(by_term[term]), by_term[term]["reason"] or ""]
        for term, words in TERMS.items()
        if term in by_term
    ]
    return [ReportTable(["For", "Steps are multiplied by", "Note"], lines, CAPTION, frozenset({1}))]


def _factor(row: Row) -> str:
    """``0.72 [0.51, 1.02]`` from a slope of log10."""
    if row["value"] is None:
        return "–"
    text = fixed(10 ** row["value"], 2)
    if row["low"] is None or row["high"] is None:
        return f"{text} [no interval]"
    return f"{text} [{fixed(10 ** row['low'], 2)}, {fixed(10 ** row['high'], 2)}]"
