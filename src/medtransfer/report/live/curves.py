"""Curves of training as inline SVG, without a library: they are drawn anew every few seconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 8, 28
CURVE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
"""Okabe and Ito's colours, which colour-blind readers tell apart."""
TICKS = 4


@dataclass(frozen=True)
class TrainingCurve:
    """Values of one run over its training.

    Attributes:
        name: Of the run.
        group: Number of its rung, which picks the colour.
        shares: Share of all steps, from 0 to 1. [N]
        values: Undefined ones are left out of the line. [N]
    """

    name: str
    group: int
    shares: Sequence[float]
    values: Sequence[float]


def curves_svg(
    title: str, curves: Sequence[TrainingCurve], bounds: tuple[float, float] | None = None
) -> str:
    """A chart of curves; empty where no value is defined.

    Args:
        title: For readers of screens, and for the tooltip.
        curves: Of the runs.
        bounds: Lowest and highest value of the axis; None for those of the values.
    """
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    if not values:
        return ""
    low, high = bounds or (min(values), max(values))
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    ticks = [low + (high - low) * number / TICKS for number in range(TICKS + 1)]
    parts = [_tick(value, _height(value, low, high)) for value in ticks]
    parts += [_line(curve, low, high) for curve in curves]
    foot = TOP + HEIGHT - TOP - BOTTOM + 20
    parts.append(f'<text x="{LEFT}" y="{foot}">start</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{foot}" text-anchor="end">end of training</text>')
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )


def _line(curve: TrainingCurve, low: float, high: float) -> str:
    points = [
        (LEFT + (WIDTH - LEFT - RIGHT) * share, _height(value, low, high))
        for share, value in zip(curve.shares, curve.values, strict=True)
        if math.isfinite(value)
    ]
    colour, name = CURVE_COLOURS[curve.group % len(CURVE_COLOURS)], escape(curve.name)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in points)
    return (
        f'<g fill="{colour}"><title>{name}</title>'
        f'<polyline points="{path}" fill="none" stroke="{colour}"/>{dots}</g>'
    )


def _tick(value: float, y: float) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    )


def _height(value: float, low: float, high: float) -> float:
    """Position on the page; values outside of the axis lie on its edge."""
    share = (min(max(value, low), high) - low) / (high - low)
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)
