"""The charts of a report.

Three kinds: dots with intervals, curves with bands, and scatter plots. Colour encodes the cohort,
position, dash or shape the rung.
"""

import atexit
from collections.abc import Sequence
from functools import cache

import altair as alt
from markupsafe import Markup

from medtransfer.report.charts.style import (
    CHART_WIDTH,
    GAP,
    INK,
    LETTER,
    ROWS,
    Axis,
    DataPoints,
    Layers,
    axis_labels,
    axis_scale,
    axis_title,
    cohort_colour,
    drawn_cohorts,
    finished,
    in_panels,
    insert_below,
    panel_columns,
    straight_line,
    tooltips,
)
from medtransfer.report.components import Figure, Spec
from medtransfer.report.drawing import Drawer, printable_texts
from medtransfer.report.text import short_names

MIN_AUROC = 0.5
"""Start of an AUROC axis, unless an interval reaches below it."""
TREND = "trend"
"""Data set of fitted lines."""
MAX_LABEL = 48
"""Letters of a row's label."""
LINE_DASHES = ([1, 0], [5, 3], [2, 2], [8, 3, 2, 3])
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)


def auroc_axis(title: str, values: DataPoints) -> Axis:
    """An axis for AUROC and the like: from 0.5, or below the lowest interval, to 1."""
    heights = [v[k] for v in values for k in ("low", "value", "y") if v.get(k) is not None]
    lowest = min(heights, default=MIN_AUROC)
    return Axis(title, (min(MIN_AUROC, int(float(lowest) * 20) / 20), 1.0))


def intervals(
    values: DataPoints,
    x: Axis,
    *,
    rows: Sequence[str],
    cohorts: Sequence[str],
    panels: Sequence[str] = (),
    line: float | None = None,
    dodge: bool = True,
) -> Spec:
    """Values as dots with their intervals as bars.

    Args:
        values: Each with `row`, `cohort`, `value`, `low`, `high`, and `panel` if there are any;
            `note` replaces a missing value.
        x: Axis of the values.
        rows: In reading order.
        cohorts: Every cohort, for the colours.
        panels: Side by side, in reading order.
        line: A reference value, drawn as a dashed line.
        dodge: A row has a dot for each cohort, one below the other.
    """
    labels = short_names(rows, MAX_LABEL)
    names = [labels[row] for row in rows]
    start = x.domain[0]
    data = [
        {**v, "row": labels[v["row"]], "at": start, "note": v.get("note") or ""} for v in values
    ]
    y = alt.Y("row:N", sort=names, title=None)
    across = alt.X("value:Q", title=x.title, scale=axis_scale(x), axis=axis_labels(x))
    drawn = drawn_cohorts(cohorts, values)
    colour = cohort_colour(cohorts, drawn)
    row: Layers = [y, alt.YOffset("cohort:N", sort=drawn)] if dodge else [y]
    base = alt.Chart(alt.Data(name=ROWS))
    bars = base.mark_rule(strokeWidth=2).encode(*row, alt.X("low:Q"), alt.X2("high:Q"), colour)
    dots = base.mark_point(filled=True, size=65, opacity=1).encode(
        *row, across, colour, tooltip=tooltips(values, "row", "cohort")
    )
    layers: Layers = [bars, dots]
    if any(v.get("note") for v in values):
        notes = base.mark_text(align="left", dx=4, color=INK, opacity=0.65, fontSize=11)
        layers.append(notes.encode(*row, alt.X("at:Q", scale=axis_scale(x)), alt.Text("note:N")))
    label = max((len(name) for name in names), default=0) * LETTER
    width = (CHART_WIDTH - label) / max(1, len(panels)) - (GAP if len(panels) > 1 else 0)
    row_height = 20 * len(drawn) + 14 if dodge else 24
    chart = alt.layer(*layers).properties(width=width, height=max(60, row_height * len(names)))
    spec = finished(in_panels(chart, panels, max(1, len(panels))), {ROWS: data}, label + 10)
    if line is not None:
        insert_below(spec, straight_line([{"x": line}], x, None))
    return spec


def curves(
    values: DataPoints,
    x: Axis,
    y: Axis,
    *,
    cohorts: Sequence[str],
    panels: Sequence[str] = (),
    dashes: Sequence[str] = (),
    dash_title: str = "rung",
    diagonal: tuple[float, float] | None = None,
    points: bool = False,
    square: bool = False,
) -> Spec:
    """Curves with bands.

    Args:
        values: Points with `x`, `y`, `low`, `high`, `cohort`; `panel` and `dash` if there are
            several; `level` for a dashed horizontal line; `start` for a thick line from there to
            `x` at the height of `level`; `count` for the size of a dot; `bin`, `bin_low` and
            `bin_high` in place of `y` for a dot with its interval that belongs to no line.
        x: Horizontal axis.
        y: Vertical axis.
        cohorts: Every cohort, for the colours.
        panels: Side by side, in reading order.
        dashes: Rungs, or other series, that the dash of a line encodes, solid first.
        dash_title: Title of their legend.
        diagonal: Heights at both ends of a dashed straight line across the panel.
        points: Each point has a dot.
        square: Panels are as high as wide.
    """
    colour = cohort_colour(cohorts, drawn_cohorts(cohorts, values))
    across = alt.X("x:Q", title=axis_title(x), scale=axis_scale(x), axis=axis_labels(x))
    up = alt.Y("y:Q", title=y.title, scale=axis_scale(y), axis=axis_labels(y))
    dash: Layers = []
    if dashes:
        scale = alt.Scale(domain=list(dashes), range=[list(d) for d in LINE_DASHES[: len(dashes)]])
        dash = [
            alt.StrokeDash(
                "dash:N",
                title=dash_title,
                scale=scale,
                sort=list(dashes),
                legend=alt.Legend(labelLimit=360),
            )
        ]
    base = alt.Chart(alt.Data(name=ROWS))
    layers: Layers = []
    if any(v.get("bin") is not None for v in values):
        layers += _dots_apart(base, values, (across, colour), y)
        base = base.transform_filter("isValid(datum.y)")
    if any(v.get("low") is not None for v in values):
        band = base.mark_area(opacity=0.13, clip=True)
        detail = [alt.Detail("dash:N")] if dashes else []
        layers.append(band.encode(across, alt.Y("low:Q"), alt.Y2("high:Q"), colour, *detail))
    if any(v.get("level") is not None for v in values):
        level = base.mark_line(strokeDash=[4, 4], opacity=0.7, strokeWidth=1)
        layers.append(level.encode(across, alt.Y("level:Q"), colour))
    if any(v.get("start") is not None for v in values):
        span = base.transform_filter("isValid(datum.start)").mark_rule(strokeWidth=3, opacity=0.8)
        ends = (
            alt.X("start:Q", title=x.title, scale=axis_scale(x), axis=axis_labels(x)),
            alt.X2("x:Q"),
        )
        layers.append(span.encode(*ends, alt.Y("level:Q"), colour))
    tips = tooltips(values, "cohort", *(["dash"] if dashes else []))
    line = base.mark_line(strokeWidth=1.7, clip=True)
    layers.append(line.encode(across, up, colour, *dash, tooltip=tips))
    if points:
        counted = any(v.get("count") is not None for v in values)
        scale = alt.Scale(range=[12, 200])
        size = [alt.Size("count:Q", title="cases", scale=scale)] if counted else []
        dots = base.mark_point(filled=True, opacity=0.9, size=40)
        layers.append(dots.encode(across, up, colour, *size, tooltip=tips))
    columns = panel_columns(panels)
    width = min(360 if square else 620, CHART_WIDTH / columns - GAP - 10)
    height = width if square else min(220, width)
    chart = alt.layer(*layers).properties(width=width, height=height)
    spec = finished(in_panels(chart, panels, columns), {ROWS: values})
    if diagonal is not None:
        ends = [{"x": end, "y": at} for end, at in zip(x.domain, diagonal, strict=True)]
        insert_below(spec, straight_line(ends, x, y))
    return spec


def _dots_apart(
    base: alt.Chart, values: DataPoints, encoding: tuple[alt.X, alt.Color], y: Axis
) -> Layers:
    """Dots with their intervals that belong to no line."""
    dots = base.transform_filter("isValid(datum.bin)")
    up, low = (alt.Y(f"{end}:Q", title=y.title, scale=axis_scale(y)) for end in ("bin", "bin_low"))
    size = alt.Size("count:Q", title="cases", scale=alt.Scale(range=[12, 200]))
    tips = [*tooltips(values, "cohort"), alt.Tooltip("bin:Q", title=y.title, format=".3f")]
    bars = dots.mark_rule(opacity=0.5, clip=True).encode(*encoding, low, alt.Y2("bin_high:Q"))
    points = dots.mark_point(filled=True, opacity=0.9)
    return [bars, points.encode(*encoding, up, size, tooltip=tips)]


def scatter(
    values: DataPoints,
    x: Axis,
    y: Axis,
    *,
    cohorts: Sequence[str],
    shapes: Sequence[str],
    trend: DataPoints = (),
) -> Spec:
    """One value against another with both intervals, the line of no difference, and a trend.

    Args:
        values: Each with `cohort`, `rung`, `x`, `x_low`, `x_high`, `y`, `low`, `high`.
        x: Horizontal axis.
        y: Vertical axis.
        cohorts: Every cohort, for the colours.
        shapes: Rungs that the shape of a mark encodes.
        trend: Points of fitted lines: `cohort`, `x`, `y`.
    """
    colour = cohort_colour(cohorts, drawn_cohorts(cohorts, values))
    across = alt.X("x:Q", title=x.title, scale=axis_scale(x))
    up = alt.Y("y:Q", title=y.title, scale=axis_scale(y))
    shape = alt.Shape(
        "rung:N",
        title="rung",
        sort=list(shapes),
        legend=alt.Legend(orient="right", labelLimit=300),
        scale=alt.Scale(domain=list(shapes), range=[SHAPES[i % 8] for i in range(len(shapes))]),
    )
    base = alt.Chart(alt.Data(name=ROWS))
    faint = base.mark_rule(opacity=0.35)
    tips = tooltips(values, "rung", "cohort")
    layers: Layers = [
        faint.encode(alt.X("x_low:Q"), alt.X2("x_high:Q"), up, colour),
        faint.encode(across, alt.Y("low:Q"), alt.Y2("high:Q"), colour),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            across, up, colour, shape, tooltip=tips
        ),
    ]
    if trend:
        lines = alt.Chart(alt.Data(name=TREND))
        layers.insert(
            0, lines.mark_line(opacity=0.8, strokeWidth=1, clip=True).encode(across, up, colour)
        )
    chart = alt.layer(*layers).properties(width=460, height=400)
    spec = finished(chart, {ROWS: values, TREND: trend})
    insert_below(spec, straight_line([{"x": end, "y": end} for end in x.domain], x, y))
    return spec


_drawer = Drawer()
atexit.register(_drawer.close)  # the process starts slowly: it stays for the next report
NOT_DRAWN = Markup("<p>This figure could not be drawn. Its numbers are in the tables.</p>")


def figure(name: str, spec: Spec, caption: str, title: str = "") -> Figure:
    """A chart with its caption, and a static copy for paper and for pages with scripts off."""
    drawn = _drawer.draw(spec)
    # the chart library escapes the texts it sets
    svg = NOT_DRAWN if drawn is None else Markup(drawn)  # noqa: S704
    return Figure(name, printable_texts(spec), svg, caption, title)


def png_of(svg: str) -> bytes:
    """A drawing as PNG, on white, in twice its size."""
    import vl_convert

    start = svg.index(">", svg.index("<svg")) + 1
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return vl_convert.svg_to_png(svg[:start] + ground + svg[start:], scale=2)


@cache
def chart_script(snippet: str) -> str:
    """The chart library's script for a page, with our own snippet that calls `vegaEmbed`.

    Kept: bundling takes up to two seconds.
    """
    import vl_convert

    return vl_convert.javascript_bundle(snippet)
