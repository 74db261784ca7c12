"""Shortcuts: columns beside the image that predict a target nearly alone.

A scanner, a hospital, how a diagnosis was made: what stands beside the image and gives the answer
away is often seen in the image too, and a network learns it first. Every prediction is
cross-fitted: a patient's own rows never take part in it.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.balance import FEW
from medtransfer.data.audit.findings import Finding, enumerated
from medtransfer.data.case_index import numbered
from medtransfer.data.case_table import CaseTable, Flags
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import case_labels, targets_of
from medtransfer.tables.manifest import RESERVED
from medtransfer.tables.schema import ROW

Floats = NDArray[np.float64]
FOLDS = 5


def folds_of(patients: pl.Series) -> NDArray[np.int64]:
    """A fold per row, the same for all rows of a patient. [N], 0 to `FOLDS` - 1"""
    return (patients.hash(1) % FOLDS).to_numpy().astype(np.int64)


def area(positive: Flags, scores: Floats) -> float:
    """AUROC with ties as a half; 0.5 where a class is missing."""
    from scipy.stats import rankdata

    hits, count = int(positive.sum()), len(positive)
    if hits in (0, count):
        return 0.5
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - hits * (hits + 1) / 2) / (hits * (count - hits)))


def area_of_features(features: Floats, positive: Flags, fold: NDArray[np.int64]) -> float:
    """AUROC of a ridge regression on ranks of features, predicted by fold.

    The mean over folds, each with both classes: scores of different fits are not on one scale.

    Args:
        features: Any numbers. [N, F]
        positive: What is predicted. [N]
        fold: From `folds_of`. [N]
    """
    from scipy.stats import rankdata

    ranks = rankdata(features, axis=0) / len(features) - 0.5
    inputs = np.hstack([ranks, ranks**2, np.ones((len(ranks), 1))])
    penalty = np.eye(inputs.shape[1]) * 0.01 * len(inputs)
    penalty[-1, -1] = 1e-9
    areas: list[float] = []
    for own in range(FOLDS):
        train, test = fold != own, fold == own
        if min(positive[test].sum(), (~positive[test]).sum()) < 3:
            continue
        gram = inputs[train].T @ inputs[train] + penalty
        weights = np.linalg.solve(gram, inputs[train].T @ positive[train].astype(np.float64))
        areas.append(area(positive[test], inputs[test] @ weights))
    return float(np.mean(areas)) if areas else 0.5


ALONE = 0.9
"""AUROC from which a column is said to predict a target nearly alone. Sex, age and view reach 0.5
to 0.7 of most findings; few networks reach 0.9."""
PROXY_ALONE = 0.7
"""The same for columns known to be recorded because of the answer."""
PROXIES = frozenset(
    {
        "dx_type",
        "biopsed",
        "biopsied",
        "biopsy",
        "invasive",
        "birads",
        "bi_rads",
        "assessment",
        "machine_id",
        "site_id",
        "difficult_negative_case",
        "diagnosis_confirm_type",
        "followup",
        "follow_up",
        "reader",
        "rad_id",
        "methodlabel",
        "qc",
    }
)
"""Columns of public sets that stand for the answer, in small letters. HAM10000 writes in `dx_type`
how a diagnosis was confirmed, and malignant ones always are by histology; PAD-UFES-20 writes
`biopsed`; RSNA's mammograms come with a `machine_id` and a `biopsy`."""
LABEL_NAMES = (
    "label",
    "class",
    "diagnosis",
    "dx",
    "diagnostic",
    "target",
    "finding",
    "findings",
    "labels",
    "label_id",
    "label_name",
    "class_id",
    "class_name",
)
"""Columns of these names are the answer itself; as `init` has it they are no attributes."""
BANDS = 20
"""Numbers are cut into this many bands of equal size."""
MAX_CASES = 200_000
"""Of more cases a sample of patients is taken: it places an AUROC to within 0.005."""


def predictive_columns(frame: pl.DataFrame, table: CaseTable, data: DataConfig) -> list[Finding]:
    """A011: columns that predict a target nearly alone, within the training cohorts.

    Each value of a column stands for the share of positive cases among the other patients that have
    it; numbers are cut into bands first; an empty cell is a value too.

    Args:
        frame: Rows with their splits.
        table: Their cases.
        data: Targets.
    """
    rows = _sample(frame, table)
    columns = _candidates(frame, data)
    if not columns or rows.sum() < 4 * FEW:
        return []
    chosen = frame.select("patient_id", *columns)[table.first[rows]]
    fold = folds_of(chosen["patient_id"])
    targets = table.targets[rows]
    found: list[str] = []
    for name in columns:
        values = _values(chosen[name])
        for number, target in enumerate(data.names):
            known = ~np.isnan(targets[:, number])
            positive = targets[known, number] > 0.5
            area = _area_of_values(values.filter(pl.Series(known)), positive, fold[known])
            if area >= (PROXY_ALONE if name.lower() in PROXIES else ALONE):
                found.append(f"'{name}' alone predicts {target} with AUROC {area:.2f}")
    return [Finding("A011", enumerated(found))] if found else []


def _sample(frame: pl.DataFrame, table: CaseTable) -> Flags:
    """Labelled cases of the training cohorts, of a sample of patients where there are many."""
    labelled = table.internal & ~np.isnan(table.targets).all(axis=1)
    share = MAX_CASES / max(1, int(labelled.sum()))
    if share >= 1:
        return labelled
    draw = frame["patient_id"].gather(table.first).hash().hash(2).to_numpy()
    return labelled & (draw < np.uint64(share * 2**64))


def _candidates(frame: pl.DataFrame, data: DataConfig) -> list[str]:
    """Columns that may be shortcuts: not ids, not other spellings of the answer."""
    taken = {*data.names, data.class_column, ROW, *(RESERVED - {"view", "laterality", "cohort"})}
    names = [name for name in frame.columns if name not in taken and not name.startswith("_")]
    return [
        name
        for name in names
        if name in data.attributes
        or name.lower() in PROXIES
        or not (_is_answer(name, data) or _is_label(frame[name]))
    ]


def _is_answer(name: str, data: DataConfig) -> bool:
    """Whether a column's name says that it holds the target under another name."""
    own = [data.class_column, *data.names] if data.class_column else list(data.names)
    return name.lower() in LABEL_NAMES or any(str(part).lower() in name.lower() for part in own)


def _is_label(cells: pl.Series) -> bool:
    """Whether all cells are 1, 0, -1 or nothing: another target; or of a kind nobody groups by."""
    if cells.dtype.is_nested() or cells.dtype.is_temporal() or cells.dtype == pl.Binary():
        return True
    return all(
        bool(some.cast(pl.String).str.replace(r"\.0+$", "").is_in(["1", "0", "-1", ""]).all())
        for some in (cells.head(1_000).drop_nulls(), cells.drop_nulls())
    )


def _values(cells: pl.Series) -> pl.Series:
    """Cells as categories: numbers of many values in bands."""
    if cells.dtype == pl.String:
        numbers = cells.cast(pl.Float64, strict=False)
        if numbers.null_count() > cells.null_count() + 0.05 * len(cells):
            return cells
        cells = numbers
    if cells.dtype == pl.Boolean or cells.n_unique() <= BANDS:
        return cells.cast(pl.String)
    ranks = cells.cast(pl.Float64).fill_nan(None).rank("average")
    return (ranks / len(cells) * BANDS).floor().cast(pl.String)


def _area_of_values(values: pl.Series, positive: Flags, fold: NDArray[np.int64]) -> float:
    """AUROC of the share of positives among the other folds' cases of the same value."""
    if min(int(positive.sum()), int((~positive).sum())) < FEW:
        return 0.5
    table = pl.DataFrame({"value": values, "fold": fold, "hit": positive.astype(np.float64)})
    both = table.group_by("value", "fold").agg(pl.len().alias("n"), pl.col("hit").sum())
    whole = both.group_by("value").agg(
        pl.col("n").sum().alias("all"), pl.col("hit").sum().alias("hits")
    )
    both = both.join(whole, on="value", nulls_equal=True)
    prior = float(positive.mean())
    others = pl.col("all") - pl.col("n")
    # one case's worth of the overall share, so that a value seen once is not certain
    both = both.with_columns(score=(pl.col("hits") - pl.col("hit") + prior) / (others + 1))
    scores = table.join(
        both.select("value", "fold", "score"),
        on=["value", "fold"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )["score"]
    return area(positive, scores.to_numpy())


TELLS = 0.8
"""AUROC from which a frame is said to give a target away; see what-the-audit-found."""
TELLS_COHORT = 0.9
LEAST = 30
"""Images of each class it takes."""
MAX_IMAGES = 50_000
FRAME = (
    "frame_mean",
    "frame_dark",
    "frame_bright",
    "corner_0",
    "corner_1",
    "corner_2",
    "corner_3",
    "writing",
)


def frame_features(facts: pl.DataFrame, looks: pl.DataFrame) -> Floats:
    """What the probe sees. [N, F]

    Args:
        facts: From `scan_images`.
        looks: From `sketch_images`.
    """
    sizes = facts.select(
        pl.col("width").log(),
        pl.col("height").log(),
        pl.col("channels"),
        pl.col("bits"),
        shape=pl.col("width").log() - pl.col("height").log(),
    )
    both = sizes.hstack(looks.select(FRAME)).cast(pl.Float64).to_numpy()
    return both[:, np.ptp(both, axis=0) > 0]


def predictive_borders(
    frame: pl.DataFrame, internal: Flags, features: Floats, data: DataConfig
) -> list[Finding]:
    """A012, A013: targets and cohorts that frames predict, cross-fitted by patient.

    Args:
        frame: Rows with their splits. [N rows]
        internal: Rows of the training cohorts. [N]
        features: From `frame_features`. [N, F]
        data: Targets.
    """
    if features.shape[1] == 0:
        return []
    step = -(-len(frame) // MAX_IMAGES)
    some = np.arange(0, len(frame), step)
    fold = folds_of(frame["patient_id"])[some]
    features, internal = features[some], internal[some]
    targets = _image_targets(frame, data)[some]
    found: list[str] = []
    for number, name in enumerate(data.names):
        known = internal & ~np.isnan(targets[:, number])
        reached = _reached(features[known], targets[known, number] > 0.5, fold[known])
        if reached >= TELLS:
            found.append(f"{name} with AUROC {reached:.2f}")
    findings = [Finding("A012", enumerated(found))] if found else []
    cohorts = frame["cohort"].gather(some)
    away: list[str] = []
    for name in cohorts.unique().sort():
        reached = _reached(features, (cohorts == name).to_numpy(), fold)
        if reached >= TELLS_COHORT:
            away.append(f"{name} with AUROC {reached:.2f}")
    return findings + ([Finding("A013", enumerated(away))] if away else [])


def _reached(features: Floats, positive: Flags, fold: NDArray[np.int64]) -> float:
    if min(int(positive.sum()), int((~positive).sum())) < LEAST:
        return 0.5
    return area_of_features(features, positive, fold)


def _image_targets(frame: pl.DataFrame, data: DataConfig) -> Floats:
    """Each image has its case's targets. [N, T]"""
    cases = numbered(frame["case_id"])
    return targets_of(case_labels(frame, data, cases), data)[cases]
