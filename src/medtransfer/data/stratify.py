"""Patients drawn by chance: into splits, and into nested shares of the training patients.

Stratification is iterative (Sechidis, Tsoumakas and Vlahavas 2011), so rare findings of a
multi-label task are shared out first. Label fractions are nested: every smaller training set lies
inside the larger.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.case_index import CodeArray
from medtransfer.seeds import generator, text_keys, uniforms

Purpose = tuple[int, *tuple[str, ...]]
"""Seed and names of a generator."""
MAX_KEPT = 4
"""Draws that are kept."""
_LATEST: dict[str, NDArray[np.uint8]] = {}


def patient_labels(
    patients: CodeArray,
    first: CodeArray,
    chosen: NDArray[np.bool_],
    positive: Iterable[NDArray[np.bool_]],
    cohorts: pl.Series,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Labels that each patient carries in any of some cases, and their cohorts.

    Args:
        patients: Patient of each case, by number. [N]
        first: First row of each case. [N]
        chosen: The cases to look at. [N]
        positive: Which cases carry each label. L times [N]
        cohorts: Of each case. [N]

    Returns:
        The patients by number, in order [P], and a column per label and per cohort where there are
        several; a patient is of the cohort of the first row. [P, L]
    """
    count = int(patients.max()) + 1 if len(patients) else 0

    def carried(which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        flags = np.zeros(count, dtype=bool)
        flags[patients[which]] = True
        return flags

    carriers = np.flatnonzero(carried(chosen))
    flags = [carried(chosen & which)[carriers] for which in positive]
    names = cohorts.filter(pl.Series(chosen)).unique().cast(pl.String).sort().to_list()
    if len(names) > 1:
        members = np.flatnonzero(chosen)
        members = members[np.argsort(first[members])[::-1]]
        earliest = np.zeros(count, dtype=np.int64)
        earliest[patients[members]] = members  # the last one stands
        theirs = cohorts.gather(earliest[carriers])
        flags += [(theirs == name).to_numpy() for name in names]
    return carriers, np.stack(flags, axis=1)


def training_patients(
    patients: Collection[str], strata: NDArray[np.bool_], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Draw a share of the training patients, stratified and nested.

    Each patient gets a place in (0, 1) inside its stratum; the share with the lowest places is
    taken. Places do not depend on the share, so smaller draws lie inside larger ones.

    Args:
        patients: All training patients, each once. [P]
        strata: What to balance, e.g. which findings the patient has. [P, L]
        fraction: Share to take, over 0 up to 1; at least one patient is taken.
        seed: The run's seed.

    Returns:
        Who is drawn. [P]
    """
    total = len(patients)
    draws = uniforms(seed, "label fraction", np.zeros(total, np.int64), text_keys(patients))
    _, stratum = np.unique(strata, axis=0, return_inverse=True)
    order = np.lexsort((draws, stratum.ravel()))
    sorted_strata = stratum.ravel()[order]
    starts = np.searchsorted(sorted_strata, sorted_strata)
    sizes = np.bincount(sorted_strata)[sorted_strata]
    places = (np.arange(total) - starts + draws[order]) / sizes
    count = max(1, round(fraction * total))
    drawn = np.zeros(total, dtype=bool)
    drawn[order[np.argsort(places, kind="stable")[:count]]] = True
    return drawn


def stratified(
    labels: NDArray[np.bool_], shares: Sequence[float], purpose: Purpose
) -> NDArray[np.int64]:
    """Share units out as `stratify` does; the same draw as one of the latest is not made again.

    Every run of a study asks for the split of the same patients.

    Args:
        labels: Which labels each unit carries. [N, L]
        shares: Wanted share of each subset, summing to 1. [K]
        purpose: Seed and names of the generator.

    Returns:
        Subset number of each unit, 0 to K-1. [N]
    """
    asked = repr((labels.shape, tuple(shares), purpose)).encode()
    key = hashlib.sha256(asked + np.packbits(labels).tobytes()).hexdigest()
    if key not in _LATEST:
        while len(_LATEST) >= MAX_KEPT:
            _LATEST.pop(next(iter(_LATEST)), None)
        _LATEST[key] = stratify(labels, shares, generator(*purpose)).astype(np.uint8)
    return _LATEST[key].astype(np.int64)


def stratify(
    labels: NDArray[np.bool_], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Share units out over subsets so that every label is spread in proportion.

    Args:
        labels: Which labels each unit carries. [N, L]
        shares: Wanted share of each subset, summing to 1. [K]
        rng: Breaks ties and sets the order.

    Returns:
        Subset number of each unit, 0 to K-1. [N]
    """
    count = len(labels)
    wanted: list[list[float]] = np.outer(shares, labels.sum(axis=0)).astype(float).tolist()
    room: list[float] = (np.array(shares, dtype=float) * count).tolist()
    subset = np.full(count, -1, dtype=np.int64)
    shuffled = rng.permutation(count)
    while True:
        left = labels[subset < 0].sum(axis=0)
        if not left.any():
            break
        rarest = int(np.argmin(np.where(left > 0, left, count + 1)))
        units = shuffled[labels[shuffled, rarest] & (subset[shuffled] < 0)]
        subset[units] = _share_out(labels[units], rarest, wanted, room, rng)
    units = shuffled[subset[shuffled] < 0]
    subset[units] = _share_out(labels[units], None, wanted, room, rng)
    return subset


def _share_out(
    labels: NDArray[np.bool_],
    rarest: int | None,
    wanted: list[list[float]],
    room: list[float],
    rng: np.random.Generator,
) -> list[int]:
    """Give units one by one to the subset that wants most; ties by room left, then by chance.

    `wanted` and `room` are counted down. They are plain numbers: there may be millions of units,
    and arrays of three are slow.
    """
    chosen: list[int] = []
    ends = np.cumsum(labels.sum(axis=1)).tolist()
    carried: list[int] = np.nonzero(labels)[1].tolist()
    start = 0
    for end in ends:
        want = room if rarest is None else [row[rarest] for row in wanted]
        most = max(want)
        best = [k for k, value in enumerate(want) if value == most]
        if len(best) > 1:
            roomiest = max(room[k] for k in best)
            best = [k for k in best if room[k] == roomiest]
        choice = best[0] if len(best) == 1 else best[int(rng.integers(0, len(best)))]
        for label in carried[start:end]:
            wanted[choice][label] -= 1
        room[choice] -= 1
        chosen.append(choice)
        start = end
    return chosen


def balanced_order(
    number: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """An epoch in which every group comes equally often: its cases, and how often each came before.

    A group of fewer cases than its share starts over in another order; of a larger one some cases
    wait for another epoch.

    Args:
        number: Group of each case. [N]
        rng: Of the epoch.

    Returns:
        [N], [N]
    """
    groups = np.unique(number)
    shares = np.diff(np.linspace(0, len(number), len(groups) + 1).round().astype(np.int64))
    rows: list[NDArray[np.int64]] = []
    repeats: list[NDArray[np.int64]] = []
    for group, share in zip(groups, rng.permutation(shares), strict=True):
        members = np.flatnonzero(number == group)
        rounds = -(-int(share) // len(members))
        drawn = np.concatenate([rng.permutation(members) for _ in range(max(1, rounds))])
        rows.append(drawn[:share])
        repeats.append(np.arange(int(share), dtype=np.int64) // len(members))
    order = rng.permutation(len(number))
    return np.concatenate(rows)[order], np.concatenate(repeats)[order]
