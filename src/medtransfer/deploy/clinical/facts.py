"""Clinical data that the networks of a bundle see: columns, and how each becomes numbers."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from medtransfer.data.covariates.encoding import CovariateColumn, CovariateEncoding

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
MAX_VALUES = 10_000


@dataclass(frozen=True, config=STRICT)
class CovariateFacts:
    """One column of clinical data, as a network was trained to see it.

    A missing value, one that is no number where numbers are meant, and a value that is no category
    are zeros with a flag at one.

    Attributes:
        name: Of the column.
        categories: Values, each a column of 0 and 1 before the flag; empty for a number.
        mean: Subtracted from a number.
        deviation: Divisor after that.
        low: The fifth lowest value of the training cases, for a number; None where it is not known.
        high: The fifth highest, likewise.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    categories: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=10_000)], ...],
        Field(max_length=MAX_VALUES),
    ]
    mean: float
    deviation: Annotated[float, Field(gt=0)]
    low: float | None = None
    high: float | None = None


def covariate_facts(encoding: CovariateEncoding | None) -> tuple[CovariateFacts, ...]:
    """Facts of a run's encoding; none without one."""
    columns = () if encoding is None else encoding.columns
    return tuple(
        CovariateFacts(
            name=column.name,
            categories=column.categories,
            mean=column.mean,
            deviation=column.deviation,
            low=column.low,
            high=column.high,
        )
        for column in columns
    )


def bundled_covariates(
    encodings: Iterable[CovariateEncoding | None],
) -> tuple[tuple[CovariateFacts, ...], ...]:
    """Facts of the encodings of a bundle's networks; empty if they see no clinical data."""
    facts = tuple(covariate_facts(encoding) for encoding in encodings)
    return facts if any(facts) else ()


def encodings_of(
    clinical: Sequence[Sequence[CovariateFacts]], members: int
) -> list[CovariateEncoding | None]:
    """The encoding of each network of a bundle; None where it sees no clinical data.

    Args:
        clinical: Facts of each network; empty where none sees any.
        members: Number of networks.
    """
    return [encoding_of(of_member) for of_member in clinical] if clinical else [None] * members


def encoding_of(facts: Sequence[CovariateFacts]) -> CovariateEncoding | None:
    """The encoding that facts describe; None if there are none."""
    if not facts:
        return None
    return CovariateEncoding(
        tuple(
            CovariateColumn(f.name, f.categories, f.mean, f.deviation, low=f.low, high=f.high)
            for f in facts
        )
    )
