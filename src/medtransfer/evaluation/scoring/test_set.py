"""A place of a run: its test cases, the groups among them, and its resampled patients."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import TableError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.run import RunArrays
from medtransfer.evaluation.scoring.tune_fit import TuneFit, cases_of_target, fit_groups
from medtransfer.metrics.cases import AnyCases
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.statistics.bootstrap import Replicates, draw_replicates
from medtransfer.tables.results import ALL

RARE = 5
"""Patterns of labels with fewer patients are one stratum together."""
BOTH = " × "
"""Between the names, and the values, of two attributes that are asked about together."""


@dataclass(frozen=True)
class Subgroup:
    """Some test cases.

    Attributes:
        cohort: The place they come from: a cohort, or all training cohorts together.
        attribute: What they have in common, or `all`.
        group: Its value, or `all`.
        cases: Which of the run's cases they are. [N]
    """

    cohort: str
    attribute: str
    group: str
    cases: Flags


@dataclass(frozen=True)
class TestSet:
    """A place of a run with everything that its numbers are made from.

    Attributes:
        run: The predictions.
        name: The cohort, or all training cohorts together.
        slices: All of its test cases, then every group of every attribute.
        replicates: Of its patients: the same for every run, metric and group.
        fitted: What was fitted on tune, for each attribute; `all` without groups.
        groups: The attributes' values. Each [N]
        healthy: Targets that mean "no finding".
    """

    run: RunArrays
    name: str
    subgroups: tuple[Subgroup, ...]
    replicates: Replicates
    fitted: dict[str, TuneFit]
    groups: dict[str, pl.Series]
    healthy: tuple[str, ...] = ()

    @property
    def patient(self) -> NDArray[np.int32]:
        """Patient of each of the run's cases, -1 elsewhere. [N]"""
        found = np.full(len(self.run.frame), -1, dtype=np.int32)
        found[self.subgroups[0].cases] = self.replicates.patient
        return found

    def cases(self, target: int, attribute: str) -> AnyCases:
        """All of the run's cases of a target, with the sets of an attribute's groups."""
        groups = self.groups.get(attribute)
        return cases_of_target(self.run, self.fitted[attribute], target, groups, self.healthy)


def make_place(
    run: RunArrays, fitted: TuneFit, attributes: pl.DataFrame, name: str, config: EvaluationConfig
) -> TestSet:
    """Gather a place's slices and replicates.

    Args:
        run: The predictions.
        fitted: From its tuning split.
        attributes: `case_id` and the attributes to report by.
        name: One of the run's places.
        config: Replicates and how they are drawn.

    Raises:
        TableError: An attribute has the name of all cases.
    """
    here = run.places()[name]
    groups = _groups(run, here, attributes, config)
    slices = [Subgroup(name, ALL, ALL, here)]
    for attribute, column in groups.items():
        for group in column.filter(pl.Series(here)).drop_nulls().unique().sort():
            member = (column == group).fill_null(value=False).to_numpy()
            slices.append(Subgroup(name, attribute, str(group), here & member))
    by_attribute = {attribute: fit_groups(run, fitted, g) for attribute, g in groups.items()}
    return TestSet(
        run,
        name,
        tuple(slices),
        place_replicates(run, name, here, config),
        {ALL: fitted, **by_attribute},
        groups,
        config.healthy_targets,
    )


def _groups(
    run: RunArrays, here: Flags, attributes: pl.DataFrame, config: EvaluationConfig
) -> dict[str, pl.Series]:
    """The value of every attribute, and of every pair that is asked about, of each case. [N]"""
    table = run.frame.join(attributes, on="case_id", how="left", maintain_order="left")
    names = attributes.columns[1:]
    if ALL in names:
        raise TableError(
            f"Attribute '{ALL}' has the name of all cases in the results. Give it another name."
        )
    # where several training cohorts are taken together, the cohort counts as an attribute
    if run.frame.filter(pl.Series(here))["cohort"].n_unique() > 1:
        names = ["cohort", *(name for name in names if name != "cohort")]
    groups = {name: table[name].cast(pl.String) for name in names}
    for one, two in config.intersections:
        if one in groups and two in groups:
            groups[one + BOTH + two] = groups[one] + BOTH + groups[two]
    return groups


def place_replicates(
    run: RunArrays, name: str, here: Flags, config: EvaluationConfig
) -> Replicates:
    """A place's resampled patients: the same for every run, metric and group."""
    patients = run.frame.filter(pl.Series(here))["patient_id"].to_numpy().astype(np.str_)
    strata = _strata(run.targets[here], patients) if config.resample == "stratified" else None
    return draw_replicates(patients, config.replicates, config.seed, name, config.resample, strata)


def _strata(targets: Floats, patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """Stratum of each case: which targets its patient is ever positive for. [n, T], [n] -> [n]"""
    patient = np.unique(patients, return_inverse=True)[1].ravel()
    positive = np.zeros((int(patient.max()) + 1, targets.shape[1]), dtype=np.int8)
    np.maximum.at(positive, patient, (targets == 1).astype(np.int8))
    _, stratum, counts = np.unique(positive, axis=0, return_inverse=True, return_counts=True)
    stratum = np.where(counts[stratum.ravel()] < RARE, len(counts), stratum.ravel())
    return stratum[patient].astype(np.int64)
