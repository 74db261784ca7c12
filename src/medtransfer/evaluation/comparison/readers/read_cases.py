"""Test cases of a cohort with what every reader said of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.evaluation.comparison.readers.agreement import Codes
from medtransfer.evaluation.comparison.readers.table import CASE_ID, READER, Readings
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.metrics.weighted import SubgroupMetrics, Weighted, evaluate_replicates
from medtransfer.statistics.bootstrap import Replicates
from medtransfer.tables.results import CASE


@dataclass(frozen=True)
class ReadCases:
    """Test cases of a cohort, n, that readers have read.

    Attributes:
        run: A run that has predicted them.
        cohort: Name of the test set.
        cases: Mask over the run's cases. [N]
        readings: Of any cases.
        replicates: Of the cohort's patients.
    """

    run: RunArrays
    cohort: str
    cases: Flags
    readings: Readings
    replicates: Replicates

    @property
    def names(self) -> list[str]:
        """Readers, R."""
        return self.readings.readers

    @cached_property
    def labels(self) -> Floats:
        """Labels of every reader, NaN where there is none. [R, n, T]"""
        of_case = self.run.frame.filter(pl.Series(self.cases)).select(CASE_ID)
        columns = [f"target_{name}" for name in self.run.names]
        of_reader: list[NDArray[np.float64]] = []
        for name in self.names:
            readings = self.readings.frame.filter(pl.col(READER) == name)
            joined = of_case.join(readings, on=CASE_ID, how="left", maintain_order="left")
            filled = joined.select(pl.col(columns).cast(pl.Float64).fill_null(np.nan))
            of_reader.append(filled.to_numpy())
        return np.stack(of_reader)

    def codes(self) -> Iterator[tuple[str, Codes, int]]:
        """Of each target, or of the case of exclusive classes: who said which class.

        Yields:
            Name, class of each case by each reader (-1 for none) [R, n], number of classes.
        """
        if self.run.single_label:
            complete = np.isfinite(self.labels).all(axis=2) & (self.labels.sum(axis=2) == 1)
            chosen = np.nan_to_num(self.labels).argmax(axis=2)
            yield CASE, np.where(complete, chosen, -1), self.labels.shape[2]
            return
        for target, name in enumerate(self.run.names):
            labels = self.labels[:, :, target]
            codes = np.where(np.isfinite(labels), np.nan_to_num(labels), -1).astype(np.int64)
            yield name, codes, 2

    def majority_without(self, reader: int, target: int) -> Floats:
        """Majority of the other readers, NaN without one. [n]"""
        others = np.delete(self.labels[:, :, target], reader, axis=0)
        votes, read = np.nansum(others, axis=0), np.isfinite(others).sum(axis=0)
        decided = (read > 0) & (2 * votes != read)
        return np.where(decided, (2 * votes > read).astype(np.float64), np.nan)

    def truth_without(self, reader: int, target: int) -> tuple[Floats, Flags]:
        """Majority without a reader, and mask of the cases that it and the reader judged.

        Returns:
            [n], [n]
        """
        truth = self.majority_without(reader, target)
        return truth, np.isfinite(truth) & np.isfinite(self.labels[reader, :, target])

    def patients(self, rows: Flags) -> NDArray[np.int64]:
        """Number of the patient of some of the cases. [n] -> [m]"""
        return self.replicates.patient[rows].astype(np.int64)

    def values(self, bound: Weighted, rows: Flags) -> Floats:
        """A metric of some of the cases, in the sample and in every replicate. [1 + B]"""
        part = SubgroupMetrics(self.replicates.patient[rows], (bound,))
        return evaluate_replicates([part], self.replicates.blocks())[0][0]
