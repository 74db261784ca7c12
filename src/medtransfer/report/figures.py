"""The charts of a report; the only module that imports the chart library.

Three kinds: dots with intervals, curves with bands, and scatter plots. Colour encodes the cohort,
position, dash or shape the rung. Lines and text take the page's own colour, so a chart follows dark
mode and print.
"""

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import altair as alt
from markupsafe import Markup

from medtransfer.report.components import Figure, Spec
from medtransfer.report.drawing import Drawer, printable_texts
from medtransfer.report.text import short_names

Values = Sequence[Mapping[str, Any]]
"""Data points of a chart."""
Layers = list[Any]  # the chart library's charts and encodings have no common public type
MIN_AUROC = 0.5
"""Start of an AUROC axis, unless an interval reaches below it."""
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D46", "#7F7F7F")
"""Okabe and Ito 2008, colour-blind safe, then brown and grey; the first is the training cohort."""
INK = "currentColor"
ROWS, TREND = "rows", "trend"
"""Names of a chart's data sets."""
WIDTH = 900
"""Width of a whole chart with its labels; a letter of a label takes `LETTER`."""
LETTER = 6.6
GAP = 36
"""Space between panels."""
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


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: Quantity along it.
        domain: Its start and end.
        kind: Its scale.
        marks: Positions of its labels; chosen by the chart if empty.
        percent: Labels are percentages.
    """

    title: str
    domain: tuple[float, float] = (0.0, 1.0)
    kind: Literal["linear", "log", "sqrt"] = "linear"
    marks: Sequence[float] = ()
    percent: bool = False


def auroc_axis(title: str, values: Values) -> Axis:
    """An axis for AUROC and the like: from 0.5, or below the lowest interval, to 1."""
    heights = [v[k] for v in values for k in ("low", "value", "y") if v.get(k) is not None]
    lowest = min(heights, default=MIN_AUROC)
    return Axis(title, (min(MIN_AUROC, int(float(lowest) * 20) / 20), 1.0))


def intervals(
    values: Values,
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
    across = alt.X("value:Q", title=x.title, scale=_scale(x), axis=_axis(x))
    drawn = _drawn_cohorts(cohorts, values)
    colour = _colour(cohorts, drawn)
    row: Layers = [y, alt.YOffset("cohort:N", sort=drawn)] if dodge else [y]
    base = alt.Chart(alt.Data(name=ROWS))
    bars = base.mark_rule(strokeWidth=2).encode(*row, alt.X("low:Q"), alt.X2("high:Q"), colour)
    dots = base.mark_point(filled=True, size=65, opacity=1).encode(
        *row, across, colour, tooltip=_tooltips(values, "row", "cohort")
    )
    layers: Layers = [bars, dots]
    if any(v.get("note") for v in values):
        notes = base.mark_text(align="left", dx=4, color=INK, opacity=0.65, fontSize=11)
        layers.append(notes.encode(*row, alt.X("at:Q", scale=_scale(x)), alt.Text("note:N")))
    label = max((len(name) for name in names), default=0) * LETTER
    width = (WIDTH - label) / max(1, len(panels)) - (GAP if len(panels) > 1 else 0)
    row_height = 20 * len(drawn) + 14 if dodge else 24
    chart = alt.layer(*layers).properties(width=width, height=max(60, row_height * len(names)))
    spec = _finish(_in_panels(chart, panels, max(1, len(panels))), {ROWS: data}, label + 10)
    if line is not None:
        _insert_below(spec, _straight_line([{"x": line}], x, None))
    return spec


def curves(
    values: Values,
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
            `x` at the height of `level`; `count` for the size of a dot.
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
    colour = _colour(cohorts, _drawn_cohorts(cohorts, values))
    across = alt.X("x:Q", title=x.title, scale=_scale(x), axis=_axis(x))
    up = alt.Y("y:Q", title=y.title, scale=_scale(y), axis=_axis(y))
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
    if any(v.get("low") is not None for v in values):
        band = base.mark_area(opacity=0.13, clip=True)
        detail = [alt.Detail("dash:N")] if dashes else []
        layers.append(band.encode(across, alt.Y("low:Q"), alt.Y2("high:Q"), colour, *detail))
    if any(v.get("level") is not None for v in values):
        level = base.mark_line(strokeDash=[4, 4], opacity=0.7, strokeWidth=1)
        layers.append(level.encode(across, alt.Y("level:Q"), colour))
    if any(v.get("start") is not None for v in values):
        span = base.transform_filter("isValid(datum.start)").mark_rule(strokeWidth=3, opacity=0.8)
        ends = alt.X("start:Q", title=x.title, scale=_scale(x), axis=_axis(x)), alt.X2("x:Q")
        layers.append(span.encode(*ends, alt.Y("level:Q"), colour))
    tips = _tooltips(values, "cohort", *(["dash"] if dashes else []))
    line = base.mark_line(strokeWidth=1.7, clip=True)
    layers.append(line.encode(across, up, colour, *dash, tooltip=tips))
    if points:
        counted = any(v.get("count") is not None for v in values)
        scale = alt.Scale(range=[12, 200])
        size = [alt.Size("count:Q", title="cases", scale=scale)] if counted else []
        dots = base.mark_point(filled=True, opacity=0.9, size=40)
        layers.append(dots.encode(across, up, colour, *size, tooltip=tips))
    columns = _columns(panels)
    width = min(360 if square else 620, WIDTH / columns - GAP - 10)
    height = width if square else min(220, width)
    chart = alt.layer(*layers).properties(width=width, height=height)
    spec = _finish(_in_panels(chart, panels, columns), {ROWS: values})
    if diagonal is not None:
        ends = [{"x": end, "y": at} for end, at in zip(x.domain, diagonal, strict=True)]
        _insert_below(spec, _straight_line(ends, x, y))
    return spec


def scatter(
    values: Values,
    x: Axis,
    y: Axis,
    *,
    cohorts: Sequence[str],
    shapes: Sequence[str],
    trend: Values = (),
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
    colour = _colour(cohorts, _drawn_cohorts(cohorts, values))
    across = alt.X("x:Q", title=x.title, scale=_scale(x))
    up = alt.Y("y:Q", title=y.title, scale=_scale(y))
    shape = alt.Shape(
        "rung:N",
        title="rung",
        sort=list(shapes),
        legend=alt.Legend(orient="right", labelLimit=300),
        scale=alt.Scale(domain=list(shapes), range=[SHAPES[i % 8] for i in range(len(shapes))]),
    )
    base = alt.Chart(alt.Data(name=ROWS))
    faint = base.mark_rule(opacity=0.35)
    tips = _tooltips(values, "rung", "cohort")
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
    spec = _finish(chart, {ROWS: values, TREND: trend})
    _insert_below(spec, _straight_line([{"x": end, "y": end} for end in x.domain], x, y))
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


def _drawn_cohorts(cohorts: Sequence[str], values: Values) -> list[str]:
    """Cohorts with at least one point."""
    return [cohort for cohort in cohorts if any(v["cohort"] == cohort for v in values)]


def _scale(axis: Axis) -> alt.Scale:
    zero = alt.Undefined if axis.kind == "log" else False  # a log scale has no zero to leave out
    return alt.Scale(type=axis.kind, domain=list(axis.domain), zero=zero, nice=False)


def _axis(axis: Axis) -> alt.Axis:
    marks = list(axis.marks) if axis.marks else alt.Undefined
    return alt.Axis(format="~%" if axis.percent else alt.Undefined, values=marks)


def _rounded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The point without invisible digits, which would be half of the page."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in value.items()}


def _tooltips(values: Values, *names: str) -> list[alt.Tooltip]:
    filled = {key for value in values for key, content in value.items() if content is not None}
    numbers = [name for name in ("x", "y", "value", "low", "high") if name in filled]
    tips = [alt.Tooltip(f"{name}:N") for name in names]
    tips += [alt.Tooltip(f"{name}:Q", format=".3f") for name in numbers]
    if "count" in filled:
        tips.append(alt.Tooltip("count:Q", title="cases", format=",.0f"))
    return tips


def _colour(cohorts: Sequence[str], drawn: Sequence[str]) -> alt.Color:
    """A cohort has one colour in every chart; the legend names those that are drawn."""
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(cohorts))]
    scale = alt.Scale(domain=list(cohorts), range=colours)
    legend = alt.Legend(values=list(drawn), symbolOpacity=1, labelLimit=280, columns=4)
    return alt.Color("cohort:N", title="cohort", scale=scale, legend=legend)


def _straight_line(ends: Sequence[Spec], x: Axis, y: Axis | None) -> Spec:
    """A dashed line between two ends, or a vertical one, as a layer with its own data."""
    encoding = {"x": {"field": "x", "type": "quantitative", "scale": _scale(x).to_dict()}}
    if y is not None:
        encoding["y"] = {"field": "y", "type": "quantitative", "scale": _scale(y).to_dict()}
    kind = "rule" if y is None else "line"
    mark = {"type": kind, "strokeDash": [4, 4], "color": INK, "opacity": 0.45}
    return {"data": {"values": list(ends)}, "mark": mark, "encoding": encoding}


def _insert_below(spec: Spec, layer: Spec) -> None:
    """Add a layer below the others; it is repeated in every panel."""
    cast("list[Spec]", spec.get("spec", spec)["layer"]).insert(0, layer)


def _in_panels(chart: Any, panels: Sequence[str], columns: int) -> Any:
    if not panels:
        return chart
    header = alt.Header(labelLimit=round(WIDTH / columns) - 30, labelPadding=4)
    facet = alt.Facet("panel:N", sort=list(panels), title=None, header=header)
    return chart.facet(facet, columns=columns, spacing=GAP).resolve_axis(x="independent")


def _columns(panels: Sequence[str]) -> int:
    """Panels side by side: up to four, if their names fit and no row is nearly empty."""
    wide = max((len(panel) for panel in panels), default=0) > 28
    count = len(panels) if len(panels) <= 4 else 4 if len(panels) in (7, 8) else 3
    return max(1, min(count, 3) if wide else count)


def _finish(chart: Any, data: Mapping[str, Values], label: float = 280) -> Spec:
    """The chart's specification with its style; its data once, however many layers use it."""
    text: Spec = {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    axis = alt.AxisConfig(
        **text,
        labelLimit=label,
        gridColor=INK,
        gridOpacity=0.12,
        domainColor=INK,
        domainOpacity=0.3,
        tickColor=INK,
        tickOpacity=0.3,
        tickCount=6,
        labelFlush=False,
    )
    legend = alt.LegendConfig(
        **text, orient="top", symbolOpacity=1, symbolStrokeColor=INK, symbolBaseFillColor=INK
    )
    # at once: each `configure_...` of a chart copies all of it
    styled = chart.copy(deep=False)
    styled.config = alt.Config(
        background="transparent",
        font="system-ui, sans-serif",
        mark=alt.MarkConfig(aria=False),  # the page names each chart as a whole
        view=alt.ViewConfig(stroke=None),
        axis=axis,
        legend=legend,
        header=alt.HeaderConfig(**text),
    )
    spec = cast("Spec", styled.to_dict())
    spec["datasets"] = {name: [_rounded(v) for v in values] for name, values in data.items()}
    return spec
