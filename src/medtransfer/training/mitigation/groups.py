"""Groups of training cases, and how much each counts."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.cases import case_attributes
from medtransfer.errors import StudyError, suggestion
from medtransfer.tables.manifest import free_columns
from medtransfer.tables.values.missing_words import UNKNOWN

MIN_CASES = 10
"""Training cases from which a value is a group of its own; smaller ones are one group together."""
RARE = "rare values"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CaseGroups:
    """Groups of training cases.

    Attributes:
        names: G of them.
        number: Group of each case, 0 to G - 1. [N]
    """

    names: tuple[str, ...]
    number: NDArray[np.int64]


def balancing_weights(number: NDArray[np.int64]) -> Floats:
    """Weight of each case with which all groups weigh the same; mean 1. [N]"""
    counts = np.bincount(number)
    return (len(number) / (len(counts) * counts))[number]


def case_groups(frame: pl.DataFrame, column: str, case_ids: NDArray[np.str_]) -> CaseGroups:
    """Groups of some cases by a column of the manifest.

    A value of fewer than `MIN_CASES` cases is in one group with the other rare ones; if these are
    too few even together, they are with the cases of no value, or in the largest group.

    Args:
        frame: Rows of the manifest.
        column: Its values are the groups.
        case_ids: The training cases. [N]

    Raises:
        StudyError: There is no such column, or only one group is left.
    """
    if column not in frame.columns:
        hint = suggestion(column, free_columns(frame))
        raise StudyError(f"mitigation.groups names '{column}', which is no column. {hint}".rstrip())
    cells = case_attributes(frame, [column])
    of_cases = pl.DataFrame({"case_id": case_ids.tolist()})
    joined = of_cases.join(cells, on="case_id", how="left", maintain_order="left")
    values = joined[column].fill_null(UNKNOWN)
    counts = dict(values.value_counts().iter_rows())
    small = {name for name, count in counts.items() if count < MIN_CASES}
    largest = max(counts, key=lambda name: counts[name])
    enough = sum(counts[name] for name in small) >= MIN_CASES
    merged = RARE if enough else largest
    kept = [merged if name in small else name for name in values.to_list()]
    names = tuple(sorted(set(kept)))
    if len(names) < 2:
        raise StudyError(
            f"mitigation needs two groups of at least {MIN_CASES} training cases; column "
            f"'{column}' has one. Leave mitigation out, or take another column."
        )
    place = {name: number for number, name in enumerate(names)}
    return CaseGroups(names, np.array([place[name] for name in kept], dtype=np.int64))


def dro_case_weights(number: NDArray[np.int64], mass: Floats, weights: Floats) -> Floats:
    """Weights of a step's cases with which its loss is the weighted mean of the groups' losses.

    Args:
        number: Group of each case of the step. [B]
        mass: Entries of the loss that each case has. [B]
        weights: Of the groups, with a sum of 1. [G]

    Returns:
        Groups that are not in the step leave their weight to the others. [B]
    """
    of_group = np.bincount(number, weights=mass, minlength=len(weights))
    present = np.where(of_group > 0, weights, 0.0)
    total = float(present.sum())
    if total == 0:
        return np.ones(len(number))
    scale = np.divide(present / total * mass.sum(), of_group, where=of_group > 0, out=present * 0)
    return scale[number]


def stepped_weights(weights: Floats, losses: Floats, rate: float) -> Floats:
    """Weights of the groups after a step: those of a large loss grow (Sagawa et al. 2020, 1).

    Args:
        weights: With a sum of 1. [G]
        losses: Mean loss of each group in the step; NaN where it was not there. [G]
        rate: Of the step.
    """
    grown = weights * np.exp(rate * np.nan_to_num(losses))
    return grown / grown.sum()
