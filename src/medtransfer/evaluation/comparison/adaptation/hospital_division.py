"""Division of a hospital's patients: those that are drawn to adapt with, and those that test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.stratify import stratify
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.seeds import generator


@dataclass(frozen=True)
class Division:
    """A hospital's cases, divided by patient.

    Attributes:
        cohort: The hospital.
        pool: Cases of patients to draw from. [N]
        test: Cases of the other patients. [N]
    """

    cohort: str
    pool: Flags
    test: Flags

    def pool_patients(self, run: RunArrays) -> NDArray[np.int64]:
        """Numbers of the patients to draw from, in an order that does not depend on the table."""
        return np.unique(run.patient[self.pool])


@dataclass(frozen=True)
class Draw:
    """Patients that are drawn first in one random order.

    Attributes:
        number: Number of the order.
        size: How many patients.
        cases: Their cases. [N]
    """

    number: int
    size: int
    cases: Flags


def divide(
    run: RunArrays, cohort: str, cases: Flags, config: AdaptConfig, tested: pl.Series | None
) -> Division:
    """Divide a hospital's patients.

    Args:
        run: The predictions.
        cohort: The hospital.
        cases: Its cases. [N]
        config: Share of the patients to draw from.
        tested: Ids of the cases that test, where they are given; else a draw that is stratified by
            the targets that a patient is ever positive for.
    """
    patients, unit = np.unique(run.patient[cases], return_inverse=True)
    if tested is not None:
        ids = run.frame.filter(pl.Series(cases))["case_id"]
        to_test = np.zeros(len(patients), dtype=bool)
        to_test[unit[ids.is_in(tested.implode()).to_numpy()]] = True
    else:
        positive = np.zeros((len(patients), len(run.names)), dtype=bool)
        np.logical_or.at(positive, unit, np.nan_to_num(run.targets[cases]) > 0.5)
        rng = generator(config.seed, "adapt", cohort)
        to_test = stratify(positive, (config.pool, 1 - config.pool), rng) == 1
    test = np.zeros(len(cases), dtype=bool)
    test[np.flatnonzero(cases)[to_test[unit]]] = True
    return Division(cohort, cases & ~test, test)


def nested_draws(
    run: RunArrays, division: Division, sizes: Sequence[int], config: AdaptConfig
) -> Iterator[Draw]:
    """Draw nested sets of whole patients from the pool, in several random orders."""
    patients = division.pool_patients(run)
    for number in range(config.draws):
        order = generator(config.seed, "adapt", division.cohort, number).permutation(patients)
        for size in sizes:
            yield Draw(number, size, division.pool & np.isin(run.patient, order[:size]))
