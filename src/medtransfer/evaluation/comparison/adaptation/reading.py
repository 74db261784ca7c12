"""Reading of adaptation curves: one sentence a hospital, and labels saved against retraining."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from medtransfer.errors import plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import SELECTED
from medtransfer.evaluation.comparison.adaptation.curve import RETRAINED
from medtransfer.evaluation.comparison.adaptation.summary import CARRIED
from medtransfer.evaluation.comparison.adaptation.table import AdaptRow
from medtransfer.statistics.learning_curve import fraction_to_reach
from medtransfer.tables.results import ALL, CASE, MACRO

LOSS = "nll"
RETRAINED_LOSS = "nll_platt"
"""Log loss of a retrained network after Platt scaling at home, as the arms start from it."""


@dataclass(frozen=True)
class AdaptationReading:
    """Reading of one rung at one hospital.

    Attributes:
        rung: The rung.
        cohort: The hospital.
        target: The target of overall numbers.
        patients: Smallest number of patients from which a smaller log loss is shown; None if none
            is shown.
        sentence: All of it in words.
    """

    rung: str
    cohort: str
    target: str
    patients: int | None
    sentence: str


@dataclass(frozen=True)
class AdaptationSaving:
    """Labels that an arm saves against training on a hospital again.

    Attributes:
        rung: The rung.
        cohort: The hospital.
        arm: The arm.
        retrained: Patients that the network was trained on again with.
        patients: Patients from which the arm has a log loss as small; None if it never has.
        saved: Share of the labels; None as before.
    """

    rung: str
    cohort: str
    arm: str
    retrained: int
    patients: float | None
    saved: float | None


def read_adaptation(table: pl.DataFrame) -> list[AdaptationReading]:
    """Sum up every rung at every hospital in a sentence.

    The sentence is of the arm that cross-validation selects within the patients, never of the one
    that happens to be best on the test patients.

    Args:
        table: Of adaptation curves.
    """
    return [
        _reading([AdaptRow(**row) for row in rows.to_dicts()], target)
        for rows in table.partition_by("rung", "held_out", "cohort", maintain_order=True)
        for target in [_overall(rows)]
    ]


def _overall(rows: pl.DataFrame) -> str:
    targets = rows.filter(pl.col("metric") == LOSS)["target"].unique(maintain_order=True).to_list()
    return next((name for name in (MACRO, CASE) if name in targets), str(targets[0]))


def _reading(rows: Sequence[AdaptRow], target: str) -> AdaptationReading:
    first = rows[0]
    losses = [
        row
        for row in rows
        if (row.metric, row.target, row.arm) == (LOSS, target, SELECTED)
        and row.difference is not None
    ]
    shown = [r for r in losses if r.difference_high is not None and r.difference_high < 0]
    chosen = next(iter(shown), losses[-1] if losses else None)
    patients = int(shown[0].patients) if shown else None
    if chosen is None:
        sentence = (
            f"{first.cohort}: {plural(first.pool_patients, 'patient')} to draw from are too "
            "few for the smallest number asked for."
        )
    else:
        sentence = _sentence(rows, chosen, is_shown=patients is not None)
    return AdaptationReading(first.rung, first.cohort, target, patients, sentence)


def _sentence(rows: Sequence[AdaptRow], chosen: AdaptRow, *, is_shown: bool) -> str:
    patients, cohort = plural(chosen.patients, "labelled patient"), chosen.cohort
    loss = f"{chosen.difference:+.3f}{_interval(chosen.difference_low, chosen.difference_high, 3)}"
    if not is_shown:
        return (
            f"No gain was shown at {cohort} without training: with {patients} the log loss changes "
            f"by {loss}."
        )
    parts = [f"{patients} of {cohort} change the log loss by {loss}", *_decisions(rows, chosen)]
    return "; ".join(parts) + "."


def _decisions(rows: Sequence[AdaptRow], chosen: AdaptRow) -> Iterator[str]:
    """Sensitivity and specificity at the first operating point, before and after."""
    names = [r.metric for r in rows if str(r.metric).startswith("sensitivity@")]
    if not names:
        return
    point = str(names[0]).partition("@")[2]
    targets = [r.target for r in rows if r.metric == names[0]]
    target = chosen.target if chosen.target in targets else MACRO
    for word in ("sensitivity", "specificity"):
        of_metric = [r for r in rows if (r.metric, r.target) == (f"{word}@{point}", target)]
        before = next((r for r in of_metric if r.arm == CARRIED), None)
        after = next(
            (r for r in of_metric if (r.arm, r.patients) == (SELECTED, chosen.patients)),
            None,
        )
        if before and after and None not in (before.value, after.value):
            yield (
                f"{word} at {point} goes from {before.value:.2f}"
                f"{_interval(before.low, before.high)} to {after.value:.2f}"
                f"{_interval(after.low, after.high)}"
            )


def _interval(low: float | None, high: float | None, digits: int = 2) -> str:
    return "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"


def adaptation_savings(table: pl.DataFrame, results: pl.DataFrame) -> list[AdaptationSaving]:
    """Labels that each arm saves against training on a hospital again, by the log loss.

    The number of patients at which an arm is as good as the retrained network is read on the curve,
    linear on the logarithm of the number. It is a reading of means, without an interval.

    Args:
        table: Of adaptation curves.
        results: Of the same study, with runs that were trained on the hospital again.

    Returns:
        One for each arm, hospital and share retrained on, also where the curve does not reach it.

    Raises:
        ColumnNotFoundError: A table is not of its contract.
    """
    overall = (pl.col("attribute") == ALL) & (pl.col("metric") == RETRAINED_LOSS)
    is_mean = pl.col("run_id").is_null() & pl.col("value").is_not_null()
    again = (pl.col("retrain_fraction") > 0) & (pl.col("cohort") == pl.col("held_out"))
    retrained = results.filter(overall & is_mean & again).sort("retrain_fraction")
    curves = table.filter(
        pl.col("metric") == LOSS,
        pl.col("patients") > 0,
        pl.col("value").is_not_null(),
        pl.col("arm") != RETRAINED,
    )
    key = ["rung", "cohort", "target"]
    return [
        _saving(curve.sort("patients"), fraction, loss)
        for curve in curves.partition_by(*key, "arm", maintain_order=True)
        for fraction, loss in retrained.join(curve.select(key).unique(), on=key, how="semi")
        .select("retrain_fraction", "value")
        .rows()
    ]


def _saving(curve: pl.DataFrame, fraction: float, loss: float) -> AdaptationSaving:
    """Labels saved by one arm against a network retrained on a share of the pool."""
    first = AdaptRow(**curve.row(0, named=True))
    count = round(fraction * first.pool_patients)
    sizes = curve["patients"].to_numpy().astype(np.float64)
    heights = -curve["value"].to_numpy()[:, None]  # a smaller loss is higher
    reached = float(fraction_to_reach(sizes, heights, np.array([-loss]))[0])
    is_reached = bool(np.isfinite(reached))
    return AdaptationSaving(
        rung=first.rung,
        cohort=first.cohort,
        arm=first.arm,
        retrained=count,
        patients=reached if is_reached else None,
        saved=1 - reached / count if is_reached else None,
    )
