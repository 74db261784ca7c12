"""Convergence: training steps until most of the final tuning AUROC is reached. No torch."""

from collections.abc import Sequence
from itertools import pairwise

CHANCE = 0.5
SHARE = 0.95
NEVER_ABOVE_CHANCE = "the last tuning AUROC is not above 0.5"


def steps_to_share(steps: Sequence[int], aurocs: Sequence[float | None]) -> float | None:
    """Steps until 95 % of the way from chance to the last tuning AUROC is first reached.

    Between two looks the AUROC is taken as a straight line; before the first look it rises from
    chance at step 0.

    Args:
        steps: Finished steps at each look, rising.
        aurocs: Tuning AUROC at each; looks without one are left out.

    Returns:
        None where the last AUROC is not above chance.
    """
    looks = [(0.0, CHANCE)]
    looks += [(float(s), a) for s, a in zip(steps, aurocs, strict=True) if a is not None]
    final = looks[-1][1]
    if final <= CHANCE:
        return None
    goal = CHANCE + SHARE * (final - CHANCE)
    for (start, low), (end, high) in pairwise(looks):
        if high >= goal:
            return start + (goal - low) / (high - low) * (end - start)
    return looks[-1][0]
