"""Labels saved from a table of learning curves: another study's, or numbers out of a paper."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.errors import TableError, listed, suggestion
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import HEADLINE, Mean, ResultKey
from medtransfer.evaluation.scoring.estimate import NO_INTERVAL
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.seeds import generator
from medtransfer.statistics.bootstrap import ends_or_never, percentile_interval
from medtransfer.statistics.learning_curve import curve_area, labels_saved, resampled_mean
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
    """What a rung saves against the reference.

    Attributes:
        rung: Its name.
        saved: Share of the labels; None where the reference's full-data value is never reached.
        low: Lower end over seeds; None without seeds, or where some draws never reach it.
        high: Upper end over seeds.
        area: Mean height of the curve over the logarithm of the label fraction.
        at_least: Whether the smallest fraction already reaches it.
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
        TableError: It does not keep its contract.
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
    """Share of the labels that every other rung saves: see `metrics.learning_curve`.

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
    own = curves.filter(pl.col("rung") == rung).sort("label_fraction")
    for (fraction,), rows in own.group_by("label_fraction", maintain_order=True):
        values = rows["value"].to_numpy().astype(np.float64)
        spread = np.repeat(values[:, None], 1 + replicates, axis=1)
        rng = generator(seed, "seeds", rung, str(fraction))
        yield float(str(fraction)), resampled_mean(spread, rng)


def _saved(rung: str, points: dict[float, Floats], level: Floats, seeds: int) -> LabelSaving:
    fractions, values = np.array(list(points)), np.stack(list(points.values()))
    found = labels_saved(fractions, values, level)
    low, high = ends_or_never(found[1:]) if seeds > 1 else (None, None)
    reached = bool(np.isfinite(found[0]))
    ends = [end if end is not None and np.isfinite(end) else None for end in (low, high)]
    return LabelSaving(
        rung,
        float(found[0]) if reached else None,
        ends[0],
        ends[1],
        float(curve_area(fractions, values)[0]),
        reached and bool(found[0] >= 1 - fractions[0] - 1e-12),
    )


CURVE_AUC = f"{HEADLINE}_curve_area"
"""Mean height of a rung's curve over the logarithm of the label fraction."""


def curve_areas(means: Sequence[Mean], seed: int) -> Iterator[tuple[GridKey, Result]]:
    """How high each rung's curve over label fractions is in the mean.

    The interval resamples patients and seeds. Nothing is given for a single label fraction.
    """
    for curve in _curves(means).values():
        if len(curve) < 2:
            continue
        for place, number in curve[-1].numbers.items():
            if place[1] != ALL or place[4] != HEADLINE:
                continue
            cohort, attribute, group, target, _metric = place
            about = Result(
                None,
                "test",
                cohort,
                target,
                CURVE_AUC,
                None,
                None,
                None,
                number.cases,
                number.patients,
                None,
                None,
                attribute,
                group,
            )
            area = _area(curve, place, seed)
            undefined = replace(about, reason="undefined at a label fraction")
            yield curve[-1].key, undefined if area is None else _with_area(about, area)


def area_values(
    means: Sequence[Mean], seed: int
) -> dict[tuple[str, str | None, float | None], dict[ResultKey, Floats]]:
    """What `curve_areas` gives intervals of: by curve and place, the sample and every replicate."""
    return {
        curve: {
            (*place[:4], CURVE_AUC): area
            for place in own[-1].numbers
            if place[1] == ALL and place[4] == HEADLINE
            if (area := _area(own, place, seed)) is not None
        }
        for curve, own in _curves(means).items()
        if len(own) > 1
    }


def _area(curve: list[Mean], place: ResultKey, seed: int) -> Floats | None:
    """The area of one curve [1 + R]; None where it is undefined at a label fraction."""
    if any(place not in mean.by_seed for mean in curve):
        return None
    fractions = np.array([mean.key.label_fraction for mean in curve])
    return curve_area(fractions, np.stack([_resampled(mean, place, seed) for mean in curve]))


def _with_area(about: Result, area: Floats) -> Result:
    if not np.isfinite(area[0]):
        return replace(about, reason="undefined at a label fraction")
    low, high = percentile_interval(area) or (None, None)
    reason = NO_INTERVAL if low is None and len(area) > 1 else None
    return replace(about, value=float(area[0]), low=low, high=high, reason=reason)


def saving_results(
    means: Sequence[Mean], reference: str, seed: int
) -> Iterator[tuple[GridKey, Result]]:
    """Share of the labels each rung saves: reaching the reference's full-data AUROC with fewer.

    The interval resamples patients and seeds. Nothing is given for the reference itself, or
    where the reference was not run with all labels and the rung with fewer.
    """
    curves = _curves(means)
    for (rung, held_out, retrained), curve in curves.items():
        base = curves.get((reference, held_out, retrained))
        if rung == reference or base is None or len(curve) < 2:
            continue
        if base[-1].key.label_fraction < 1:
            continue
        for place in [p for p in curve[-1].by_seed if p[1] == ALL and p[4] == HEADLINE]:
            row = _saving(curve, base[-1], place, seed)
            if row is not None:
                yield curve[-1].key, row


def _curves(means: Sequence[Mean]) -> dict[tuple[str, str | None, float | None], list[Mean]]:
    """The means of each rung by rising label fraction."""
    curves: dict[tuple[str, str | None, float | None], list[Mean]] = {}
    for mean in sorted(means, key=lambda m: m.key.label_fraction):
        curves.setdefault(mean.key.curve, []).append(mean)
    return curves


def _saving(curve: list[Mean], base: Mean, place: ResultKey, seed: int) -> Result | None:
    if place not in base.by_seed or any(place not in mean.by_seed for mean in curve):
        return None
    fractions = np.array([mean.key.label_fraction for mean in curve])
    values = np.stack([_resampled(mean, place, seed) for mean in curve])
    saved = labels_saved(fractions, values, _resampled(base, place, seed))
    cohort, attribute, group, target, _metric = place
    number = curve[-1].numbers[place]
    about = Result(
        None,
        "test",
        cohort,
        target,
        "labels_saved",
        None,
        None,
        None,
        number.cases,
        number.patients,
        None,
        None,
        attribute,
        group,
    )
    if not np.isfinite(saved[0]):
        return replace(about, reason="the reference's full-data AUROC is never reached")
    reasons: list[str] = []
    if saved[0] >= 1 - fractions[0] - 1e-12:
        reasons.append("at least: the smallest label fraction already reaches it")
    low, high = ends_or_never(saved[1:])
    if low is None and len(saved) > 1:
        reasons.append(NO_INTERVAL)
    elif low == -np.inf:
        reasons.append("in some replicates the reference's full-data AUROC is never reached")
    ends = (end if end is not None and np.isfinite(end) else None for end in (low, high))
    return replace(
        about,
        value=float(saved[0]),
        low=next(ends),
        high=next(ends),
        reason="; ".join(reasons) or None,
    )


def _resampled(mean: Mean, place: ResultKey, seed: int) -> Floats:
    rng = generator(seed, "seeds", mean.key.rung, str(mean.key.label_fraction))
    return resampled_mean(mean.by_seed[place], rng)
