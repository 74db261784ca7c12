"""How badly a class fits a case: the scores that prediction sets are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medtransfer.metrics.kernels import Floats
from medtransfer.seeds import text_keys, uniforms

ScoreKind = Literal["lac", "aps", "raps"]
PENALTY = 0.01
FREE_RANKS = 5
"""What the authors of RAPS use in their tutorial (Angelopoulos and Bates 2023, its ImageNet code).

They are fixed, not chosen: a choice would cost a part of the tuning split.
"""


@dataclass(frozen=True)
class Scoring:
    """How badly a class fits a case, from its probabilities; larger is worse.

    The same rule scores the tuning cases and the new ones. MAPIE without a draw at prediction still
    draws for the tuning cases, so its sets hold the true class more or less often than promised.

    Attributes:
        kind: ``lac``: 1 - p, the least ambiguous sets (Sadinle, Lei and Wasserman 2019). ``aps``:
            the mass of the class and of all that are more probable (Romano, Sesia and Candès
            2020). ``raps``: the same with a penalty on low ranks (Angelopoulos et al. 2021).
        seed: Of the draw that takes a part of the class's own mass out of ``aps`` and ``raps``;
            None for the score without a draw, where the whole mass counts.
        penalty: Of ``raps``, for each rank after the free ones.
        free_ranks: Of ``raps``, how many of the most probable classes have no penalty.
    """

    kind: ScoreKind = "lac"
    seed: int | None = None
    penalty: float = PENALTY
    free_ranks: int = FREE_RANKS

    def of(self, probabilities: Floats, case_ids: Sequence[str] | None = None) -> Floats:
        """The score of every class of every case.

        Args:
            probabilities: Of the positive class, or of all classes. [N] or [N, C]
            case_ids: Name each case's draw, which so depends on neither order nor company. Needed
                with a seed. [N]

        Returns:
            With C = 2 for a binary target, the negative class first. [N, C]

        Raises:
            ValueError: There is a seed and no case ids.
        """
        table = two_classes(probabilities) if probabilities.ndim == 1 else probabilities
        if self.kind == "lac":
            return 1 - table
        penalty = self.penalty if self.kind == "raps" else 0.0
        return _ordered_mass(table, self._draws(case_ids), penalty, self.free_ranks)

    def _draws(self, case_ids: Sequence[str] | None) -> Floats | None:
        if self.seed is None:
            return None
        if case_ids is None:
            raise ValueError("a score with a seed needs case_ids to name its draws")
        first = np.zeros(len(case_ids), dtype=np.int64)
        return uniforms(self.seed, "conformal", first, text_keys(list(case_ids)))


def two_classes(probabilities: Floats) -> Floats:
    """Probabilities of both classes of a binary target, the negative first. [N] to [N, 2]"""
    return np.stack([1 - probabilities, probabilities], axis=1)


def _ordered_mass(
    probabilities: Floats, draws: Floats | None, penalty: float, free_ranks: int
) -> Floats:
    """``p_(1) + … + p_(r) - u p_(r) + penalty (r - free_ranks)₊`` for the class of rank r. [N, C]

    Among equally probable classes the lower one comes first, as in `top_k_accuracy`.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    mass = np.cumsum(ordered, axis=1)
    if draws is not None:
        mass -= draws[:, None] * ordered
    rank = np.arange(1, probabilities.shape[1] + 1, dtype=np.int64)
    mass += penalty * np.maximum(0, rank - free_ranks)
    found = np.empty_like(mass)
    np.put_along_axis(found, order, mass, axis=1)
    return found
