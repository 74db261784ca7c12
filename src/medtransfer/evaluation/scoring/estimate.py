"""One metric of some cases, in the sample and in every replicate."""

from dataclasses import dataclass

from medtransfer.metrics.kernels.sums import Floats

NO_INTERVAL = "no interval: undefined in over half of the replicates"
ONE_PATIENT = "no interval: one patient"
Key = tuple[str, str]
"""Target and metric."""


@dataclass(frozen=True)
class Estimate:
    """One metric of one slice.

    Attributes:
        values: In the sample and in every replicate; None where it is undefined. Replicates of
            one patient tell nothing, and are NaN. [1 + R]
        cases: Behind it.
        patients: Behind it.
        positives: Among the cases, for a binary target.
        reason: Why it is undefined.
        left_out: Without each group of patients in turn, for a BCa interval. [J]
    """

    values: Floats | None
    cases: int
    patients: int
    positives: int | None = None
    reason: str | None = None
    left_out: Floats | None = None


Estimates = dict[Key, Estimate]
