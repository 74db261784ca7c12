"""Conformal prediction sets: they contain the true class at a guaranteed rate.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002): a class is
in a case's set if its nonconformity score is at most the 1 - alpha quantile of the scores that the
true classes of the tuning cases have. For a new case from the same distribution, the set contains
the true class with probability at least 1 - alpha, whatever the network. Explained in
docs/explanation/conformal.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtransfer.errors import plural
from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.coverage_law import ThresholdDraw, effective_size
from medtransfer.posthoc.tuning_split import require_tune
from medtransfer.seeds import text_keys, uniforms

ScoreKind = Literal["lac", "aps", "raps"]
PENALTY = 0.01
FREE_RANKS = 5
"""Parameters of RAPS, from its authors' tutorial (Angelopoulos and Bates 2023, ImageNet code).

They are fixed, not tuned: tuning them would cost a part of the tuning split.
"""


@dataclass(frozen=True)
class SetScore:
    """Nonconformity score of a class for a case, from its probabilities; larger is worse.

    The same rule scores tuning cases and new cases. MAPIE without randomisation at prediction still
    randomises the tuning scores, so its coverage differs from the guarantee.

    Attributes:
        kind: ``lac``: 1 - p, the least ambiguous sets (Sadinle, Lei and Wasserman 2019). ``aps``:
            the mass of the class and of all that are more probable (Romano, Sesia and Candès
            2020). ``raps``: the same with a penalty on low ranks (Angelopoulos et al. 2021).
        seed: Seed of the random part of the class's own mass that ``aps`` and ``raps`` leave out;
            None for the score without randomisation, which counts the whole mass.
        penalty: For ``raps``: penalty of each rank after the free ones.
        free_ranks: For ``raps``: number of most probable classes without a penalty.
    """

    kind: ScoreKind = "lac"
    seed: int | None = None
    penalty: float = PENALTY
    free_ranks: int = FREE_RANKS

    def of(self, probabilities: Floats, case_ids: Sequence[str] | None = None) -> Floats:
        """Scores of every class of every case.

        Args:
            probabilities: Of the positive class, or of all classes. [N] or [N, C]
            case_ids: Keys of the random draws, so that these do not depend on the other cases or
                their order. Needed with a seed. [N]

        Returns:
            With C = 2 for a binary target, the negative class first. [N, C]

        Raises:
            ValueError: There is a seed but no case ids.
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
            raise ValueError("a score with a seed needs case_ids as keys of its draws")
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
    scores = np.empty_like(mass)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


Condition = Literal["all", "class", "group"]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]

TOLERANCE = 1e-12
"""Scores within this count as equal: sums of the same probabilities differ in their last digits."""
LAC = SetScore("lac")


@dataclass(frozen=True)
class Conformal:
    """Thresholds of prediction sets, fitted on the tuning split.

    Attributes:
        alpha: Largest allowed probability that the set misses the true class.
        score: Nonconformity score.
        condition: Cases that share a threshold: ``all``; those of a true ``class``; those of a
            ``group`` (Mondrian; Vovk 2012).
        names: Names of the thresholds: ``all``, the numbers of the classes, or the groups. K
        thresholds: Largest score that is still in the set; infinite if tune has too few cases, so
            that every class is in the set. [K]
        counts: Number of tuning cases behind each threshold. [K]
        draws: The draw of tuning cases behind each threshold, for the law of the coverage. K
    """

    alpha: float
    score: SetScore
    condition: Condition
    names: tuple[str, ...]
    thresholds: Floats
    counts: NDArray[np.int64]
    draws: tuple[ThresholdDraw, ...]

    def sets(
        self,
        probabilities: Floats,
        *,
        groups: Texts | None = None,
        case_ids: Sequence[str] | None = None,
    ) -> Bools:
        """Prediction sets of cases: True for the classes in them.

        Args:
            probabilities: As in the fit: of the positive class, or of all classes.
                [N] or [N, C]
            groups: Group of each case, if the condition is ``group``. A case without a group (an
                empty text), or of a group that tune lacks, gets every class. [N]
            case_ids: Id of each case, if the score has a seed. [N]

        Returns:
            With C = 2 for a binary target, the negative class first. [N, C]

        Raises:
            ValueError: The condition is ``group`` but there are no groups.
        """
        scores = self.score.of(probabilities, case_ids)
        return scores <= self._case_thresholds(groups) + TOLERANCE

    def reason(self, name: str) -> str | None:
        """Reason that a threshold is infinite, so that its sets are full; None if it is finite."""
        num_cases = dict(zip(self.names, self.counts.tolist(), strict=True)).get(name, 0)
        minimum = min_cases(self.alpha)
        if num_cases >= minimum:
            return None
        return f"no threshold: {plural(num_cases, 'tune case')}, {minimum} needed"

    def _case_thresholds(self, groups: Texts | None) -> Floats:
        """Threshold of each case and class, broadcastable. [1 or N, 1 or C]"""
        if self.condition != "group":
            return self.thresholds[None, :]
        if groups is None:
            raise ValueError("sets with a threshold per group need the groups of the cases")
        by_group = dict(zip(self.names, self.thresholds.tolist(), strict=True))
        return np.array([by_group.get(group, np.inf) for group in groups.tolist()])[:, None]


def fit_conformal(
    classes: Labels,
    probabilities: Floats,
    *,
    splits: Texts,
    alpha: float,
    condition: Condition = "all",
    score: SetScore = LAC,
    groups: Texts | None = None,
    case_ids: Sequence[str] | None = None,
    patients: Texts | None = None,
) -> Conformal:
    """Fit thresholds on the tuning split.

    Args:
        classes: True class of each case; 0 or 1 for a binary target. [n]
        probabilities: Of the positive class, or of all classes. [n] or [n, C]
        splits: Split of each case; all must be tune. [n]
        alpha: Over 0 and under 1.
        condition: Cases that share a threshold.
        score: Nonconformity score of a class.
        groups: Group of each case, if the condition is ``group``; an empty text for none. [n]
        case_ids: Id of each case, if the score has a seed. [n]
        patients: Patient of each case, for the law of the coverage; None if each case has a
            patient of its own. The thresholds do not depend on it. [n]

    Raises:
        TableError: A case is not in the tuning split.
        ValueError: Alpha is out of range, or needed groups or case ids are missing.
    """
    require_tune(splits, len(classes), "Prediction sets")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha} (allowed: over 0 and under 1)")
    scores = score.of(probabilities, case_ids)
    true_scores = scores[np.arange(len(classes)), classes]
    names, members = _partition(condition, classes, scores.shape[1], groups)
    thresholds = [conformal_quantile(true_scores[cases], alpha) for cases in members]
    counts = np.array([cases.sum() for cases in members], dtype=np.int64)
    draws = tuple(
        _draw(true_scores[cases], t, alpha, None if patients is None else patients[cases])
        for cases, t in zip(members, thresholds, strict=True)
    )
    return Conformal(
        alpha=alpha,
        score=score,
        condition=condition,
        names=names,
        thresholds=np.array(thresholds),
        counts=counts,
        draws=draws,
    )


def _draw(scores: Floats, threshold: float, alpha: float, patients: Texts | None) -> ThresholdDraw:
    """The draw of tuning cases behind a threshold, from their true scores. [n]"""
    return ThresholdDraw(
        rank=quantile_rank(len(scores), alpha),
        held=int((scores <= threshold + TOLERANCE).sum()),
        cases=len(scores),
        effective=effective_size(scores, patients),
    )


def conformal_quantile(scores: Floats, alpha: float) -> float:
    """The ⌈(n + 1)(1 - alpha)⌉-th smallest score; infinite if there are fewer scores.

    Lei et al. 2018. Ties only raise the coverage. A class is in the set if its p-value exceeds
    alpha. crepes also keeps p-values equal to alpha: the next rank if (n + 1) alpha is an integer.

    Args:
        scores: Of the true classes. [n]
        alpha: Over 0 and under 1.
    """
    rank = quantile_rank(len(scores), alpha)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def quantile_rank(cases: int, alpha: float) -> int:
    """Rank of the threshold among the scores of the tuning cases, ⌈(n + 1)(1 - alpha)⌉."""
    # (n + 1)(1 - alpha) carries rounding: 0.9 of 10 is 9, not the next rank after it
    return max(1, math.ceil((cases + 1) * (1 - alpha) - 1e-9))


def min_cases(alpha: float) -> int:
    """Minimum of tuning cases for a finite threshold: ⌈1 / alpha⌉ - 1, so 9 at alpha = 0.1."""
    return max(1, math.ceil(1 / alpha - 1e-9) - 1)


def _partition(
    condition: Condition, classes: Labels, number: int, groups: Texts | None
) -> tuple[tuple[str, ...], list[Bools]]:
    """Names of the thresholds, and the cases that each is fitted on. K, K times [n]"""
    match condition:
        case "all":
            return ("all",), [np.ones(len(classes), dtype=np.bool_)]
        case "class":
            numbers = range(number)
            return tuple(str(c) for c in numbers), [classes == c for c in numbers]
        case "group":
            if groups is None:
                raise ValueError("thresholds per group need the groups of the cases")
            names = tuple(str(name) for name in np.unique(groups[groups != ""]))
            return names, [groups == name for name in names]
