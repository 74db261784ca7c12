"""Verdict on a network at another hospital: one of four answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medtransfer.deploy.validation.judgement import Judgement

VerdictAnswer = Literal[
    "holds", "does not hold", "holds after recalibration", "too few cases to say"
]


@dataclass(frozen=True)
class Verdict:
    """Answer to whether a network can be trusted at a hospital.

    Attributes:
        answer: One of four.
        carried: The judged metrics of the network as it was promised, on all patients.
        recalibrated: The same after recalibration, on patients that were not used for it; empty if
            the network holds as it is.
        needed: Patients that are expected to decide, if it is as good as promised; None if it is
            decided, or if no number is enough.
    """

    answer: VerdictAnswer
    carried: tuple[Judgement, ...]
    recalibrated: tuple[Judgement, ...]
    needed: int | None


def decide(carried: Sequence[Judgement], recalibrated: Sequence[Judgement]) -> Verdict:
    """Answer from the judged metrics.

    A network holds only if every metric does, so each is tested at the full level
    (intersection-union test, Berger 1982). It does not hold if any metric lies wholly below its
    promise. The recalibrated network is judged where the carried one does not hold or is unclear,
    by the same rule for holding.

    Args:
        carried: As it was promised.
        recalibrated: After recalibration; empty if that was not done.
    """
    if carried and all(judgement.side == "above" for judgement in carried):
        return Verdict("holds", tuple(carried), (), None)
    if recalibrated and all(judgement.side == "above" for judgement in recalibrated):
        return Verdict("holds after recalibration", tuple(carried), tuple(recalibrated), None)
    if any(judgement.side == "below" for judgement in carried):
        return Verdict("does not hold", tuple(carried), tuple(recalibrated), None)
    numbers = [j.needed for j in carried if j.side == "unclear"]
    finite = [number for number in numbers if number is not None]
    needed = max(finite) if finite and len(finite) == len(numbers) else None
    return Verdict("too few cases to say", tuple(carried), tuple(recalibrated), needed)
