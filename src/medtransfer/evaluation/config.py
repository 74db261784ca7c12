"""How predictions are scored. Changing it scores runs again; it runs nothing again."""

from typing import Annotated

from pydantic import Field

from medtransfer.settings import Settings, scoring

Point = Annotated[str, Field(pattern=r"^(youden|(sens|spec)([1-9]\d?))$")]


class EvaluationConfig(Settings):
    """Intervals, operating points and the least group size."""

    operating_points: tuple[Point, ...] = scoring(("sens90",))
    """Fixed on the tuning split and carried to every cohort and group: `sens90` (90 %
    sensitivity), `spec80` (80 % specificity), `youden`."""
    replicates: int = scoring(1000, ge=0, le=100_000)
    """Bootstrap replicates, by patient."""
    permutations: int = scoring(1000, ge=0, le=100_000)
    """Permutations in the test of "no difference between groups"."""
    minimum_group: int = scoring(10, ge=1)
    """Groups of fewer cases are reported as counts only."""
    seed: int = scoring(0, ge=0)
    """Of replicates and permutations."""
