"""Small pictures of the first page, drawn as SVG without the chart library.

Dots with intervals of the hospitals, and learning curves as small multiples. Lines take the colour
of the text around them, so dark mode and print need nothing more.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from medtransfer.language.numbers import localised
from medtransfer.language.translation import translate
from medtransfer.report.drawing import printable_texts
from medtransfer.report.front_page.facts import CurvePoint, Quantity
from medtransfer.report.text import fixed

WIDTH, HEIGHT = 120, 16
"""Size of one dot with its interval."""
CURVE_WIDTH, CURVE_HEIGHT, PAD = 150, 56, 5
MAX_CURVES = 6


def interval_picture(estimate: Quantity, name: str, low: float, high: float) -> Markup:
    """Dot with its interval on a scale.

    Args:
        estimate: The number; nothing is drawn if it is undefined.
        name: Of the number, for readers of the alternative text.
        low: Start of the scale.
        high: End of the scale.
    """
    if estimate.value is None:
        return Markup()
    ends = estimate.value, estimate.low, estimate.high
    place = [None if end is None else _along(end, low, high, WIDTH) for end in ends]
    dot, left, right = place
    bar = Markup()
    if left is not None and right is not None:
        bar = Markup('<line x1="{}" x2="{}" y1="8" y2="8" stroke-width="2"/>').format(left, right)
    return Markup(
        '<svg class="dot" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        '<title>{title}</title><line class="rail" x1="0" x2="{w}" y1="8" y2="8"/>{bar}'
        '<circle cx="{dot}" cy="8" r="4"/></svg>'
    ).format(w=WIDTH, h=HEIGHT, title=_spoken(name, estimate), bar=bar, dot=dot)


def auroc_scale(estimates: Sequence[Quantity], start: float = 0.5) -> tuple[float, float]:
    """Scale of AUROCs: from `start`, or below the lowest interval, to 1."""
    ends = [x for e in estimates for x in (e.low, e.value) if x is not None]
    return min(start, math.floor(10 * min(ends, default=start)) / 10), 1.0


def curve_pictures(points: Sequence[CurvePoint], reference: str) -> list[tuple[str, Markup]]:
    """A small learning curve for each rung, all on one scale, with the rung's name.

    Args:
        points: Of every rung.
        reference: The rung whose level with all labels is drawn through every picture.
    """
    rungs = list(dict.fromkeys(point.rung for point in points))[:MAX_CURVES]
    low, high = auroc_scale([point.auroc for point in points])
    fractions = [point.fraction for point in points]
    left, right = math.log(min(fractions, default=0.5)), math.log(max(fractions, default=1.0))
    levels = [p.auroc.value for p in points if p.rung == reference]
    level = levels[-1] if levels else None
    pictures: list[tuple[str, Markup]] = []
    for rung in rungs:
        points_of_rung = sorted((p for p in points if p.rung == rung), key=lambda p: p.fraction)
        places = [
            (_along(math.log(p.fraction), left, right, CURVE_WIDTH, PAD), p)
            for p in points_of_rung
            if p.auroc.value is not None
        ]
        pictures.append((rung, _curve(rung, places, (low, high), level)))
    return pictures


def _curve(
    rung: str,
    places: Sequence[tuple[float, CurvePoint]],
    scale: tuple[float, float],
    level: float | None,
) -> Markup:
    def up(value: float | None) -> float:
        height = CURVE_HEIGHT - 2 * PAD
        return CURVE_HEIGHT - PAD - (_along(value or 0.0, *scale, height))

    bars = Markup().join(
        Markup('<line x1="{0}" x2="{0}" y1="{1}" y2="{2}" class="bar"/>').format(
            x, up(p.auroc.low), up(p.auroc.high)
        )
        for x, p in places
        if p.auroc.low is not None
    )
    dots = Markup().join(
        Markup('<circle cx="{}" cy="{}" r="3"/>').format(x, up(p.auroc.value)) for x, p in places
    )
    dashed = Markup()
    if level is not None:
        dashed = Markup('<line class="level" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
            CURVE_WIDTH, up(level), up(level)
        )
    line = " ".join(f"{x},{up(p.auroc.value)}" for x, p in places)
    texts = "; ".join(
        f"{localised(f'{p.fraction:.3g}')}: {fixed(p.auroc.value or 0)}" for _, p in places
    )
    title = translate("AUROC of {rung} by share of labels: {texts}", rung=rung, texts=texts)
    return Markup(
        '<svg class="curve" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        '<title>{title}</title><line class="rail" x1="0" x2="{w}" y1="{floor}" y2="{floor}"/>'
        '{under}<polyline points="{line}" fill="none"/>{dots}</svg>'
    ).format(
        w=CURVE_WIDTH,
        h=CURVE_HEIGHT,
        floor=CURVE_HEIGHT - 1,
        title=printable_texts(title),
        under=Markup("{}{}").format(dashed, bars),
        line=line,
        dots=dots,
    )


def _along(value: float, low: float, high: float, length: float, pad: float = 4) -> float:
    """Place of a value on a scale, in pixels, kept inside."""
    share = 0.5 if high <= low else (value - low) / (high - low)
    return round(pad + min(1.0, max(0.0, share)) * (length - 2 * pad), 1)


def _spoken(name: str, estimate: Quantity) -> str:
    text = f"{name}: {fixed(estimate.value or 0)}"
    if estimate.low is not None and estimate.high is not None:
        text = translate(
            "{number}, 95% interval {low} to {high}",
            number=text,
            low=fixed(estimate.low),
            high=fixed(estimate.high),
        )
    return str(printable_texts(text))
