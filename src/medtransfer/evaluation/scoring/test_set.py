"""Test sets of a run: test cases of a cohort, the subgroups among them, resampled patients."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import TableError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import MetricKey, ResultKey
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.tune_fit import (
    Groups,
    TuneFit,
    cases_of_target,
    with_group_sets,
    with_shifted_sets,
)
from medtransfer.metrics.cases import AnyCases
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.statistics.bootstrap import Replicates, draw_replicates
from medtransfer.tables.results import ALL
from medtransfer.tables.values.missing_words import UNKNOWN
from medtransfer.tables.values.rare_values import merge_rare

RARE = 5
"""Patterns of labels with fewer patients are one stratum together."""
COHORT = "cohort"
"""Attribute of the cases of several training cohorts that are tested together."""
CASE_COLUMNS = ("case_id", "patient_id", "cohort", "split")
"""Columns of a run's cases that its groups depend on."""
BOTH = " × "
"""Between the names, and the values, of two attributes that are crossed."""


@dataclass(frozen=True)
class Subgroup:
    """Some test cases.

    Attributes:
        cohort: Name of their test set: a cohort, or all training cohorts together.
        attribute: Attribute they share a value of, or `all`.
        group: Its value, or `all`.
        cases: Mask over the run's cases. [N]
    """

    cohort: str
    attribute: str
    group: str
    cases: Flags

    def key(self, key: MetricKey) -> ResultKey:
        """Key of a metric in this subgroup."""
        return ResultKey(self.cohort, self.attribute, self.group, key.target, key.metric)


@dataclass(frozen=True)
class TestSet:
    """A cohort's test cases with everything that estimates are made from.

    Attributes:
        run: The predictions.
        name: The cohort, or all training cohorts together.
        subgroups: All of its test cases, then every group of every attribute.
        replicates: Of its patients: the same for every run, metric and group.
        fit: Fits on the run's tuning split.
        groups: The attributes' values.
        config: Targets that mean "no finding", order of the classes, costs.
    """

    run: RunArrays
    name: str
    subgroups: tuple[Subgroup, ...]
    replicates: Replicates
    fit: TuneFit
    groups: Groups
    config: EvaluationConfig

    @property
    def cases(self) -> Flags:
        """Mask of its test cases over the run's cases. [N]"""
        return self.subgroups[0].cases

    @property
    def patient(self) -> NDArray[np.int32]:
        """Patient of each of the run's cases, -1 elsewhere. [N]"""
        patient = np.full(len(self.run.frame), -1, dtype=np.int32)
        patient[self.cases] = self.replicates.patient
        return patient

    @property
    def pools_cohorts(self) -> bool:
        """True if its cases are of several cohorts."""
        return self.run.frame.filter(pl.Series(self.cases))[COHORT].n_unique() > 1

    def run_cases(self, target: int) -> AnyCases:
        """All of the run's cases of a target, fits applied. [N]"""
        return cases_of_target(self.run, self.fit, target, self.config)

    def run_cases_by_attribute(self, target: int) -> dict[str, AnyCases]:
        """The same for `all`, and with an attribute's prediction sets for each attribute."""
        fit, tested = self.fit[target], self.cases & self.run.labelled(target)
        cases = with_shifted_sets(self.run_cases(target), fit, tested)
        return {ALL: cases} | {
            name: with_group_sets(cases, fit, name, values) for name, values in self.groups.items()
        }


def attribute_groups(
    run: RunArrays, attributes: pl.DataFrame, config: EvaluationConfig
) -> dict[str, Groups]:
    """For each test set the values of every attribute and of every crossed pair.

    A case whose attribute is not known is in the group `Unknown`. An attribute that is known of no
    case of a test set is left out there.

    Args:
        run: The predictions.
        attributes: `case_id` and the attributes to report by.
        config: Pairs of attributes that are crossed.

    Raises:
        TableError: An attribute has the name of all cases.
    """
    if ALL in attributes.columns[1:]:
        raise TableError(
            f"Attribute '{ALL}' has the name of all cases in the results. Give it another name."
        )
    table = run.frame.join(attributes, on="case_id", how="left", maintain_order="left")
    groups: dict[str, Groups] = {}
    for test_set, cases in run.test_cases().items():
        names = attributes.columns[1:]
        # where several training cohorts are taken together, the cohort counts as an attribute
        if run.frame.filter(pl.Series(cases))["cohort"].n_unique() > 1:
            names = [COHORT, *(name for name in names if name != COHORT)]
        values = {name: table[name].cast(pl.String) for name in names}
        for first, second in config.intersections:
            if first in values and second in values:
                both = values[first] + BOTH + values[second]
                owners = table["patient_id"]
                merged = merge_rare(both, owners, config.minimum_group)
                values[first + BOTH + second] = merged.cells
        groups[test_set] = {
            name: groups_of.fill_null(UNKNOWN)
            for name, groups_of in values.items()
            if groups_of.filter(pl.Series(cases)).null_count() < cases.sum()
        }
    return groups


FindGroups = Callable[[RunArrays, pl.DataFrame, EvaluationConfig], dict[str, Groups]]
"""A function as `attribute_groups`."""


class SharedGroups:
    """`attribute_groups` for runs of which most have the same cases."""

    def __init__(self) -> None:
        self._latest: tuple[pl.DataFrame, pl.DataFrame, EvaluationConfig] | None = None
        self._groups: dict[str, Groups] = {}

    def find(
        self, run: RunArrays, attributes: pl.DataFrame, config: EvaluationConfig
    ) -> dict[str, Groups]:
        """Values of the attributes, as they were found for the run before if its cases were these.

        Raises:
            TableError: An attribute has the name of all cases.
        """
        latest, cases = self._latest, run.frame[list(CASE_COLUMNS)]
        same = latest is not None and latest[1] is attributes and latest[2] is config
        if latest is None or not same or not latest[0].equals(cases):
            self._groups = attribute_groups(run, attributes, config)
            self._latest = cases, attributes, config
        return self._groups


def make_test_sets(
    run: RunArrays, fit: TuneFit, groups: dict[str, Groups], config: EvaluationConfig
) -> tuple[TestSet, ...]:
    """Gather the subgroups and replicates of every test set.

    Args:
        run: The predictions.
        fit: Fits on its tuning split.
        groups: From `attribute_groups`.
        config: Replicates and how they are drawn.
    """
    return tuple(
        TestSet(
            run=run,
            name=name,
            subgroups=tuple(_subgroups(name, cases, groups[name])),
            replicates=test_set_replicates(run, name, cases, config),
            fit=fit,
            groups=groups[name],
            config=config,
        )
        for name, cases in run.test_cases().items()
    )


def _subgroups(name: str, cases: Flags, groups: Groups) -> Iterator[Subgroup]:
    yield Subgroup(name, ALL, ALL, cases)
    for attribute, values in groups.items():
        for group in values.filter(pl.Series(cases)).drop_nulls().unique().sort():
            member = (values == group).fill_null(value=False).to_numpy()
            yield Subgroup(name, attribute, str(group), cases & member)


def test_set_replicates(
    run: RunArrays, name: str, cases: Flags, config: EvaluationConfig
) -> Replicates:
    """Resampled patients of a test set: the same for every run, metric and group."""
    patients = run.frame.filter(pl.Series(cases))["patient_id"].to_numpy().astype(np.str_)
    strata = _strata(run.targets[cases], patients) if config.resample == "stratified" else None
    return draw_replicates(
        patients,
        config.replicates,
        config.seed,
        cohort=name,
        kind=config.resample,
        strata=strata,
    )


def _strata(targets: Floats, patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Stratum of each case: the targets its patient is ever positive for. [n, T], [n] -> [n]"""
    patient = np.unique(patients, return_inverse=True)[1].ravel()
    positive = np.zeros((int(patient.max()) + 1, targets.shape[1]), dtype=np.int8)
    np.maximum.at(positive, patient, (targets == 1).astype(np.int8))
    _, stratum, counts = np.unique(positive, axis=0, return_inverse=True, return_counts=True)
    stratum = np.where(counts[stratum.ravel()] < RARE, len(counts), stratum.ravel())
    return stratum[patient].astype(np.int64)
