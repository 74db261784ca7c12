"""One run's predictions as arrays, and what is fitted on its tuning split."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import Task
from medtransfer.errors import TableError
from medtransfer.metrics.bootstrap import Floats
from medtransfer.metrics.calibration import (
    binary_temperature,
    class_temperature,
    probabilities_of,
)
from medtransfer.metrics.catalog import ClassCases, TargetCases
from medtransfer.metrics.discrimination import operating_threshold
from medtransfer.tables.predictions import target_names

INTERNAL = "internal"
"""Name of several training cohorts taken together."""


@dataclass(frozen=True)
class RunArrays:
    """A run's predictions, one row per case.

    Attributes:
        run_id: The run.
        task: What the targets are to each other.
        names: Targets. T
        frame: Ids, cohort and split of the cases. [N]
        targets: NaN where masked. [N, T]
        logits: [N, T]
    """

    run_id: str
    task: Task
    names: tuple[str, ...]
    frame: pl.DataFrame
    targets: Floats
    logits: Floats

    @property
    def single_label(self) -> bool:
        """Whether each case has one class of several."""
        return self.task == "single-label"

    def places(self) -> dict[str, NDArray[np.bool_]]:
        """Where test cases are, the training cohorts first, then the shifted ones by name.

        Several training cohorts count as one place, `internal`.
        """
        test = (self.frame["split"] == "test").to_numpy()
        inside = self.frame["cohort"].is_in(self.trained()).to_numpy()
        found = {self.home(): test & inside}
        for cohort in self.frame.filter(pl.Series(test & ~inside))["cohort"].unique().sort():
            found[cohort] = test & (self.frame["cohort"] == cohort).to_numpy()
        return {name: cases for name, cases in found.items() if cases.any()}

    def home(self) -> str:
        """Name of the training cohorts as a place: the only one's, or `internal`."""
        trained = self.trained()
        return trained[0] if len(trained) == 1 else INTERNAL

    def trained(self) -> list[str]:
        """The training cohorts: those with a tuning split."""
        return self.frame.filter(pl.col("split") == "tune")["cohort"].unique().sort().to_list()

    def labelled(self, target: int) -> NDArray[np.bool_]:
        """Cases whose target is a plain 0 or 1: masked and soft ones are left out. [N]"""
        column = self.targets[:, target]
        return (column == 0) | (column == 1)

    def classified(self) -> NDArray[np.bool_]:
        """Cases of a single-label task whose class is known. [N]"""
        return ((self.targets == 0) | (self.targets == 1)).all(axis=1)


@dataclass(frozen=True)
class Fitted:
    """What was fitted on the tuning split and is carried to every other.

    Attributes:
        temperatures: Per target; NaN where none could be fitted. [T]
        thresholds: Target number and operating point to the probability from which a case is
            called positive; None where none could be fixed.
    """

    temperatures: Floats
    thresholds: dict[tuple[int, str], float | None]


def run_arrays(predictions: pl.DataFrame, task: Task) -> RunArrays:
    """Take one run's predictions apart.

    Args:
        predictions: Rows of one run with one member.
        task: What the targets are to each other.

    Raises:
        TableError: There are several runs or members.
    """
    for column in ("run_id", "member"):
        count = predictions[column].n_unique()
        if count != 1:
            raise TableError(f"Scoring takes one {column} at a time; the table holds {count}.")
    names = tuple(target_names(predictions))
    frame = predictions.sort("case_id")
    targets = frame.select(pl.col(f"target_{name}").fill_null(np.nan) for name in names)
    logits = frame.select(f"logit_{name}" for name in names)
    return RunArrays(
        str(frame["run_id"][0]),
        task,
        names,
        frame.select("case_id", "patient_id", "cohort", "split"),
        targets.to_numpy().astype(np.float64),
        logits.to_numpy().astype(np.float64),
    )


def fit_on_tune(run: RunArrays, points: tuple[str, ...]) -> Fitted:
    """Fit temperatures and operating points. Only rows of the tuning split are looked at."""
    tune = (run.frame["split"] == "tune").to_numpy()
    ones = np.ones(len(run.names))
    probabilities = probabilities_of(run.logits, ones, single_label=run.single_label)
    temperatures: list[float | None] = []
    thresholds: dict[tuple[int, str], float | None] = {}
    for target in range(len(run.names)):
        rows = tune & run.labelled(target)
        truth = run.targets[rows, target].astype(np.int64)
        temperatures.append(binary_temperature(truth, run.logits[rows, target]))
        for point in points:
            scores = probabilities[rows, target]
            thresholds[target, point] = operating_threshold(truth, scores, point)
    if run.single_label:
        rows = tune & run.classified()
        shared = class_temperature(run.targets[rows].argmax(axis=1), run.logits[rows])
        temperatures = [shared] * len(run.names)
    return Fitted(np.array([np.nan if t is None else t for t in temperatures]), thresholds)


def target_cases(
    run: RunArrays, fitted: Fitted, target: int, rows: NDArray[np.bool_]
) -> TargetCases:
    """The cases of one target, as the catalogue's metrics take them."""
    plain = probabilities_of(run.logits, np.ones(len(run.names)), single_label=run.single_label)
    scaled = _scaled(run, fitted)
    return TargetCases(
        run.targets[rows, target].astype(np.int64),
        run.logits[rows, target] if not run.single_label else plain[rows, target],
        plain[rows, target],
        scaled[rows, target] if np.isfinite(fitted.temperatures[target]) else None,
    )


def class_cases(run: RunArrays, fitted: Fitted, rows: NDArray[np.bool_]) -> ClassCases:
    """The cases of a single-label task, as the catalogue's metrics take them."""
    plain = probabilities_of(run.logits[rows], np.ones(len(run.names)), single_label=True)
    known = np.isfinite(fitted.temperatures).all()
    scaled = _scaled(run, fitted)[rows] if known else None
    return ClassCases(run.targets[rows].argmax(axis=1), run.logits[rows], plain, scaled)


def _scaled(run: RunArrays, fitted: Fitted) -> Floats:
    temperatures = np.where(np.isfinite(fitted.temperatures), fitted.temperatures, 1.0)
    return probabilities_of(run.logits, temperatures, single_label=run.single_label)
