"""Shortcuts: columns beside the image that predict a target nearly alone.

A scanner, a hospital, how a diagnosis was made: what stands beside the image and gives the answer
away is often seen in the image too, and a network learns it first. Every prediction is
cross-fitted: a patient's own rows never take part in it.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.balance import FEW
from medtransfer.data.case_table import CaseTable, Flags
from medtransfer.data.config import DataConfig
from medtransfer.data.findings import Finding, enumerated
from medtransfer.data.probe import area, folds_of
from medtransfer.tables.manifest import RESERVED
from medtransfer.tables.schema import ROW

ALONE = 0.9
"""AUROC from which a column is said to predict a target nearly alone. Sex, age and view reach 0.5
to 0.7 of most findings; few networks reach 0.9."""
PROXY_ALONE = 0.7
"""The same for columns known to be recorded because of the answer."""
PROXIES = frozenset({
    "dx_type", "biopsed", "biopsied", "biopsy", "invasive", "birads", "bi_rads", "assessment",
    "machine_id", "site_id", "difficult_negative_case", "diagnosis_confirm_type", "followup",
    "follow_up", "reader", "rad_id", "methodlabel", "qc",
})  # fmt: skip
"""Columns of public sets that stand for the answer, in small letters. HAM10000 writes in `dx_type`
how a diagnosis was confirmed, and malignant ones always are by histology; PAD-UFES-20 writes
`biopsed`; RSNA's mammograms come with a `machine_id` and a `biopsy`."""
LABEL_NAMES = (
    "label", "class", "diagnosis", "dx", "diagnostic", "target", "finding", "findings", "labels",
    "label_id", "label_name", "class_id", "class_name",
)  # fmt: skip
"""Columns of these names are the answer itself; as `init` has it they are no attributes."""
BANDS = 20
"""Numbers are cut into this many bands of equal size."""
MOST_CASES = 200_000
"""Of more cases a sample of patients is taken: it places an AUROC to within 0.005."""


def telling_columns(frame: pl.DataFrame, table: CaseTable, data: DataConfig) -> list[Finding]:
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
    share = MOST_CASES / max(1, int(labelled.sum()))
    if share >= 1:
        return labelled
    draw = frame["patient_id"].gather(table.first).hash().hash(2).to_numpy()
    return labelled & (draw < np.uint64(share * 2**64))


def _candidates(frame: pl.DataFrame, data: DataConfig) -> list[str]:
    """Columns that may be shortcuts: not ids, not other spellings of the answer."""
    taken = {*data.names, data.class_column, ROW, *(RESERVED - {"view", "laterality", "cohort"})}
    names = [name for name in frame.columns if name not in taken and not name.startswith("_")]
    return [
        name for name in names
        if name in data.attributes or name.lower() in PROXIES
        or not (_is_answer(name, data) or _is_label(frame[name]))
    ]  # fmt: skip


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
        on=["value", "fold"], how="left", nulls_equal=True, maintain_order="left",
    )["score"]  # fmt: skip
    return area(positive, scores.to_numpy())
