"""Few-shot episodes: so many patients of each class, drawn by seed, nested over their number.

This is the low-label protocol of BiT and of its medical re-runs (Cherti and Jitsev 2021), by
patient: a case joins with all other cases of its patient. No torch.
"""

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.config import Task
from medtransfer.seeds import text_keys, uniforms


def draw_episode(
    patient_ids: NDArray[np.str_],
    targets: NDArray[np.float64],
    task: Task,
    shots: int,
    seed: int,
) -> NDArray[np.bool_]:
    """Draw patients of each class and take all of their cases.

    Patients are taken in an order that does not depend on their number, so smaller episodes lie
    inside larger ones. A class of fewer patients gives all it has; a patient of several classes
    counts for each.

    Args:
        patient_ids: Of the cases to draw from. [N]
        targets: Of these cases, NaN where masked. [N, T]
        task: What the targets are to each other.
        shots: Patients of each class.
        seed: The run's seed.

    Returns:
        Which cases are drawn. [N]
    """
    patients, members = patient_classes(patient_ids, targets, task)
    keys = text_keys(patients.tolist())
    draws = uniforms(seed, "episode", np.zeros(len(keys), np.int64), keys)
    order = np.argsort(draws, kind="stable")
    drawn = np.zeros(len(patients), dtype=bool)
    for column in members.T:
        drawn[order[column[order]][:shots]] = True
    return np.isin(patient_ids, patients[drawn])


def patient_classes(
    patient_ids: NDArray[np.str_], targets: NDArray[np.float64], task: Task
) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Which classes patients are of.

    In a single-label task the targets are the classes. Else there is one for each target, of
    patients with a case that is positive for it (over ½), and a last one of patients with a case
    that is positive for none.

    Args:
        patient_ids: Of some cases. [N]
        targets: Of these cases, NaN where masked. [N, T]
        task: What the targets are to each other.

    Returns:
        Patients, sorted [P], and a column per class. [P, C]
    """
    positive = np.nan_to_num(targets) > 0.5
    none = ~positive.any(axis=1, keepdims=True)
    flags = positive if task == "single-label" else np.hstack([positive, none])
    patients, owner = np.unique(patient_ids, return_inverse=True)
    members = np.zeros((len(patients), flags.shape[1]), dtype=bool)
    np.logical_or.at(members, owner.ravel(), flags)
    return patients, members
