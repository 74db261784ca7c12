"""Labels saved and heights of learning curves: of a ladder, or of a table such as a paper's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.errors import TableError, listed, suggestion
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL, Estimate, ResultKey
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import ends_or_never, percentile_interval
from medtransfer.statistics.contrasts import PATIENTS_AND_SEEDS, Sources, seeded_replicates
from medtransfer.statistics.learning_curve import curve_area, labels_saved
from medtransfer.tables.results import ALL, Result
from medtransfer.tables.schema import (
    Column,
    Contract,
    check_columns,
    duplicates,
    raise_faults,
    read_frame,
    typed,
    wrong_cells,
)

LEARNING_CURVES_CONTRACT = Contract(
    "Learning curves",
    (
        Column("rung", "text", "The rung."),
        Column("label_fraction", "number", "Share of the labels, over 0 up to 1."),
        Column("value", "number", "The metric; higher is better."),
        Column("seed", "integer", "Of the run.", required=False),
    ),
    "docs/how-to/compare-several-tasks.md",
)


@dataclass(frozen=True)
class LabelSaving:
    """Labels that a rung saves against the reference.

    Attributes:
        rung: Its name.
        saved: Share of the labels; None where the reference's full-data value is never reached.
        low: Lower end over seeds; None without seeds, or where some draws never reach it.
        high: Upper end over seeds.
        area: Mean height of the curve over the logarithm of the label fraction.
        at_least: True if the smallest fraction already reaches it.
    """

    rung: str
    saved: float | None
    low: float | None
    high: float | None
    area: float
    at_least: bool


def savings(curves: Path, reference: str) -> list[LabelSaving]:
    """Labels saved, from a table of learning curves such as a paper prints.

    Args:
        curves: Table with `rung`, `label_fraction`, `value`, and `seed` if there are several.
        reference: Rung whose value with all labels is to be reached.

    Returns:
        One saving per other rung.

    Raises:
        TableError: The table does not keep its contract, there is no such rung, or it has no
            value at label fraction 1.
    """
    return saved_labels(read_curves(curves), reference)


def read_curves(path: Path) -> pl.DataFrame:
    """Read and check a table of learning curves.

    Raises:
        TableError: The table breaks its contract.
    """
    frame = read_frame(path, LEARNING_CURVES_CONTRACT)
    faults = check_columns(frame, LEARNING_CURVES_CONTRACT)
    frame = typed(frame, LEARNING_CURVES_CONTRACT)
    keys = [name for name in ("rung", "label_fraction", "seed") if name in frame.columns]
    if not faults:
        outside = (pl.col("label_fraction") <= 0) | (pl.col("label_fraction") > 1)
        faults += wrong_cells(frame.filter(outside), "label_fraction", ["over 0 up to 1"])
        faults += duplicates(frame, keys)
    raise_faults(LEARNING_CURVES_CONTRACT, path, faults)
    return frame


def saved_labels(
    curves: pl.DataFrame, reference: str, *, replicates: int = 1000, seed: int = 0
) -> list[LabelSaving]:
    """Share of the labels that every other rung saves: see `statistics.learning_curve`.

    Args:
        curves: From `read_curves`.
        reference: The rung whose value with all labels is to be reached.
        replicates: Draws of seeds for the interval.
        seed: Of these draws.

    Raises:
        TableError: There is no such rung, or it has no value at label fraction 1.
    """
    rungs = curves["rung"].unique(maintain_order=True).to_list()
    if reference not in rungs:
        hint = suggestion(reference, rungs)
        raise TableError(f"reference '{reference}' is not among {listed(rungs)}. {hint}".rstrip())
    base = dict(_points(curves, reference, replicates, seed))
    if 1.0 not in base:
        raise TableError(f"reference '{reference}' has no value at label fraction 1.")
    seeds = curves.group_by("rung", "label_fraction").len()["len"].min()
    return [
        _saved(rung, dict(_points(curves, rung, replicates, seed)), base[1.0], int(str(seeds)))
        for rung in rungs
        if rung != reference
    ]


def _points(
    curves: pl.DataFrame, rung: str, replicates: int, seed: int
) -> Iterator[tuple[float, Floats]]:
    """Rising label fractions with the mean over seeds, plain and with seeds resampled. [1 + R]"""
    of_rung = curves.filter(pl.col("rung") == rung).sort("label_fraction")
    for (fraction,), rows in of_rung.group_by("label_fraction", maintain_order=True):
        values = rows["value"].to_numpy().astype(np.float64)
        spread = np.repeat(values[:, None], 1 + replicates, axis=1)
        rng = generator(seed, "seeds", rung, str(fraction))
        yield float(str(fraction)), seeded_replicates(spread, rng)


def _saved(rung: str, points: dict[float, Floats], level: Floats, seeds: int) -> LabelSaving:
    fractions, values = np.array(list(points)), np.stack(list(points.values()))
    saved = labels_saved(fractions, values, level)
    low, high = ends_or_never(saved[1:]) if seeds > 1 else (None, None)
    reached = bool(np.isfinite(saved[0]))
    return LabelSaving(
        rung=rung,
        saved=float(saved[0]) if reached else None,
        low=_finite(low),
        high=_finite(high),
        area=float(curve_area(fractions, values)[0]),
        at_least=reached and bool(saved[0] >= 1 - fractions[0] - 1e-12),
    )


CURVE_AUC = f"{HEADLINE}_curve_area"
"""Mean height of a rung's curve over the logarithm of the label fraction."""
LABELS_SAVED = "labels_saved"
CurveKey = tuple[str, str | None, float | None]
"""Rung, cohort held out, share of its cases trained on again: what the points of a curve share."""


def curve_areas(means: Sequence[Mean], seed: int) -> Iterator[tuple[GridKey, Result]]:
    """Mean height of each rung's curve over label fractions.

    The interval resamples patients and seeds. Nothing is given for a single label fraction.
    """
    for curve in _curves(means).values():
        if len(curve) < 2:
            continue
        for key in curve[-1].estimates:
            if key.attribute == ALL and key.metric == HEADLINE:
                estimate = curve[-1].estimate(key)
                auc = _curve_auc(curve, key, seed)
                yield curve[-1].key, _curve_auc_row(key, estimate, auc, _contains(curve))


def curve_auc_values(means: Sequence[Mean], seed: int) -> dict[CurveKey, dict[ResultKey, Floats]]:
    """Values behind `curve_areas`, by curve: in the sample and in every replicate. [1 + R] each"""
    return {
        curve_key: {
            replace(key, metric=CURVE_AUC): auc
            for key in curve[-1].estimates
            if key.attribute == ALL and key.metric == HEADLINE
            if (auc := _curve_auc(curve, key, seed)) is not None
        }
        for curve_key, curve in _curves(means).items()
        if len(curve) > 1
    }


def _curve_auc(curve: list[Mean], key: ResultKey, seed: int) -> Floats | None:
    """The mean height of one curve [1 + R]; None where it is undefined at a label fraction."""
    if any(key not in mean.by_seed for mean in curve):
        return None
    fractions = np.array([mean.key.label_fraction for mean in curve])
    return curve_area(fractions, np.stack([_resampled(mean, key, seed) for mean in curve]))


def _curve_auc_row(
    key: ResultKey, estimate: Estimate, auc: Floats | None, contains: Sources
) -> Result:
    counts = Estimate(values=auc, cases=estimate.cases, patients=estimate.patients)
    key = replace(key, metric=CURVE_AUC)
    if auc is None or not np.isfinite(auc[0]):
        return replace(counts, reason="undefined at a label fraction").row(key, None)
    lacking = estimate.lacking(HEADLINE)
    missing = (lacking or NO_INTERVAL) if len(auc) > 1 else None
    interval = None if lacking else percentile_interval(auc)
    row = counts.row(key, float(auc[0]), interval, missing=missing)
    return replace(row, contains=contains)


def saving_results(
    means: Sequence[Mean], reference: str, seed: int
) -> Iterator[tuple[GridKey, Result]]:
    """Share of the labels each rung saves: reaching the reference's full-data AUROC with fewer.

    The interval resamples patients and seeds. Nothing is given for the reference itself, or
    where the reference was not run with all labels and the rung with fewer.
    """
    curves = _curves(means)
    for (rung, held_out, retrain_fraction), curve in curves.items():
        base = curves.get((reference, held_out, retrain_fraction))
        if rung == reference or base is None or len(curve) < 2:
            continue
        if base[-1].key.label_fraction < 1:
            continue
        for key in curve[-1].by_seed:
            if key.attribute != ALL or key.metric != HEADLINE or key not in base[-1].by_seed:
                continue
            if all(key in mean.by_seed for mean in curve):
                yield curve[-1].key, _saving_row(curve, base[-1], key, seed)


def _curves(means: Sequence[Mean]) -> dict[CurveKey, list[Mean]]:
    """The means of each rung by rising label fraction."""
    curves: dict[CurveKey, list[Mean]] = {}
    for mean in sorted(means, key=lambda mean: mean.key.label_fraction):
        curves.setdefault(mean.key.curve, []).append(mean)
    return curves


def _saving_row(curve: list[Mean], base: Mean, key: ResultKey, seed: int) -> Result:
    fractions = np.array([mean.key.label_fraction for mean in curve])
    values = np.stack([_resampled(mean, key, seed) for mean in curve])
    saved = labels_saved(fractions, values, _resampled(base, key, seed))
    estimate = curve[-1].estimate(key)
    counts = Estimate(values=saved, cases=estimate.cases, patients=estimate.patients)
    key = replace(key, metric=LABELS_SAVED)
    if not np.isfinite(saved[0]):
        reason = "the reference's full-data AUROC is never reached"
        return replace(counts, reason=reason).row(key, None)
    reasons: list[str] = []
    low, high = ends_or_never(saved[1:])
    if saved[0] >= 1 - fractions[0] - 1e-12:
        reasons.append("at least: the smallest label fraction already reaches it")
        high = None  # fewer labels were not tried: replicates that all reach it have a lower end
    lacking = estimate.lacking(HEADLINE)
    if lacking and len(saved) > 1:
        low = high = None
        reasons.append(lacking)
    elif low is None and len(saved) > 1:
        reasons.append(NO_INTERVAL)
    elif low == -np.inf:
        reasons.append("in some replicates the reference's full-data AUROC is never reached")
    counts = replace(counts, reason="; ".join(reasons) or None)
    row = counts.row(key, float(saved[0]), (_finite(low), _finite(high)))
    return replace(row, contains=_contains([*curve, base]))


def _contains(means: Sequence[Mean]) -> Sources:
    """Variation in the replicates of some means: of seeds too if each has several."""
    several = all(len(mean.seeds) > 1 for mean in means)
    return PATIENTS_AND_SEEDS if several else "patients"


def _finite(end: float | None) -> float | None:
    return end if end is not None and np.isfinite(end) else None


def _resampled(mean: Mean, key: ResultKey, seed: int) -> Floats:
    return mean.replicates(key, seed)
