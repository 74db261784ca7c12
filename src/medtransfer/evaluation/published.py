"""Labels saved from a table of learning curves: another study's, or numbers out of a paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.errors import TableError, listed, suggestion
from medtransfer.metrics.bootstrap import ends_or_never
from medtransfer.metrics.kernels import Floats
from medtransfer.metrics.learning_curve import curve_area, labels_saved, resampled_mean
from medtransfer.seeds import generator
from medtransfer.tables.schema import (
    Column,
    Contract,
    check_columns,
    duplicates,
    read_frame,
    refuse,
    typed,
    wrong_cells,
)

CONTRACT = Contract(
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
class Saved:
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


def read_curves(path: Path) -> pl.DataFrame:
    """Read and check a table of learning curves.

    Raises:
        TableError: It does not keep its contract.
    """
    frame = read_frame(path, CONTRACT)
    faults = check_columns(frame, CONTRACT)
    frame = typed(frame, CONTRACT)
    keys = [name for name in ("rung", "label_fraction", "seed") if name in frame.columns]
    if not faults:
        outside = (pl.col("label_fraction") <= 0) | (pl.col("label_fraction") > 1)
        faults += wrong_cells(frame.filter(outside), "label_fraction", ["over 0 up to 1"])
        faults += duplicates(frame, keys)
    refuse(CONTRACT, path, faults)
    return frame


def saved_labels(
    curves: pl.DataFrame, reference: str, *, replicates: int = 1000, seed: int = 0
) -> list[Saved]:
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


def _saved(rung: str, points: dict[float, Floats], level: Floats, seeds: int) -> Saved:
    fractions, values = np.array(list(points)), np.stack(list(points.values()))
    found = labels_saved(fractions, values, level)
    low, high = ends_or_never(found[1:]) if seeds > 1 else (None, None)
    reached = bool(np.isfinite(found[0]))
    ends = [end if end is not None and np.isfinite(end) else None for end in (low, high)]
    return Saved(
        rung, float(found[0]) if reached else None, ends[0], ends[1],
        float(curve_area(fractions, values)[0]),
        reached and bool(found[0] >= 1 - fractions[0] - 1e-12),
    )  # fmt: skip
