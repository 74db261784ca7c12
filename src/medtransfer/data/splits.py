"""Training, tuning and test splits: by patient, stratified, deterministic."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.case_index import CaseNumbers
from medtransfer.data.config import DataConfig, SplitConfig, Task
from medtransfer.data.labels import case_labels, target_of
from medtransfer.data.stratify import Purpose, patient_labels, stratified
from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.seeds import text_keys, uniforms
from medtransfer.tables.manifest import SPLITS, Manifest, label_text

SPLIT = pl.Enum(SPLITS)
TEST = "test"
OUTLIERS = "(outlier classes)"
"""Cohort of the cases of classes that no network learns."""


def set_outliers_apart(manifest: Manifest, data: DataConfig) -> Manifest:
    """Bring the cases of outlier classes into a cohort of their own, without labels, to be tested.

    A patient's other cases may be trained on. So a case of an outlier class is left out where its
    patient has a case of another class.

    Args:
        manifest: The images.
        data: Names the class column and the outlier classes.

    Returns:
        The manifest without the cases that are left out, with a sentence on both.

    Raises:
        TableError: A class is in no row, no case is left, or a cohort has the name that is needed.
    """
    frame, column = manifest.frame, data.class_column
    if not data.outlier_classes or column is None:
        return manifest
    classes = label_text(column)
    present = frame.select(classes)[column].drop_nulls().unique().sort().to_list()
    absent = [name for name in data.outlier_classes if name not in present]
    if absent:
        near = suggestion(absent[0], present)
        raise TableError(
            f"data.outlier_classes names {listed(absent)}, which no row of '{column}' has. "
            f"{near}".rstrip()
        )
    if OUTLIERS in frame["cohort"]:
        raise TableError(f"A cohort is called '{OUTLIERS}': rename it to use outlier_classes.")
    is_outlier = classes.is_in(list(data.outlier_classes)).fill_null(value=False)
    marked = frame.with_columns(is_outlier.any().over("case_id").alias("_outlier"))
    kept = marked.filter(~pl.col("_outlier") | pl.col("_outlier").all().over("patient_id"))
    apart, left_out = (
        table.filter("_outlier")["case_id"].n_unique() if len(table) else 0
        for table in (kept, marked.join(kept, on="image_id", how="anti"))
    )
    if not apart:
        raise TableError(
            "Every patient with a case of data.outlier_classes has a case of another class too: "
            "no case is left to be tested as an outlier."
        )
    moved = {"cohort": pl.lit(OUTLIERS), column: pl.lit(None)}
    if "split" in frame.columns:
        moved["split"] = pl.lit(TEST)
    changed = [
        pl.when("_outlier").then(value).otherwise(pl.col(name)).alias(name)
        for name, value in moved.items()
    ]
    note = (
        f"{plural(apart, 'case')} of outlier classes ({listed(data.outlier_classes)}) "
        f"{'is' if apart == 1 else 'are'} tested and not trained on"
    )
    if left_out:
        note += f"; {left_out:,} more left out, whose patients have cases of other classes"
    frame = kept.with_columns(changed).drop("_outlier")
    return replace(manifest, frame=frame, notes=(*manifest.notes, f"{note}."))


def assign_splits(manifest: Manifest, data: DataConfig) -> pl.DataFrame:
    """Give every manifest row its split.

    Rows of the training cohorts get ``train``, ``tune`` or ``test``: from the manifest's `split`
    column if it has one, else by a stratified draw of patients. Rows of every other cohort are
    shifted test data: ``test``.

    Args:
        manifest: The images.
        data: Targets to stratify by, and the split's settings.

    Returns:
        The manifest's frame with the `split` column set, as categories.

    Raises:
        TableError: A training cohort does not exist, or a cohort that is to be trained on again
            has no patient to spare.
    """
    frame = manifest.frame
    internal = internal_rows(frame, data.split)
    cases = CaseNumbers.of(frame)
    if "split" in frame.columns:
        drawn = frame["split"].cast(SPLIT)
    else:
        drawn = _draw_splits(frame, cases, cases.at_first(internal), data)
    elsewhere = _elsewhere(frame, cases, data)
    return frame.with_columns(pl.when(internal).then(drawn).otherwise(elsewhere).alias("split"))


def internal_rows(frame: pl.DataFrame, split: SplitConfig) -> pl.Series:
    """Mask of the rows of the training cohorts.

    Raises:
        TableError: A training cohort does not exist.
    """
    if split.train_cohorts is None:
        of_all = np.ones(len(frame), dtype=bool)
        return frame["cohort"] != OUTLIERS if "cohort" in frame.columns else pl.Series(of_all)
    cohorts = hospitals(frame)
    missing = [name for name in split.train_cohorts if name not in cohorts]
    if missing:
        raise TableError(
            f"data.split.train_cohorts names {listed(missing)}, which is not a cohort of the "
            f"manifest (cohorts: {listed(cohorts)}). {suggestion(missing[0], cohorts)}".rstrip()
        )
    return frame["cohort"].is_in(list(split.train_cohorts))


def divided_rows(frame: pl.DataFrame, split: SplitConfig) -> pl.Series:
    """Mask of the rows of cohorts used in training: the training cohorts and a retrained one."""
    internal = internal_rows(frame, split)
    again = split.retrain
    return internal if again is None else internal | (frame["cohort"] == again.cohort)


def shifted_cohorts(frame: pl.DataFrame, split: SplitConfig) -> list[str]:
    """Cohorts that are not trained on, sorted; outlier classes are none."""
    return hospitals(frame.filter(~internal_rows(frame, split)))


def hospitals(frame: pl.DataFrame) -> list[str]:
    """Cohorts by name, without that of outlier classes."""
    return [name for name in frame["cohort"].unique().sort().to_list() if name != OUTLIERS]


def leave_one_cohort_out(frame: pl.DataFrame, split: SplitConfig) -> list[SplitConfig]:
    """One split per cohort, with that cohort held out as shifted test data.

    Raises:
        TableError: There is only one cohort.
    """
    cohorts = hospitals(frame)
    if len(cohorts) < 2:
        raise TableError(
            f"leave_cohort_out needs at least two cohorts; the manifest has one ({cohorts[0]})."
        )
    return [
        split.model_copy(update={"train_cohorts": tuple(c for c in cohorts if c != held_out)})
        for held_out in cohorts
    ]


def _elsewhere(frame: pl.DataFrame, cases: CaseNumbers, data: DataConfig) -> pl.Series:
    """Splits of rows outside the training cohorts: ``train`` for those trained on again. [R]"""
    again = data.split.retrain
    if again is None:
        return pl.Series([TEST], dtype=SPLIT).new_from_index(0, len(frame))
    retrained = cases.at_first(frame["cohort"] == again.cohort)
    apart = np.zeros(cases.num_patients, dtype=bool)
    if "split" in frame.columns:
        kept = (frame["cohort"] == again.cohort) & (frame["split"] != TEST)
        apart[cases.patients[cases.rows[kept.to_numpy()]]] = True
    elif retrained.any():
        shares, purpose = (again.pool, 1 - again.pool), (data.split.seed, "retrain", again.cohort)
        patients, subset = _shared_out(
            frame, cases, retrained, data, shares=shares, purpose=purpose
        )
        apart[patients] = subset == 0
    count = len(np.unique(cases.patients[retrained]))
    if not 0 < apart.sum() < count:
        raise TableError(
            f"Cohort '{again.cohort}' has {plural(count, 'patient')}, of "
            f"whom {apart.sum()} could be trained on again; some must train and some must test."
        )
    trained = retrained & apart[cases.patients]
    return _as_splits(np.where(trained, SPLITS.index("train"), SPLITS.index(TEST))[cases.rows])


def _draw_splits(
    frame: pl.DataFrame, cases: CaseNumbers, chosen: NDArray[np.bool_], data: DataConfig
) -> pl.Series:
    """The split of each row, drawn for the patients of some cases. [R]"""
    split = data.split
    shares = (
        1 - split.tune_fraction - split.test_fraction,
        split.tune_fraction,
        split.test_fraction,
    )
    purpose = split.seed, "split"
    patients, subset = _shared_out(frame, cases, chosen, data, shares=shares, purpose=purpose)
    drawn = np.zeros(cases.num_patients, dtype=np.uint8)
    drawn[patients] = subset
    return _as_splits(drawn[cases.patients][cases.rows])


def _as_splits(numbers: NDArray[np.integer[Any]]) -> pl.Series:
    """Names of the splits: 0 is the first of `SPLITS`. [R]"""
    return pl.Series(numbers.astype(np.uint8)).cast(pl.UInt32).cat.to(SPLIT)


def _shared_out(
    frame: pl.DataFrame,
    cases: CaseNumbers,
    chosen: NDArray[np.bool_],
    data: DataConfig,
    shares: Sequence[float],
    purpose: Purpose,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The patients of some cases, and which subset each is in; linked patients are in one. [P]"""
    given = case_labels(frame, data, cases.rows)
    positive = (target_of(given, data, name) > 0.5 for name in data.names)
    cohorts = cases.of_first(frame["cohort"])
    patients, labels = patient_labels(cases.patients, cases.first, chosen, positive, cohorts)
    unit = _linked_units(frame, cases, chosen, patients, data.split.group_columns)
    unit_labels = np.zeros((int(unit.max()) + 1, labels.shape[1]), dtype=bool)
    np.logical_or.at(unit_labels, unit, labels)
    return patients, stratified(unit_labels, shares, purpose)[unit]


def _linked_units(
    frame: pl.DataFrame,
    cases: CaseNumbers,
    chosen: NDArray[np.bool_],
    patients: NDArray[np.int64],
    columns: Sequence[str],
) -> NDArray[np.int64]:
    """Number patients so that those who share a group value share a number. [P]"""
    if not columns:
        return np.arange(len(patients), dtype=np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = np.zeros(cases.num_patients, dtype=np.int64)
    place[patients] = np.arange(len(patients))
    rows = pl.Series(chosen[cases.rows])
    links = [pl.DataFrame(schema={"first": pl.Int64, "second": pl.Int64})]
    for column in columns:
        second = pl.Series("second", place[cases.patients[cases.rows]])
        shared = pl.DataFrame([frame[column].alias("group"), second]).filter(rows)
        first = pl.col("second").first().over("group").alias("first")
        shared = shared.drop_nulls("group").unique()
        links.append(shared.select(first, "second"))
    pairs = pl.concat(links).unique()
    ones = np.ones(len(pairs), dtype=np.int8)
    ends = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    linked = coo_array((ones, ends), shape=(len(patients), len(patients)))
    _, unit = connected_components(linked, directed=False)
    return np.asarray(unit, dtype=np.int64)


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
    patient_ids: NDArray[Any], targets: NDArray[np.float64], task: Task
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Classes of each patient.

    In a single-label task the targets are the classes; of shares the largest counts. Else there
    is one for each target, of patients with a case that is positive for it (over ½), and a last
    one of patients with a case that is positive for none.

    Args:
        patient_ids: Names or numbers, of some cases. [N]
        targets: Of these cases, NaN where masked. [N, T]
        task: What the targets are to each other.

    Returns:
        Patients, sorted [P], and a column per class. [P, C]
    """
    shares = np.nan_to_num(targets)
    positive = shares > 0.5
    if task == "single-label":  # readers who part may leave no class above ½
        positive = (shares > 0) & (shares == shares.max(axis=1, keepdims=True))
    none = ~positive.any(axis=1, keepdims=True)
    flags = positive if task == "single-label" else np.hstack([positive, none])
    patients, owner = np.unique(patient_ids, return_inverse=True)
    members = np.zeros((len(patients), flags.shape[1]), dtype=bool)
    np.logical_or.at(members, owner.ravel(), flags)
    return patients, members
