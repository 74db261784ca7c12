"""Table of understanding: a question, a stage of a network and a metric a row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.analysis.interval import Interval, mean_over_runs
from medtransfer.analysis.questions import Understanding
from medtransfer.tables.schema import Column, Contract, read_records, records_frame

UNDERSTANDING_FILE = "understanding.parquet"
SHARES = ("cka", "linear_auroc", "neighbour_auroc", "auroc")
"""Metrics whose mean has an interval that ends at 0 and 1."""
UNDERSTANDING_CONTRACT = Contract(
    "Understanding",
    (
        Column("rung", "text", "The rung; `all` for effects of scale over rungs."),
        Column("run_id", "text", "The run; empty for the mean over seeds.", filled=False),
        Column("seed", "integer", "Its seed; empty for the mean over seeds.", filled=False),
        Column("question", "text", "Name of the question, as in `understanding` of a study."),
        Column(
            "stage",
            "text",
            "Module that ends the stage; `features` is what the head sees, `network` the whole.",
        ),
        Column("number", "integer", "Number of the stage, from below."),
        Column(
            "network",
            "text",
            "`before` or `after` training; of a comparison both, or the other rung.",
        ),
        Column(
            "attribute",
            "text",
            "Of an attribute probe the column, of a trajectory `cohort`.",
            filled=False,
        ),
        Column("group", "text", "Of an attribute probe the group, else its like.", filled=False),
        Column("metric", "text", "What was measured."),
        Column("value", "number", "The value; empty if it is undefined.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("num_cases", "integer", "Tuning cases behind it."),
        Column("reason", "text", "Reason if a value or an interval is empty.", filled=False),
    ),
)


@dataclass(frozen=True)
class UnderstandingRow:
    """One number of the table; fields as in the contract."""

    rung: str
    question: str
    stage: str
    number: int
    network: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    num_cases: int
    run_id: str | None = None
    seed: int | None = None
    attribute: str | None = None
    group: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class AskedRun:
    """The run that rows are of.

    Attributes:
        rung: Its rung; `all` for rows over rungs.
        run_id: Its id; None for rows over runs.
        seed: Its seed; likewise.
    """

    rung: str
    run_id: str | None = None
    seed: int | None = None

    def row(
        self,
        question: Understanding,
        stage: tuple[int, str],
        network: str,
        metric: str,
        result: Interval,
        *,
        cases: int,
        group: tuple[str, str] | None = None,
    ) -> UnderstandingRow:
        """A row of the table; what is no number is left empty."""
        value, low, high = (
            None if math.isnan(number) else float(number)
            for number in (result.value, result.low, result.high)
        )
        return UnderstandingRow(
            rung=self.rung,
            question=question,
            stage=stage[1],
            number=stage[0],
            network=network,
            metric=metric,
            value=value,
            low=low,
            high=high,
            num_cases=cases,
            run_id=self.run_id,
            seed=self.seed,
            attribute=group and group[0],
            group=group and group[1],
            reason=result.reason,
        )


def understanding_frame(rows: Sequence[UnderstandingRow]) -> pl.DataFrame:
    """Rows as a table in the contract's column order."""
    return records_frame(rows, UNDERSTANDING_CONTRACT)


def with_means(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of single runs, and before them their means over seeds.

    Args:
        rows: From `understanding_frame`, of single runs.
    """
    keys = ["rung", "question", "stage", "number", "network", "attribute", "group", "metric"]
    means: list[UnderstandingRow] = []
    for of_place in rows.partition_by(keys, maintain_order=True):
        first = of_place.row(0, named=True)
        values = [
            Interval(
                value=_number(row["value"]),
                low=_number(row["low"]),
                high=_number(row["high"]),
                reason=row["reason"],
            )
            for row in of_place.iter_rows(named=True)
        ]
        mean = mean_over_runs(values)
        value, low, high = (
            None if math.isnan(number) else number for number in (mean.value, mean.low, mean.high)
        )
        if first["metric"] in SHARES and low is not None and high is not None:
            low, high = max(0.0, low), min(1.0, high)
        means.append(
            UnderstandingRow(
                **{name: first[name] for name in keys},
                value=value,
                low=low,
                high=high,
                num_cases=first["num_cases"],
                reason=mean.reason,
            )
        )
    return pl.concat([understanding_frame(means), rows])


def _number(cell: float | None) -> float:
    return math.nan if cell is None else cell


def find_understanding(folder: Path) -> pl.DataFrame | None:
    """The table in a folder of curves; None if there is none."""
    path = folder / UNDERSTANDING_FILE
    return read_understanding(path) if path.is_file() else None


def read_understanding(path: Path | str) -> pl.DataFrame:
    """Read and check a table of understanding.

    Raises:
        TableError: The table violates its contract.
    """
    return read_records(path, UNDERSTANDING_CONTRACT)
