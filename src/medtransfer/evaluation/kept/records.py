"""Records of estimates in files: their fields, and places of their numbers among arrays."""

from collections.abc import Callable
from dataclasses import dataclass

from medtransfer.evaluation.scoring.estimate import Estimate
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.statistics.small_samples import MeanSupport, Support


@dataclass(frozen=True)
class EstimateRecord:
    """An estimate as JSON; `values` and `left_out` are places of its arrays in the file."""

    values: int | None
    left_out: int | None
    cases: int
    patients: int
    positives: int | None
    reason: str | None
    support: Support | None
    of_targets: MeanSupport | None
    targets: tuple[str, ...]

    @classmethod
    def of(cls, estimate: Estimate, add: Callable[[Floats], int]) -> "EstimateRecord":
        """The record of an estimate.

        Args:
            estimate: The estimate.
            add: Adds an array to the file and gives its place.
        """
        values, left_out = estimate.values, estimate.left_out
        return cls(
            values=None if values is None else add(values),
            left_out=None if left_out is None else add(left_out),
            cases=estimate.cases,
            patients=estimate.patients,
            positives=estimate.positives,
            reason=estimate.reason,
            support=estimate.support,
            of_targets=estimate.of_targets,
            targets=estimate.targets,
        )

    def estimate(self, array: Callable[[int], Floats]) -> Estimate:
        """The estimate.

        Args:
            array: Gives the array of a place.
        """
        return Estimate(
            values=None if self.values is None else array(self.values),
            cases=self.cases,
            patients=self.patients,
            positives=self.positives,
            reason=self.reason,
            left_out=None if self.left_out is None else array(self.left_out),
            support=self.support,
            of_targets=self.of_targets,
            targets=self.targets,
        )
