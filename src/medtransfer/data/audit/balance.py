"""Counts that decide what numbers can be had: classes, groups, prevalence, spread of attributes."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.findings import Finding, enumerated
from medtransfer.data.case_index import CodeArray
from medtransfer.data.case_table import CaseTable, Flags
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import label_columns
from medtransfer.errors import plural
from medtransfer.tables.manifest import SPLITS, label_text

FEW = 10
"""Fewer positive or negative cases than this in a split make its numbers weak; smaller groups may
also name a person."""
SHIFT = 0.05
"""A prevalence that moves by less changes predictive values little."""
SPREAD = 0.1
"""Share of patients that would have to change groups for two cohorts to be alike."""
LEVEL = 0.01
"""Chance of a false alarm over all comparisons of a kind (Bonferroni)."""


def missing_classes(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B001, B002, B005: positives and negatives of each target in each split and cohort."""
    bare = [name for name in SPLITS if np.isnan(table.targets[table.rows_of(name)]).all()]
    if bare:
        return [Finding("B005", ", ".join(bare))]
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    places = (*SPLITS, *table.shifted)
    for place in places:
        known = table.targets[table.rows_of(place)]
        positive, negative = (known > 0.5).sum(axis=0), (known <= 0.5).sum(axis=0)
        for column, name in enumerate(data.names):
            counts[name, place] = int(positive[column]), int(negative[column])
    empty: list[str] = []
    few: list[str] = []
    for name in data.names:
        for place in places:
            positive, negative = counts[name, place]
            text = f"{name} in {place}: {positive} positive, {negative} negative"
            if place == "train" and min(positive, negative) == 0:
                empty.append(text)
            elif min(positive, negative) < FEW:
                few.append(text)
    findings = [Finding("B001", enumerated(empty))] if empty else []
    return findings + ([Finding("B002", enumerated(few))] if few else [])


def label_gaps(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """B003: shares of uncertain and of empty cells by cohort."""
    findings: list[Finding] = []
    for name in label_columns(data):
        cells = frame.lazy().select("cohort", label_text(name)).group_by("cohort")
        empty, uncertain = pl.col(name).is_null(), pl.col(name).eq_missing(pl.lit("-1"))
        shares = cells.agg(uncertain=uncertain.mean(), empty=empty.mean()).collect().sort("cohort")
        for word in ("uncertain", "empty"):
            if shares[word].max():
                each = shares.select(word, "cohort").iter_rows()
                text = ", ".join(f"{share:.0%} of {cohort}" for share, cohort in each)
                findings.append(Finding("B003", f"'{name}' is {word} in {text}"))
    return findings


def same_targets(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B006: targets that are equal, or opposite, wherever both are known."""
    if data.class_column is not None:
        return []
    found: list[str] = []
    for one, first in enumerate(data.names):
        for other, second in enumerate(data.names[:one]):
            pair = table.targets[:, [one, other]]
            both = pair[~np.isnan(pair).any(axis=1)] > 0.5
            if len(both) < 2 * FEW or not 0 < both[:, 0].mean() < 1:
                continue
            same = float((both[:, 0] == both[:, 1]).mean())
            if same in (0.0, 1.0):
                word = "equal to" if same else "the opposite of"
                found.append(f"{first} is {word} {second} in {plural(len(both), 'case')}")
    return [Finding("B006", enumerated(found))] if found else []


def prevalence_shift(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B007: prevalence in the training cohorts against every other cohort, by patient.

    The interval is that of a ratio of sums over patients (linearised, normal).
    """
    patients = table.patients
    comparisons = max(1, len(table.shifted) * len(data.names))
    limit = _normal_quantile(1 - LEVEL / comparisons / 2)
    found: list[str] = []
    for column, name in enumerate(data.names):
        known = ~np.isnan(table.targets[:, column])
        positive = table.targets[:, column] > 0.5
        here, error = _share(positive, known & table.internal, patients)
        for place in table.shifted:
            there, other = _share(positive, known & table.rows_of(place), patients)
            if abs(there - here) >= max(SHIFT, limit * float(np.hypot(error, other))):
                text = f"{_with_interval(there, other)} in {place}"
                found.append(f"{name}: {_with_interval(here, error)} in training cohorts, {text}")
    return [Finding("B007", enumerated(found))] if found else []


def attribute_shift(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B008: spread of each attribute over patients, training cohorts against every other."""
    from scipy.stats import chi2_contingency

    limit = LEVEL / max(1, len(table.shifted) * len(data.attributes))
    found: list[str] = []
    for name in data.attributes:
        for place in table.shifted:
            counts = _counts(table, name, table.rows_of(place))
            if counts.shape[0] < 2 or not counts.sum(axis=0).all():
                continue
            shares = counts / counts.sum(axis=0)
            distance = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
            if distance >= SPREAD and chi2_contingency(counts).pvalue < limit:
                found.append(f"'{name}' in {place}: {distance:.0%} of the patients differ")
    return [Finding("B008", enumerated(found))] if found else []


def small_groups(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B009: groups of an attribute with few cases where they are tested; values are not named."""
    found: list[str] = []
    for name in data.attributes:
        for place in ("test", *table.shifted):
            rows = pl.Series(table.rows_of(place))
            sizes = table.kinds[name].filter(rows).drop_nulls().value_counts()["count"]
            small = int((sizes < FEW).sum())
            if small:
                of = f"{small} of {plural(len(sizes), 'group')} of '{name}'"
                found.append(f"{of} in {place} with fewer than {FEW} cases")
    return [Finding("B009", enumerated(found))] if found else []


def _counts(table: CaseTable, name: str, shifted: Flags) -> NDArray[np.int64]:
    """Patients by group, in the training cohorts and in another. [G, 2]"""
    either = pl.Series(table.internal | shifted)
    own = table.kinds.select(name, patient=table.patients, _here=table.internal).filter(either)
    own = own.unique(["patient", "_here"])
    inside = pl.col("_here").sum()
    both = own.group_by(name).agg(inside.alias("in"), (pl.len() - inside).alias("out"))
    return both.select(pl.col("in", "out").cast(pl.Int64)).to_numpy()


def _share(positive: Flags, rows: Flags, patients: CodeArray) -> tuple[float, float]:
    """Share of positive cases and its standard error over patients; NaN where there are none."""
    if not rows.any():
        return float("nan"), float("nan")
    _, owner = np.unique(patients[rows], return_inverse=True)
    cases = np.bincount(owner).astype(np.float64)
    hits = np.bincount(owner, weights=positive[rows])
    share = float(hits.sum() / cases.sum())
    rest = hits - share * cases
    count = len(cases)
    spread = float((rest**2).sum()) * count / max(1, count - 1)
    return share, float(np.sqrt(spread) / cases.sum())


def _with_interval(share: float, error: float) -> str:
    low, high = max(0.0, share - 1.96 * error), min(1.0, share + 1.96 * error)
    return f"{share:.0%} [{low:.0%}, {high:.0%}]"


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(level))
