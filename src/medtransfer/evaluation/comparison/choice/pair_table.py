"""Differences between candidates, found in either direction, and in words."""

from collections.abc import Sequence

from medtransfer.evaluation.comparison.choice.rung_pairs import RungPair
from medtransfer.language.numbers import localised
from medtransfer.language.translation import translate


class PairTable:
    """Differences between candidates, in either direction."""

    def __init__(self, pairs: Sequence[RungPair]) -> None:
        self._pairs = {(pair.rung, pair.reference): pair for pair in pairs}

    def of(self, rung: str, other: str) -> RungPair | None:
        """Difference of a rung from another."""
        if (rung, other) in self._pairs:
            return self._pairs[rung, other]
        pair = self._pairs.get((other, rung))
        return None if pair is None else pair.reversed()


def amount_text(pair: RungPair) -> str:
    """``0.021 [0.004, 0.038]``."""
    numbers = (pair.difference, pair.low, pair.high)
    value, low, high = (localised(f"{number:.3f}".replace("-", "−")) for number in numbers)
    ends = translate("[{low}, {high}]", low=low, high=high)
    return f"{value} {ends}"
