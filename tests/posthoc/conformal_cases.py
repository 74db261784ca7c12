"""Cases of a classifier that is too sure of itself, for prediction sets."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from medtransfer.posthoc.conformal import Condition, Conformal, SetScore, fit_conformal
from medtransfer.statistics.bootstrap import Floats

SCORINGS = {
    "lac": SetScore("lac"),
    "aps": SetScore("aps"),
    "aps with draws": SetScore("aps", seed=5),
    "raps": SetScore("raps", penalty=0.1, free_ranks=1),
    "raps with draws": SetScore("raps", seed=5, penalty=0.1, free_ranks=1),
}
GROUPS = ("F", "M", "")
"""The last is no group."""


@dataclass(frozen=True)
class Drawn:
    """Cases with what a predictor needs of them.

    Attributes:
        classes: True classes. [n]
        probabilities: [n, C]
        groups: [n]
        ids: Of the cases. n
    """

    classes: NDArray[np.int64]
    probabilities: Floats
    groups: NDArray[np.str_]
    ids: list[str]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, rows: NDArray[np.int64]) -> "Drawn":
        """Some of the cases, in an order."""
        return Drawn(
            self.classes[rows],
            self.probabilities[rows],
            self.groups[rows],
            [self.ids[row] for row in rows],
        )


def tune(count: int) -> NDArray[np.str_]:
    """The tuning split, so many times."""
    return np.full(count, "tune")


def simulated(seed: int, count: int, classes: int = 4, sharpness: float = 3.0) -> Drawn:
    """Cases whose classes are drawn from what the probabilities were before sharpening."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 1.5 + np.linspace(0.5, -0.5, classes)
    honest = softmax(logits, axis=1)
    truth = (rng.random((count, 1)) > np.cumsum(honest, axis=1)[:, :-1]).sum(axis=1)
    groups = rng.choice(GROUPS, p=[0.5, 0.4, 0.1], size=count)
    ids = [f"{seed}-{number}" for number in range(count)]
    return Drawn(truth, softmax(sharpness * logits, axis=1), groups, ids)


def drawn_cases(least: int = 1, most: int = 40, classes: int = 3) -> st.SearchStrategy[Drawn]:
    """Cases with logits in halves, so that many scores are tied."""
    case = st.tuples(
        st.integers(0, classes - 1),
        st.tuples(*[st.integers(-4, 4)] * classes),
        st.sampled_from(GROUPS),
    )
    return st.lists(case, min_size=least, max_size=most).map(
        lambda cases: Drawn(
            np.array([c for c, _, _ in cases]),
            softmax(np.array([x for _, x, _ in cases]) / 2, axis=1),
            np.array([g for _, _, g in cases]),
            [f"case {number}" for number in range(len(cases))],
        )
    )


def fitted(
    cases: Drawn, alpha: float, condition: Condition = "all", scoring: SetScore = SCORINGS["lac"]
) -> Conformal:
    """A predictor fitted on all of the cases."""
    return fit_conformal(
        cases.classes,
        cases.probabilities,
        splits=tune(len(cases)),
        alpha=alpha,
        condition=condition,
        score=scoring,
        groups=cases.groups,
        case_ids=cases.ids,
    )


def sets_of(predictor: Conformal, cases: Drawn) -> NDArray[np.bool_]:
    """The sets of cases."""
    return predictor.sets(cases.probabilities, groups=cases.groups, case_ids=cases.ids)


def is_covered(sets: NDArray[np.bool_], classes: NDArray[np.int64]) -> Floats:
    """1 for each case whose true class is in its set, else 0. [N, C], [N] -> [N]"""
    return sets[np.arange(len(classes)), classes].astype(np.float64)
