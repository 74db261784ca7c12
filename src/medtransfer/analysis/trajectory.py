"""Trajectory of a run: its AUROC at home and away at each validation. No torch.

Andreassen et al. 2021 (arXiv 2106.15831): pre-trained networks lie above the line of home and away
in the middle of their tuning, and come down to it. The test cases are no part of the training or
of any selection.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.analysis.discrimination import (
    Floats,
    interval_of,
    macro_auroc,
    patient_weights,
)
from medtransfer.analysis.interval import Interval, mean_over_runs
from medtransfer.analysis.table import AskedRun
from medtransfer.statistics.robustness import effective_robustness
from medtransfer.tables.predictions import target_names
from medtransfer.tables.schema import Column, Contract, read_records, records_frame

FEW_LOOKS = "fewer than 3 looks with different AUROC at home"
TRAJECTORY_FILE = "trajectory.parquet"
TRAJECTORY_CONTRACT = Contract(
    "Trajectory",
    (
        Column("rung", "text", "The rung."),
        Column("run_id", "text", "The run; empty for the mean over seeds.", filled=False),
        Column("seed", "integer", "Its seed; empty for the mean over seeds.", filled=False),
        Column("step", "integer", "Finished training steps."),
        Column("cohort", "text", "The cohort."),
        Column("place", "text", "`home` or `away`.", allowed=("home", "away")),
        Column("auroc", "number", "Macro AUROC; empty if it is undefined.", filled=False),
        Column("low", "number", "Lower end of its 95 % interval.", filled=False),
        Column("high", "number", "Upper end of its 95 % interval.", filled=False),
        Column("num_cases", "integer", "Test cases that were predicted."),
        Column("num_patients", "integer", "Their patients."),
        Column("reason", "text", "Reason if a value or an interval is empty.", filled=False),
    ),
)


@dataclass(frozen=True)
class TrajectoryRow:
    """One number of the table; fields as in the contract."""

    rung: str
    step: int
    cohort: str
    place: str
    num_cases: int
    num_patients: int
    run_id: str | None = None
    seed: int | None = None
    auroc: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CohortLooks:
    """AUROC of a run at one cohort, at each of its looks.

    Attributes:
        cohort: Its name.
        place: `home` or `away`.
        steps: Finished steps at each look. L
        aurocs: In the sample and in every bootstrap sample of patients. [L, 1 + R]
        num_cases: Test cases.
        num_patients: Their patients.
    """

    cohort: str
    place: str
    steps: tuple[int, ...]
    aurocs: Floats
    num_cases: int
    num_patients: int


def cohort_looks(looks: pl.DataFrame, cases: pl.DataFrame, home: str) -> list[CohortLooks]:
    """AUROC at each look, home first.

    Args:
        looks: `step`, `case_id` and `logit_<name>`.
        cases: `case_id`, `patient_id`, `cohort`, `split` and `target_<name>`, as the manifest has
            them now; cohorts with tuning cases are home.
        home: Name of the cohorts at home as one test set.
    """
    trained = cases.filter(pl.col("split") == "tune")["cohort"].unique().to_list()
    tested = cases.filter(pl.col("split") == "test").with_columns(
        pl.col("cohort").is_in(trained).alias("at_home")
    )
    names = target_names(cases)
    joined = looks.drop("patient_id", strict=False).join(tested, on="case_id", how="inner")
    places = joined.select(
        pl.when("at_home").then(pl.lit(home)).otherwise("cohort").alias("test_set"), "at_home"
    )
    joined = joined.with_columns(places["test_set"])
    order = places.unique().sort(~pl.col("at_home"), "test_set")
    return [
        _looks_of(joined.filter(pl.col("test_set") == test_set), names, test_set, at_home=at_home)
        for test_set, at_home in order.iter_rows()
    ]


def _looks_of(
    rows: pl.DataFrame, names: Sequence[str], cohort: str, *, at_home: bool
) -> CohortLooks:
    """AUROC at one test set."""
    steps = rows["step"].unique().sort().to_list()
    # test cases that came while the run was stopped are not in its first looks
    rows = rows.filter(pl.len().over("case_id") == len(steps))
    first = rows.filter(pl.col("step") == steps[0]).sort("case_id")
    patients = first["patient_id"].to_numpy().astype(np.str_)
    weights = patient_weights(patients, purpose=f"trajectory {cohort}")
    values: list[Floats] = []
    for step in steps:
        look = rows.filter(pl.col("step") == step).sort("case_id")
        targets = look.select(pl.col(f"target_{name}").cast(pl.Float64) for name in names)
        logits = look.select(f"logit_{name}" for name in names)
        truth = targets.fill_null(np.nan).to_numpy()
        values.append(macro_auroc(truth, logits.to_numpy(), weights))
    return CohortLooks(
        cohort=cohort,
        place="home" if at_home else "away",
        steps=tuple(steps),
        aurocs=np.stack(values),
        num_cases=len(first),
        num_patients=len(set(patients.tolist())),
    )


def trajectory_rows(run: AskedRun, looks: CohortLooks) -> list[TrajectoryRow]:
    """Rows of the table for one run and cohort."""
    nothing = TrajectoryRow(
        rung=run.rung,
        step=0,
        cohort=looks.cohort,
        place=looks.place,
        num_cases=looks.num_cases,
        num_patients=looks.num_patients,
        run_id=run.run_id,
        seed=run.seed,
    )
    return [
        _filled(replace(nothing, step=step), interval_of(values))
        for step, values in zip(looks.steps, looks.aurocs, strict=True)
    ]


def away_slopes(looks: Sequence[CohortLooks]) -> Iterator[tuple[CohortLooks, Interval]]:
    """Slope of the AUROC away on that at home over the looks of a run, both as logits.

    1: a gain at home arrives away; below 1: less of it does. Home and away are resampled apart.
    """
    home = next((part for part in looks if part.place == "home"), None)
    if home is None:
        return
    for away in (part for part in looks if part.place == "away"):
        both = [step for step in home.steps if step in away.steps]
        x = home.aurocs[[home.steps.index(step) for step in both]]
        y = away.aurocs[[away.steps.index(step) for step in both]]
        line = effective_robustness(x, y, np.zeros(len(both), dtype=np.int64))
        is_known = line.reason is None
        yield away, interval_of(line.slope) if is_known else Interval.undefined(FEW_LOOKS)


def with_mean_trajectories(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of single runs, and before them their means over seeds.

    Steps that a run of the rung lacks, since it was stopped early or resumed, have no mean: along
    a line of means the runs stay the same.

    Args:
        rows: From `trajectory_frame`, of single runs.
    """
    place = ["rung", "cohort", "place"]
    runs = pl.col("run_id").n_unique().over(place)
    shared = rows.filter(pl.col("run_id").n_unique().over([*place, "step"]) == runs)
    means: list[TrajectoryRow] = []
    for of_place in shared.partition_by([*place, "step"], maintain_order=True):
        records = [TrajectoryRow(**record) for record in of_place.to_dicts()]
        mean = mean_over_runs([_interval(record) for record in records])
        means.append(_filled(replace(records[0], run_id=None, seed=None), mean))
    return pl.concat([trajectory_frame(means), rows])


def _interval(row: TrajectoryRow) -> Interval:
    value, low, high = (np.nan if x is None else x for x in (row.auroc, row.low, row.high))
    return Interval(value, low, high, row.reason)


def _filled(row: TrajectoryRow, result: Interval) -> TrajectoryRow:
    """A row with its numbers; an interval ends at 0 and 1, and what is no number is left empty."""
    value, low, high = (
        None if np.isnan(number) else float(np.clip(number, 0, 1))
        for number in (result.value, result.low, result.high)
    )
    return replace(row, auroc=value, low=low, high=high, reason=result.reason)


def trajectory_frame(rows: Sequence[TrajectoryRow]) -> pl.DataFrame:
    """Rows as a table in the contract's column order."""
    return records_frame(rows, TRAJECTORY_CONTRACT)


def read_trajectory(path: Path | str) -> pl.DataFrame:
    """Read and check a table of trajectories.

    Raises:
        TableError: The table violates its contract.
    """
    return read_records(path, TRAJECTORY_CONTRACT)


def find_trajectory(folder: Path) -> pl.DataFrame | None:
    """The table in a folder of curves; None if there is none."""
    path = folder / TRAJECTORY_FILE
    return read_trajectory(path) if path.is_file() else None
