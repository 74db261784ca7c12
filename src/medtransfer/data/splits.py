"""Who is trained on, tuned on and tested on: by patient, stratified, deterministic.

Stratification is iterative (Sechidis, Tsoumakas and Vlahavas 2011), so rare findings of a
multi-label task are shared out first. Label fractions are nested: every smaller training set lies
inside the larger.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig, SplitConfig
from medtransfer.data.labels import NUMBER, case_labels, label_columns, targets_of
from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.seeds import generator, text_keys, uniforms
from medtransfer.tables.manifest import SPLITS, Manifest


def assign_splits(manifest: Manifest, data: DataConfig) -> pl.DataFrame:
    """Give every manifest row its split.

    Rows of the training cohorts get ``train``, ``tune`` or ``test``: from the manifest's `split`
    column if it has one, else by a stratified draw of patients. Rows of every other cohort are
    shifted test data: ``test``.

    Args:
        manifest: The images.
        data: Targets to stratify by, and the split's settings.

    Returns:
        The manifest's frame with the `split` column set.

    Raises:
        TableError: A training cohort does not exist, or a cohort that is to be trained on again
            has no patient to spare.
    """
    frame = manifest.frame
    internal = internal_rows(frame, data.split)
    if "split" in frame.columns:
        drawn = pl.col("split")
    else:
        table = _draw_splits(_split_columns(frame, data).filter(internal), data)
        owners = frame.select("patient_id")
        drawn = owners.join(table, on="patient_id", how="left", maintain_order="left")["split"]
    again = _retrained_patients(manifest.frame, data)
    elsewhere = pl.when(pl.col("patient_id").is_in(again)).then(pl.lit("train")).otherwise(
        pl.lit("test")
    )  # fmt: skip
    if data.split.retrain is not None:
        elsewhere = pl.when(pl.col("cohort") == data.split.retrain.cohort).then(elsewhere)
        elsewhere = elsewhere.otherwise(pl.lit("test"))
    return frame.with_columns(pl.when(internal).then(drawn).otherwise(elsewhere).alias("split"))


def _split_columns(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """What a split is drawn from; the rest of a table of millions of rows is not copied."""
    names = ["case_id", "patient_id", "cohort", *data.split.group_columns, *label_columns(data)]
    return frame.select(list(dict.fromkeys(names)))


def internal_rows(frame: pl.DataFrame, split: SplitConfig) -> pl.Series:
    """Which rows belong to the training cohorts.

    Raises:
        TableError: A training cohort does not exist.
    """
    if split.train_cohorts is None:
        return pl.Series(np.ones(len(frame), dtype=bool))
    known = sorted(frame["cohort"].unique().to_list())
    missing = [name for name in split.train_cohorts if name not in known]
    if missing:
        raise TableError(
            f"data.split.train_cohorts names {listed(missing)}, which is not a cohort of the "
            f"manifest (cohorts: {listed(known)}). {suggestion(missing[0], known)}".rstrip()
        )
    return frame["cohort"].is_in(list(split.train_cohorts))


def divided_rows(frame: pl.DataFrame, split: SplitConfig) -> pl.Series:
    """Which rows belong to cohorts that are partly trained on: those, and one trained on again."""
    internal = internal_rows(frame, split)
    again = split.retrain
    return internal if again is None else internal | (frame["cohort"] == again.cohort)


def shifted_cohorts(frame: pl.DataFrame, split: SplitConfig) -> list[str]:
    """Cohorts that are not trained on, sorted."""
    return frame.filter(~internal_rows(frame, split))["cohort"].unique().sort().to_list()


def leave_one_cohort_out(frame: pl.DataFrame, split: SplitConfig) -> list[SplitConfig]:
    """One split per cohort, with that cohort held out as shifted test data.

    Raises:
        TableError: There is only one cohort.
    """
    cohorts = sorted(frame["cohort"].unique().to_list())
    if len(cohorts) < 2:
        raise TableError(
            f"leave_cohort_out needs at least two cohorts; the manifest has one ({cohorts[0]})."
        )
    return [
        split.model_copy(update={"train_cohorts": tuple(c for c in cohorts if c != held_out)})
        for held_out in cohorts
    ]


def training_patients(
    patients: Sequence[str], strata: NDArray[np.bool_], fraction: float, seed: int
) -> set[str]:
    """Draw a share of the training patients, stratified and nested.

    Each patient gets a place in (0, 1) inside its stratum; the share with the lowest places is
    taken. Places do not depend on the share, so smaller draws lie inside larger ones.

    Args:
        patients: All training patients, each once. [P]
        strata: What to balance, e.g. which findings the patient has. [P, L]
        fraction: Share to take, over 0 up to 1; at least one patient is taken.
        seed: The run's seed.

    Returns:
        The patients drawn.
    """
    names = np.array(patients)
    draws = uniforms(seed, "label fraction", np.zeros(len(names), np.int64), text_keys(list(names)))
    _, stratum = np.unique(strata, axis=0, return_inverse=True)
    order = np.lexsort((draws, stratum.ravel()))
    sorted_strata = stratum.ravel()[order]
    starts = np.searchsorted(sorted_strata, sorted_strata)
    sizes = np.bincount(sorted_strata)[sorted_strata]
    places = (np.arange(len(names)) - starts + draws[order]) / sizes
    count = max(1, round(fraction * len(names)))
    return set(names[order][np.argsort(places, kind="stable")[:count]])


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
        one = best[0] if len(best) == 1 else int(rng.choice(best))
        for label in carried[start:end]:
            wanted[one][label] -= 1
        room[one] -= 1
        chosen.append(one)
        start = end
    return chosen


def patient_labels(frame: pl.DataFrame, data: DataConfig) -> tuple[list[str], NDArray[np.bool_]]:
    """Which labels each patient carries in any case, and which cohorts they come from.

    Returns:
        Patients in sorted order [P], and a column per target (any case above 0.5) and per cohort
        where there are several. [P, L]
    """
    number = frame["case_id"].rank("dense").alias(NUMBER)
    first = number.arg_unique()
    place = number.gather(first).arg_sort()
    owners = frame["patient_id"].gather(first).gather(place)
    targets = targets_of(case_labels(frame, data), data) > 0.5
    columns = {f"t{i}": targets[:, i] for i in range(targets.shape[1])}
    table = pl.DataFrame({NUMBER: owners.rank("dense"), **columns})
    table = table.group_by(NUMBER).agg(pl.col(name).any() for name in columns).sort(NUMBER)
    patients = owners.gather(owners.rank("dense").arg_unique()).sort()
    cohorts = frame.group_by("patient_id").agg(pl.col("cohort").first()).sort("patient_id")
    table = table.with_columns(cohorts["cohort"], patients.alias("patient_id"))
    flags = [table[name].to_numpy() for name in columns]
    names = sorted(frame["cohort"].unique().to_list())
    flags += [(table["cohort"] == name).to_numpy() for name in names] if len(names) > 1 else []
    return table["patient_id"].to_list(), np.stack(flags, axis=1).astype(bool)


def _retrained_patients(frame: pl.DataFrame, data: DataConfig) -> list[str]:
    """Patients of a shifted cohort that are set apart for training again."""
    again = data.split.retrain
    if again is None:
        return []
    own = frame.filter(pl.col("cohort") == again.cohort)
    if "split" in frame.columns:
        apart = own.filter(pl.col("split") != "test")["patient_id"].unique().sort().to_list()
    elif own.is_empty():
        apart = []
    else:
        patients, labels = patient_labels(own, data)
        unit, unit_labels = _units(own, patients, labels, data.split.group_columns)
        rng = generator(data.split.seed, "retrain", again.cohort)
        subset = stratify(unit_labels, (again.pool, 1 - again.pool), rng)[unit]
        apart = [name for name, part in zip(patients, subset, strict=True) if part == 0]
    if not 0 < len(apart) < own["patient_id"].n_unique():
        raise TableError(
            f"Cohort '{again.cohort}' has {plural(own['patient_id'].n_unique(), 'patient')}, of "
            f"whom {len(apart)} could be trained on again; some must train and some must test."
        )
    return apart


def _units(
    frame: pl.DataFrame, patients: list[str], labels: NDArray[np.bool_], columns: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Number of each patient's unit [P], and which labels each unit carries. [U, L]"""
    unit = _linked_units(frame, patients, columns)
    unit_labels = np.zeros((int(unit.max()) + 1, labels.shape[1]), dtype=bool)
    np.logical_or.at(unit_labels, unit, labels)
    return unit, unit_labels


def _draw_splits(frame: pl.DataFrame, data: DataConfig) -> pl.DataFrame:
    """`patient_id` and `split` of every patient, linked patients together."""
    patients, labels = patient_labels(frame, data)
    unit, unit_labels = _units(frame, patients, labels, data.split.group_columns)
    split = data.split
    shares = (
        1 - split.tune_fraction - split.test_fraction,
        split.tune_fraction,
        split.test_fraction,
    )
    subset = stratify(unit_labels, shares, generator(split.seed, "split"))
    names = np.array(SPLITS)[subset[unit]]
    return pl.DataFrame({"patient_id": patients, "split": names})


def _linked_units(
    frame: pl.DataFrame, patients: list[str], columns: Sequence[str]
) -> NDArray[np.int64]:
    """Number patients so that those who share a group value share a number. [P]"""
    if not columns:
        return np.arange(len(patients), dtype=np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = {name: i for i, name in enumerate(patients)}
    first: list[int] = []
    second: list[int] = []
    for column in columns:
        shared = frame.filter(pl.col(column).is_not_null())
        groups = shared.group_by(column, maintain_order=True).agg(pl.col("patient_id").unique())
        for members in groups["patient_id"].to_list():
            first += [place[members[0]]] * len(members)
            second += [place[name] for name in members]
    ones = np.ones(len(first), dtype=np.int8)
    links = coo_array((ones, (first, second)), shape=(len(patients), len(patients)))
    _, unit = connected_components(links, directed=False)
    return np.asarray(unit, dtype=np.int64)
