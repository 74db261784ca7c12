"""Shortcuts: columns beside the image, and borders of images, that predict a target nearly alone.

A scanner, a hospital, the way a diagnosis was made: what gives the answer away beside the image is
often visible in the image too, and a network learns it first. Every prediction is cross-fitted: a
patient's own rows never take part in it. An AUROC that is undefined is None and reports nothing.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.balance import MIN_CASES
from medtransfer.data.audit.findings import Finding, enumerated
from medtransfer.data.case_index import numbered
from medtransfer.data.case_table import CaseTable, Flags
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import case_labels, targets_of
from medtransfer.data.splits import OUTLIERS
from medtransfer.metrics.discrimination import auroc
from medtransfer.tables.manifest import RESERVED
from medtransfer.tables.schema import ROW

Floats = NDArray[np.float64]
FOLDS = 5
MIN_FOLD_CASES = 3
"""Positive and negative cases that a fold needs to be tested on."""
MIN_AUROC = 0.9
"""AUROC from which a column is reported. Sex, age and view reach 0.5 to 0.7 for most findings; few
networks reach 0.9."""
MIN_PROXY_AUROC = 0.7
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
"""Columns with these names are the answer itself; `init` does not propose them as attributes."""
BANDS = 20
"""Numbers are cut into this many bands of equal size."""
MAX_CASES = 200_000
"""Above so many cases a sample of patients is taken, which gives an AUROC to within 0.005."""
MIN_BORDER_AUROC = 0.8
"""AUROC from which a border is reported to predict a target; see what-the-audit-found."""
MIN_COHORT_AUROC = 0.9
MIN_COHORT_PATIENTS = 10
MIN_ERRORS = 4.0
"""Standard errors from chance of a brightness that is reported."""
MIN_IMAGES = 30
"""Images needed of each class."""
MAX_IMAGES = 50_000
BORDER = (
    "border_mean",
    "border_dark",
    "border_bright",
    "corner_0",
    "corner_1",
    "corner_2",
    "corner_3",
    "writing",
)


def folds_of(patients: pl.Series) -> NDArray[np.int64]:
    """A fold per row, the same for all rows of a patient. [N], 0 to `FOLDS` - 1"""
    return (patients.hash(1) % FOLDS).to_numpy().astype(np.int64)


def predictive_columns(frame: pl.DataFrame, table: CaseTable, data: DataConfig) -> list[Finding]:
    """A011: columns that predict a target nearly alone, within the training cohorts.

    Each value of a column stands for the share of positive cases among the other patients that have
    it; numbers are cut into bands first; an empty cell is a value too.

    Args:
        frame: Rows with their splits.
        table: Their cases.
        data: Targets.
    """
    predictions = [
        f"'{name}' alone predicts {target} with AUROC {value:.2f}"
        for name, target, value in column_aurocs(frame, table, data, _candidates(frame, data))
    ]
    return [Finding("A011", enumerated(predictions))] if predictions else []


def column_aurocs(
    frame: pl.DataFrame, table: CaseTable, data: DataConfig, columns: Sequence[str]
) -> Iterator[tuple[str, str, float]]:
    """Columns with targets that they predict nearly alone, and the AUROC of that.

    Args:
        frame: Rows with their splits.
        table: Their cases.
        data: Targets.
        columns: To try.
    """
    rows = _sample(frame, table)
    if not columns or rows.sum() < 4 * MIN_CASES:
        return
    chosen = frame.select("patient_id", *columns)[table.first[rows]]
    fold = folds_of(chosen["patient_id"])
    targets = table.targets[rows]
    for name in columns:
        values = _values(chosen[name])
        threshold = MIN_PROXY_AUROC if name.lower() in PROXIES else MIN_AUROC
        for number, target in enumerate(data.names):
            labelled = ~np.isnan(targets[:, number])
            positive = targets[labelled, number] > 0.5
            value = auroc_of_values(values.filter(pl.Series(labelled)), positive, fold[labelled])
            if value is not None and value >= threshold:
                yield name, target, value


def _sample(frame: pl.DataFrame, table: CaseTable) -> Flags:
    """Labelled cases of the training cohorts, of a sample of patients if there are many."""
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
    """True for a column whose name suggests that it holds the target under another name."""
    targets = [data.class_column, *data.names] if data.class_column else list(data.names)
    return name.lower() in LABEL_NAMES or any(str(part).lower() in name.lower() for part in targets)


def _is_label(cells: pl.Series) -> bool:
    """True for cells of 1, 0, -1 or nothing (another target), lists, times and bytes."""
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


def auroc_of_values(values: pl.Series, positive: Flags, fold: NDArray[np.int64]) -> float | None:
    """AUROC of the share of positives among the other folds' cases of the same value.

    None with fewer than `MIN_CASES` positive or negative cases.

    Args:
        values: Categories. [N]
        positive: The target. [N]
        fold: From `folds_of`. [N]
    """
    if min(int(positive.sum()), int((~positive).sum())) < MIN_CASES:
        return None
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
    return _auroc(positive, scores.to_numpy())


def border_features(facts: pl.DataFrame, features: pl.DataFrame) -> Floats:
    """Size, shape and border of each image: the inputs of the probe. [N, F]

    Args:
        facts: From `scan_images`.
        features: From `image_stats`.
    """
    sizes = facts.select(
        pl.col("width").log(),
        pl.col("height").log(),
        pl.col("channels"),
        pl.col("bits"),
        shape=pl.col("width").log() - pl.col("height").log(),
    )
    both = sizes.hstack(features.select(BORDER)).cast(pl.Float64).to_numpy()
    return both[:, np.ptp(both, axis=0) > 0]


def predictive_borders(
    frame: pl.DataFrame, internal: Flags, features: Floats, data: DataConfig
) -> list[Finding]:
    """A012, A013: targets and cohorts that borders predict, cross-fitted by patient.

    Args:
        frame: Rows with their splits. [N rows]
        internal: Rows of the training cohorts. [N]
        features: From `border_features`. [N, F]
        data: Targets.
    """
    if features.shape[1] == 0:
        return []
    step = -(-len(frame) // MAX_IMAGES)
    sample = np.arange(0, len(frame), step)
    fold = folds_of(frame["patient_id"])[sample]
    features, internal = features[sample], internal[sample]
    targets = _image_targets(frame, data)[sample]
    predicted: list[str] = []
    for number, name in enumerate(data.names):
        rows = internal & ~np.isnan(targets[:, number])
        value = _border_auroc(features[rows], targets[rows, number] > 0.5, fold[rows])
        if value is not None and value >= MIN_BORDER_AUROC:
            predicted.append(f"{name} with AUROC {value:.2f}")
    findings = [Finding("A012", enumerated(predicted))] if predicted else []
    cohorts = frame["cohort"].gather(sample)
    predicted = []
    hospital = (cohorts != OUTLIERS).to_numpy()  # other classes may well look different
    for name in cohorts.filter(pl.Series(hospital)).unique().sort():
        is_named = (cohorts == name).to_numpy()[hospital]
        value = _border_auroc(features[hospital], is_named, fold[hospital])
        if value is not None and value >= MIN_COHORT_AUROC:
            predicted.append(f"{name} with AUROC {value:.2f}")
    return findings + ([Finding("A013", enumerated(predicted))] if predicted else [])


def predictive_brightness(frame: pl.DataFrame, thumbnails: NDArray[np.uint8]) -> list[Finding]:
    """A021: cohorts that the mean grey level or the contrast of an image tells from the others.

    One image of each patient is looked at.

    Args:
        frame: Rows in the manifest's order. [N rows]
        thumbnails: From `image_stats`. [N, SIDE, SIDE]
    """
    rows = frame.select("patient_id", "cohort", place=pl.int_range(pl.len()))
    rows = rows.filter(pl.col("cohort") != OUTLIERS)
    first = rows.unique("patient_id", keep="first", maintain_order=True)
    grey = thumbnails[first["place"].to_numpy()].reshape(len(first), -1)
    looks = {"brightness": grey.mean(axis=1), "contrast": grey.std(axis=1)}
    texts: list[str] = []
    for cohort in first["cohort"].unique().sort():
        inside = (first["cohort"] == cohort).to_numpy()
        count, others = int(inside.sum()), int((~inside).sum())
        if min(count, others) < MIN_COHORT_PATIENTS:
            continue
        # standard error of the AUROC of two equal distributions (Mann-Whitney)
        error = np.sqrt((count + others + 1) / (12 * count * others))
        for what, values in looks.items():
            value = _auroc(inside, values.astype(np.float64))
            distance = abs(value - 0.5)
            if 0.5 + distance >= MIN_COHORT_AUROC and distance >= MIN_ERRORS * error:
                means = f"{values[inside].mean():.0f} against {values[~inside].mean():.0f} of 255"
                texts.append(f"{what} of {cohort}: {means} (AUROC {0.5 + distance:.2f})")
    return [Finding("A021", enumerated(texts))] if texts else []


def _border_auroc(features: Floats, positive: Flags, fold: NDArray[np.int64]) -> float | None:
    if min(int(positive.sum()), int((~positive).sum())) < MIN_IMAGES:
        return None
    return cross_fitted_auroc(features, positive, fold)


def _image_targets(frame: pl.DataFrame, data: DataConfig) -> Floats:
    """Each image has its case's targets. [N, T]"""
    cases = numbered(frame["case_id"])
    return targets_of(case_labels(frame, data, cases), data)[cases]


def cross_fitted_auroc(features: Floats, positive: Flags, fold: NDArray[np.int64]) -> float | None:
    """AUROC of a ridge regression on ranks of features, predicted by fold.

    The mean over folds with both classes: scores of different fits are not on one scale. None if
    no fold has `MIN_FOLD_CASES` of each class.

    Args:
        features: Any numbers. [N, F]
        positive: The target. [N]
        fold: From `folds_of`. [N]
    """
    from scipy.stats import rankdata

    ranks = rankdata(features, axis=0) / len(features) - 0.5
    inputs = np.hstack([ranks, ranks**2, np.ones((len(ranks), 1))])
    penalty = np.eye(inputs.shape[1]) * 0.01 * len(inputs)
    penalty[-1, -1] = 1e-9
    by_fold: list[float] = []
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        if min(positive[test].sum(), (~positive[test]).sum()) < MIN_FOLD_CASES:
            continue
        gram = inputs[train].T @ inputs[train] + penalty
        weights = np.linalg.solve(gram, inputs[train].T @ positive[train].astype(np.float64))
        by_fold.append(_auroc(positive[test], inputs[test] @ weights))
    return float(np.mean(by_fold)) if by_fold else None


def _auroc(positive: Flags, scores: Floats) -> float:
    """AUROC of unweighted cases, some positive and some negative."""
    return float(auroc(positive.astype(np.int64), scores)(np.ones((1, len(positive))))[0])
