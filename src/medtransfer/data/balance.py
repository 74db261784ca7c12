"""Counts that decide what numbers can be had: classes, groups, prevalence, spread of attributes."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig
from medtransfer.data.findings import Finding, enumerated
from medtransfer.data.labels import case_labels, label_columns, raw_labels, targets_of
from medtransfer.data.splits import internal_rows
from medtransfer.errors import plural
from medtransfer.tables.manifest import SPLITS

FEW = 10
"""Fewer positive or negative cases than this in a split make its numbers weak; smaller groups may
also name a person."""
SHIFT = 0.05
"""A prevalence that moves by less changes predictive values little."""
SPREAD = 0.1
"""Share of patients that would have to change groups for two cohorts to be alike."""
LEVEL = 0.01
"""Chance of a false alarm over all comparisons of a kind (Bonferroni)."""
Flags = NDArray[np.bool_]


class CaseTable:
    """One row per case, its targets and where it is used.

    Attributes:
        cases: Manifest rows, the first of each case, sorted by `case_id`. [N rows]
        targets: After the label policy. [N, T]
        internal: Which are of the training cohorts. [N]
        places: Name of each split, and of each other cohort → its cases. [N]
    """

    def __init__(self, frame: pl.DataFrame, data: DataConfig) -> None:
        wanted = ["case_id", "patient_id", "cohort", "split", *data.attributes]
        self.cases = frame.select(list(dict.fromkeys(wanted))).unique("case_id", keep="any")
        self.cases = self.cases.sort("case_id")
        self.targets = targets_of(case_labels(frame, data), data)
        self.internal = internal_rows(self.cases, data.split).to_numpy()
        self.places: dict[str, Flags] = {
            name: self.internal & (self.cases["split"] == name).to_numpy() for name in SPLITS
        }
        others = self.cases.filter(~pl.Series(self.internal))["cohort"].unique().sort()
        for cohort in others:
            here = (self.cases["cohort"] == cohort).to_numpy()
            self.places[f"cohort {cohort}"] = here & ~self.internal

    @property
    def shifted(self) -> dict[str, Flags]:
        """The other cohorts."""
        return {name: here for name, here in self.places.items() if name not in SPLITS}


def missing_classes(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B001, B002, B005: positives and negatives of each target in each split and cohort."""
    bare = [name for name in SPLITS if np.isnan(table.targets[table.places[name]]).all()]
    if bare:
        return [Finding("B005", ", ".join(bare))]
    empty: list[str] = []
    few: list[str] = []
    for column, name in enumerate(data.names):
        for place, rows in table.places.items():
            known = table.targets[rows, column]
            positive, negative = int((known > 0.5).sum()), int((known <= 0.5).sum())
            text = f"{name} in {place}: {positive} positive, {negative} negative"
            if place == "train" and min(positive, negative) == 0:
                empty.append(text)
            elif min(positive, negative) < FEW:
                few.append(text)
    findings = [Finding("B001", enumerated(empty))] if empty else []
    return findings + ([Finding("B002", enumerated(few))] if few else [])


def label_gaps(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """B003: shares of uncertain and of empty cells by cohort."""
    labels = frame.select("cohort").hstack(raw_labels(frame, data))
    findings: list[Finding] = []
    for name in label_columns(data):
        for mark, word in (("-1", "uncertain"), (None, "empty")):
            hit = pl.col(name).is_null() if mark is None else pl.col(name).eq_missing(mark)
            shares = labels.group_by("cohort").agg(hit.mean().alias("share")).sort("cohort")
            if shares["share"].max():
                text = ", ".join(f"{share:.0%} of {cohort}" for cohort, share in shares.iter_rows())
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
    patients = table.cases["patient_id"].rank("dense").to_numpy().astype(np.int64) - 1
    comparisons = max(1, len(table.shifted) * len(data.names))
    limit = _normal_quantile(1 - LEVEL / comparisons / 2)
    found: list[str] = []
    for column, name in enumerate(data.names):
        known = ~np.isnan(table.targets[:, column])
        positive = table.targets[:, column] > 0.5
        here, error = _share(positive, known & table.internal, patients)
        for place, rows in table.shifted.items():
            there, other = _share(positive, known & rows, patients)
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
        for place, rows in table.shifted.items():
            counts = _counts(table, name, rows)
            if counts.shape[0] < 2 or not counts.sum(axis=0).all():
                continue
            shares = counts / counts.sum(axis=0)
            distance = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
            if distance >= SPREAD and chi2_contingency(counts).pvalue < limit:
                found.append(f"'{name}' in {place}: {distance:.0%} of the patients differ")
    return [Finding("B008", enumerated(found))] if found else []


def small_groups(table: CaseTable, data: DataConfig) -> list[Finding]:
    """B009: groups of an attribute with few cases where they are tested; values are not named."""
    tested = {"test": table.places["test"], **table.shifted}
    found: list[str] = []
    for name in data.attributes:
        for place, rows in tested.items():
            sizes = table.cases.filter(pl.Series(rows))[name].drop_nulls().value_counts()["count"]
            small = int((sizes < FEW).sum())
            if small:
                of = f"{small} of {plural(len(sizes), 'group')} of '{name}'"
                found.append(f"{of} in {place} with fewer than {FEW} cases")
    return [Finding("B009", enumerated(found))] if found else []


def _counts(table: CaseTable, name: str, shifted: Flags) -> NDArray[np.int64]:
    """Patients by group, in the training cohorts and in another. [G, 2]"""
    own = table.cases.select(
        "patient_id", pl.col(name).cast(pl.String), _here=pl.Series(table.internal)
    )
    own = own.filter(pl.Series(table.internal | shifted)).unique(["patient_id", "_here"])
    inside = pl.col("_here").sum()
    both = own.group_by(name).agg(inside.alias("in"), (pl.len() - inside).alias("out"))
    return both.select(pl.col("in", "out").cast(pl.Int64)).to_numpy()


def _share(positive: Flags, rows: Flags, patients: NDArray[np.int64]) -> tuple[float, float]:
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
