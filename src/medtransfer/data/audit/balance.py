"""Balance of a data set: classes, groups, prevalence, distribution of attributes."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.findings import Finding, enumerated
from medtransfer.data.case_index import CodeArray
from medtransfer.data.case_table import CaseTable, Flags
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import label_columns
from medtransfer.data.splits import OUTLIERS
from medtransfer.errors import plural
from medtransfer.tables.manifest import SPLITS, label_text

MIN_CASES = 10
"""With fewer positive or negative cases a split's results are unreliable; smaller groups may also
identify a person."""
MIN_SHIFT = 0.05
"""A prevalence that moves by less changes predictive values little."""
MIN_DISTANCE = 0.1
"""Share of patients that would have to change groups for two cohorts to be alike."""
LEVEL = 0.01
"""Probability of a false alarm over all comparisons of one check (Bonferroni)."""


def missing_classes(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B001, B002, B005: positives and negatives of each target in each split and cohort."""
    unlabelled = [name for name in SPLITS if np.isnan(table.targets[table.rows_of(name)]).all()]
    if unlabelled:
        return [Finding("B005", f"no labelled case in {', '.join(unlabelled)}")]
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    usages = (*SPLITS, *table.shifted)
    for usage in usages:
        targets = table.targets[table.rows_of(usage)]
        positive, negative = (targets > 0.5).sum(axis=0), (targets <= 0.5).sum(axis=0)
        for column, name in enumerate(data.names):
            counts[name, usage] = int(positive[column]), int(negative[column])
    empty: list[str] = []
    few: list[str] = []
    for name in data.names:
        for usage in usages:
            positive, negative = counts[name, usage]
            text = f"{name} in {usage}: {positive} positive, {negative} negative"
            if usage == "train" and min(positive, negative) == 0:
                empty.append(text)
            elif min(positive, negative) < MIN_CASES and (positive or negative or usage in SPLITS):
                few.append(text)  # a target that another cohort does not have is no small sample
    findings = [Finding("B001", enumerated(empty))] if empty else []
    return findings + ([Finding("B002", enumerated(few))] if few else [])


def label_gaps(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """B003: shares of uncertain and of empty cells by cohort."""
    frame = frame.filter(pl.col("cohort") != OUTLIERS)  # their labels are empty by design
    texts: dict[str, list[str]] = {"uncertain": [], "empty": []}
    for name in label_columns(data):
        cells = frame.lazy().select("cohort", label_text(name)).group_by("cohort")
        empty, uncertain = pl.col(name).is_null(), pl.col(name).eq_missing(pl.lit("-1"))
        shares = cells.agg(uncertain=uncertain.mean(), empty=empty.mean()).collect().sort("cohort")
        for word, of_word in texts.items():
            if shares[word].max():
                each = shares.select(word, "cohort").iter_rows()
                text = ", ".join(f"{share:.0%} of {cohort}" for share, cohort in each)
                of_word.append(f"'{name}' is {word} in {text}")
    return [Finding("B003", enumerated(of_word)) for of_word in texts.values() if of_word]


def same_targets(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B006: targets that are equal, or opposite, in every case that has both."""
    if data.class_column is not None:
        return []
    same: list[str] = []
    for column, first in enumerate(data.names):
        for earlier, second in enumerate(data.names[:column]):
            pair = table.targets[:, [column, earlier]]
            both = pair[~np.isnan(pair).any(axis=1)] > 0.5
            if len(both) < 2 * MIN_CASES or not 0 < both[:, 0].mean() < 1:
                continue
            agreement = float((both[:, 0] == both[:, 1]).mean())
            if agreement in (0.0, 1.0):
                word = "equal to" if agreement else "the opposite of"
                same.append(f"{first} is {word} {second} in {plural(len(both), 'case')}")
    return [Finding("B006", enumerated(same))] if same else []


def prevalence_shift(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B007: prevalence in the training cohorts against every other cohort, by patient.

    The interval is that of a ratio of sums over patients (linearised, normal).
    """
    patients = table.patients
    comparisons = max(1, len(table.shifted) * len(data.names))
    quantile = _normal_quantile(1 - LEVEL / comparisons / 2)
    differences: list[str] = []
    for column, name in enumerate(data.names):
        labelled = ~np.isnan(table.targets[:, column])
        positive = table.targets[:, column] > 0.5
        internal, error = _share(positive, labelled & table.internal, patients)
        for cohort in table.shifted:
            shifted, shifted_error = _share(positive, labelled & table.rows_of(cohort), patients)
            if abs(shifted - internal) >= max(
                MIN_SHIFT, quantile * float(np.hypot(error, shifted_error))
            ):
                text = f"{_with_interval(shifted, shifted_error)} in {cohort}"
                differences.append(
                    f"{name}: {_with_interval(internal, error)} in training cohorts, {text}"
                )
    return [Finding("B007", enumerated(differences))] if differences else []


def attribute_shift(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B008: distribution of each attribute over patients, training cohorts against every other."""
    from scipy.stats import chi2_contingency

    level = LEVEL / max(1, len(table.shifted) * len(data.attributes))
    differences: list[str] = []
    for name in data.attributes:
        for cohort in table.shifted:
            counts = _counts(table, name, table.rows_of(cohort))
            if counts.shape[0] < 2 or not counts.sum(axis=0).all():
                continue
            shares = counts / counts.sum(axis=0)
            distance = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
            if distance >= MIN_DISTANCE and chi2_contingency(counts).pvalue < level:
                differences.append(
                    f"'{name}' in {cohort} differs by {distance:.0%} of the patients"
                )
    return [Finding("B008", enumerated(differences))] if differences else []


def small_groups(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B009: groups of an attribute with few test cases; their values are not named."""
    groups: list[str] = []
    for name in data.attributes:
        for usage in ("test", *table.shifted):
            rows = pl.Series(table.rows_of(usage))
            sizes = table.kinds[name].filter(rows).drop_nulls().value_counts()["count"]
            small = int((sizes < MIN_CASES).sum())
            if small:
                count = f"{small} of {plural(len(sizes), 'group')} of '{name}'"
                groups.append(f"{count} in {usage} with fewer than {MIN_CASES} cases")
    return [Finding("B009", enumerated(groups))] if groups else []


def _counts(table: CaseTable, name: str, shifted: Flags) -> NDArray[np.int64]:
    """Patients by group, in the training cohorts and in another; not those of no group. [G, 2]"""
    either = pl.Series(table.internal | shifted) & table.kinds[name].is_not_null()
    rows = table.kinds.select(name, patient=table.patients, _here=table.internal).filter(either)
    rows = rows.unique(["patient", "_here"])
    inside = pl.col("_here").sum()
    both = rows.group_by(name).agg(inside.alias("in"), (pl.len() - inside).alias("out"))
    return both.select(pl.col("in", "out").cast(pl.Int64)).to_numpy()


def _share(positive: Flags, rows: Flags, patients: CodeArray) -> tuple[float, float]:
    """Share of positive cases and its standard error over patients; NaN without cases."""
    if not rows.any():
        return float("nan"), float("nan")
    _, owner = np.unique(patients[rows], return_inverse=True)
    cases = np.bincount(owner).astype(np.float64)
    positives = np.bincount(owner, weights=positive[rows])
    share = float(positives.sum() / cases.sum())
    rest = positives - share * cases
    count = len(cases)
    variance = float((rest**2).sum()) * count / max(1, count - 1)
    return share, float(np.sqrt(variance) / cases.sum())


def _with_interval(share: float, error: float) -> str:
    low, high = max(0.0, share - 1.96 * error), min(1.0, share + 1.96 * error)
    return f"{share:.0%} [{low:.0%}, {high:.0%}]"


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(level))
