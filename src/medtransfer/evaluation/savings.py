"""How many labels a rung saves and how high its curve is, from the means of a study's rungs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from medtransfer.evaluation.means import HEADLINE, Mean, Place, RungRuns
from medtransfer.evaluation.numbers import NO_INTERVAL
from medtransfer.metrics.bootstrap import ends_or_never, percentile_interval
from medtransfer.metrics.kernels import Floats
from medtransfer.metrics.learning_curve import curve_area, labels_saved, resampled_mean
from medtransfer.seeds import generator
from medtransfer.tables.results import ALL, Result

AREA = f"{HEADLINE}_curve_area"
"""Mean height of a rung's curve over the logarithm of the label fraction."""


def curve_areas(means: Sequence[Mean], seed: int) -> Iterator[tuple[RungRuns, Result]]:
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
                None, "test", cohort, target, AREA, None, None, None,
                number.cases, number.patients, None, None, attribute, group,
            )  # fmt: skip
            area = _area(curve, place, seed)
            undefined = replace(about, reason="undefined at a label fraction")
            yield curve[-1].runs, undefined if area is None else _with_area(about, area)


def area_values(
    means: Sequence[Mean], seed: int
) -> dict[tuple[str, str | None, float | None], dict[Place, Floats]]:
    """What `curve_areas` gives intervals of: by curve and place, the sample and every replicate."""
    return {
        curve: {
            (*place[:4], AREA): area
            for place in own[-1].numbers
            if place[1] == ALL and place[4] == HEADLINE
            if (area := _area(own, place, seed)) is not None
        }
        for curve, own in _curves(means).items()
        if len(own) > 1
    }


def _area(curve: list[Mean], place: Place, seed: int) -> Floats | None:
    """The area of one curve [1 + R]; None where it is undefined at a label fraction."""
    if any(place not in mean.by_seed for mean in curve):
        return None
    fractions = np.array([mean.runs.label_fraction for mean in curve])
    return curve_area(fractions, np.stack([_resampled(mean, place, seed) for mean in curve]))


def _with_area(about: Result, area: Floats) -> Result:
    if not np.isfinite(area[0]):
        return replace(about, reason="undefined at a label fraction")
    low, high = percentile_interval(area) or (None, None)
    reason = NO_INTERVAL if low is None and len(area) > 1 else None
    return replace(about, value=float(area[0]), low=low, high=high, reason=reason)


def savings(means: Sequence[Mean], reference: str, seed: int) -> Iterator[tuple[RungRuns, Result]]:
    """Share of the labels each rung saves: reaching the reference's full-data AUROC with fewer.

    The interval resamples patients and seeds. Nothing is given for the reference itself, or
    where the reference was not run with all labels and the rung with fewer.
    """
    curves = _curves(means)
    for (rung, held_out, retrained), curve in curves.items():
        base = curves.get((reference, held_out, retrained))
        if rung == reference or base is None or len(curve) < 2:
            continue
        if base[-1].runs.label_fraction < 1:
            continue
        for place in [p for p in curve[-1].by_seed if p[1] == ALL and p[4] == HEADLINE]:
            row = _saving(curve, base[-1], place, seed)
            if row is not None:
                yield curve[-1].runs, row


def _curves(means: Sequence[Mean]) -> dict[tuple[str, str | None, float | None], list[Mean]]:
    """The means of each rung by rising label fraction."""
    curves: dict[tuple[str, str | None, float | None], list[Mean]] = {}
    for mean in sorted(means, key=lambda m: m.runs.label_fraction):
        curves.setdefault(mean.runs.curve, []).append(mean)
    return curves


def _saving(curve: list[Mean], base: Mean, place: Place, seed: int) -> Result | None:
    if place not in base.by_seed or any(place not in mean.by_seed for mean in curve):
        return None
    fractions = np.array([mean.runs.label_fraction for mean in curve])
    values = np.stack([_resampled(mean, place, seed) for mean in curve])
    saved = labels_saved(fractions, values, _resampled(base, place, seed))
    cohort, attribute, group, target, _metric = place
    number = curve[-1].numbers[place]
    about = Result(
        None, "test", cohort, target, "labels_saved", None, None, None,
        number.cases, number.patients, None, None, attribute, group,
    )  # fmt: skip
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


def _resampled(mean: Mean, place: Place, seed: int) -> Floats:
    rng = generator(seed, "seeds", mean.runs.rung, str(mean.runs.label_fraction))
    return resampled_mean(mean.by_seed[place], rng)
