"""Folds of whole patients, for choices within the cases of another hospital."""

import numpy as np
from numpy.typing import NDArray

from medtransfer.posthoc.adaptation.arms import LocalCases
from medtransfer.seeds import generator

FOLDS = 5


def patient_folds(cases: LocalCases, seed: int) -> NDArray[np.int64]:
    """Fold of each case: patients are dealt out in turn, those with a positive case first. [n]

    Args:
        cases: Of another hospital.
        seed: Of the order of the patients.
    """
    patients, unit = np.unique(cases.patients, return_inverse=True)
    highest = np.full(len(patients), -1, dtype=np.int64)
    np.maximum.at(highest, unit.ravel(), cases.targets)
    shuffled = generator(seed, "folds").permutation(len(patients))
    order = shuffled[np.argsort(-highest[shuffled], kind="stable")]
    fold = np.empty(len(patients), dtype=np.int64)
    fold[order] = np.arange(len(patients)) % min(FOLDS, max(1, len(patients)))
    return fold[unit.ravel()]
