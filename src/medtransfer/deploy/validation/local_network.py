"""A network's predictions at home and at one other hospital, and how they are measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.deploy.validation.judgement import Measured
from medtransfer.errors import TableError, listed
from medtransfer.evaluation.comparison.adaptation.adapted_run import AdaptedRun
from medtransfer.evaluation.comparison.adaptation.curve import ArmKey, CurveArm, Measurement
from medtransfer.evaluation.comparison.adaptation.hospital_division import Division
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import MetricKey, ResultKey
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.evaluation.scoring.tune_fit import TuneFit, fit_on_tune
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.tables.predictions import OOD_PREFIX, target_names
from medtransfer.tables.results import ALL, MACRO

PROMISED_SUFFIX = " (promised)"
"""Added to the name of a promised cohort that the hospital has too."""


@dataclass(frozen=True)
class LocalNetwork:
    """A network with its promised cases and those of one other hospital.

    Attributes:
        frame: Predictions of both; cohorts of the promise that the hospital has too are renamed.
        run: The same as arrays.
        fit: Thresholds and calibrators that the network is carried with.
        hospital: Name of the hospital's cohort.
        evaluation: Operating points, decision thresholds, replicates.
        left_out: OOD detectors whose scores one of the two tables lacks.
    """

    frame: pl.DataFrame
    run: RunArrays
    fit: TuneFit
    hospital: str
    evaluation: EvaluationConfig
    left_out: tuple[str, ...]

    @property
    def target(self) -> str:
        """The target of overall numbers: the only one, or the mean over all."""
        first, *others = self.run.names
        return MACRO if others else first

    @property
    def cases(self) -> Flags:
        """The hospital's cases. [N]"""
        return self.run.test_cases()[self.hospital]

    @property
    def promised_cases(self) -> Flags:
        """Test cases of the training cohorts. [N]"""
        return self.run.test_cases()[self.run.internal_name()]

    def measured(
        self,
        cohort: str,
        rows: Flags,
        adapted: AdaptedRun,
        arm: CurveArm = "carried",
    ) -> Mapping[MetricKey, Measured]:
        """Metrics of some test cases under an arm, by target and name.

        Args:
            cohort: Name of the test set that the cases are of.
            rows: The cases. [N]
            adapted: Calibrators and thresholds.
            arm: The arm.
        """
        division = Division(cohort, np.zeros(len(rows), dtype=bool), rows)
        measurement = Measurement(self.run, self.fit, division, self.evaluation)
        curve = measurement.curve(ArmKey(cohort, arm, 0), [adapted])
        numbers: dict[MetricKey, Measured] = {}
        for key, of_arm in curve.estimates.items():
            row = of_arm.estimate.as_result(ResultKey(cohort, ALL, ALL, key.target, key.metric))
            numbers[key] = Measured(
                value=row.value,
                low=row.low,
                high=row.high,
                cases=row.num_cases,
                patients=row.num_patients,
                positives=row.num_positive,
                reason=row.reason,
            )
        return numbers


def local_network(
    promised: pl.DataFrame,
    here: pl.DataFrame,
    task: Task,
    evaluation: EvaluationConfig,
    *,
    fit: TuneFit | None = None,
) -> LocalNetwork:
    """Join a network's promised predictions with those of another hospital.

    Args:
        promised: Tuning and test cases of the home hospital, of one run.
        here: Labelled cases of one other hospital; its column `split` is not read.
        task: How the targets relate to each other.
        evaluation: Operating points, decision thresholds, replicates.
        fit: Thresholds and calibrators to carry; fitted on the promised tuning cases by default.

    Raises:
        TableError: There are several hospitals, other targets, or no labelled case.
    """
    hospitals = here["cohort"].unique().sort().to_list()
    if len(hospitals) != 1:
        raise TableError(
            f"The cases are of {len(hospitals)} cohorts: {listed(hospitals)}. Validate one "
            "hospital at a time (name it with --cohort)."
        )
    names = target_names(promised)
    if sorted(target_names(here)) != sorted(names):
        raise TableError(
            f"The cases have the targets {listed(target_names(here))}, and the network has "
            f"{listed(names)}. Give the same."
        )
    if here.select(pl.all_horizontal(pl.col(f"target_{name}").is_null() for name in names))[
        :, 0
    ].all():
        raise TableError(
            "No case has a label, so nothing can be validated. Add the target columns "
            f"({listed(names)}) to the manifest."
        )
    detectors = [c for c in promised.columns if c.startswith(OOD_PREFIX)]
    shared = [c for c in detectors if c in here.columns]
    columns = [
        *("run_id", "member", "case_id", "patient_id", "cohort", "split"),
        *(f"target_{name}" for name in names),
        *(f"logit_{name}" for name in names),
        *shared,
    ]
    hospital = str(hospitals[0])
    home = promised.select(columns).with_columns(_renamed(hospital))
    there = here.with_columns(
        pl.lit(str(promised["run_id"][0])).alias("run_id"), pl.lit("test").alias("split")
    ).select(columns)
    # the two tables number or name their patients each in its own way
    tagged = [
        table.with_columns(
            pl.lit(tag).add(pl.col("case_id")).alias("case_id"),
            pl.lit(tag).add(pl.col("patient_id")).alias("patient_id"),
        )
        for tag, table in (("promised ", home), ("", there))
    ]
    frame = pl.concat(tagged, how="vertical_relaxed")
    run = run_arrays(frame, task)
    left_out = tuple(c.removeprefix(OOD_PREFIX) for c in detectors if c not in shared)
    return LocalNetwork(
        frame=frame,
        run=run,
        fit=fit or fit_on_tune(run, evaluation.operating_points),
        hospital=hospital,
        evaluation=evaluation,
        left_out=left_out,
    )


def _renamed(hospital: str) -> pl.Expr:
    same = pl.col("cohort") == hospital
    return (
        pl.when(same).then(pl.col("cohort") + PROMISED_SUFFIX).otherwise("cohort").alias("cohort")
    )
