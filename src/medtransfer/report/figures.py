"""The charts of a report; the only module that imports the chart library.

Three kinds: numbers with their intervals, curves with their bands, and one number against another.
Colour says cohort, position or dash says rung. Lines and text take the page's own colour, so a
chart follows dark mode and print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import altair as alt
from markupsafe import Markup

from medtransfer.report.components import Figure, short_names

Values = Sequence[Mapping[str, Any]]
MIN_AUROC = 0.5
"""An AUROC axis starts here, or below the lowest interval."""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: What is along it.
        domain: Where it starts and ends.
        kind: How it is divided.
        marks: Where its labels stand; chosen by the chart if empty.
        percent: Whether labels are shares.
    """

    title: str
    domain: tuple[float, float] = (0.0, 1.0)
    kind: Literal["linear", "log", "sqrt"] = "linear"
    marks: Sequence[float] = ()
    percent: bool = False


def area_axis(title: str, values: Values) -> Axis:
    """An axis for AUROC and the like: from 0.5, or below the lowest interval, to 1."""
    known = [v[k] for v in values for k in ("low", "value", "y") if v.get(k) is not None]
    lowest = min(known, default=MIN_AUROC)
    return Axis(title, (min(MIN_AUROC, int(float(lowest) * 20) / 20), 1.0))


Spec = dict[str, Any]
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D46", "#7F7F7F")
"""Okabe and Ito 2008, colour-blind safe, then brown and grey; the first is the training cohort."""
INK = "currentColor"
ROWS, TREND = "rows", "trend"
"""Names of a chart's tables."""
WIDTH = 900
"""Of a whole chart with its labels; a letter of a label takes `LETTER`."""
LETTER = 6.6
GAP = 36
"""Between panels."""
LONGEST = 48
"""Letters of a row's label."""
DASHES = ([1, 0], [5, 3], [2, 2], [8, 3, 2, 3])
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


def intervals(
    values: Values,
    x: Axis,
    *,
    rows: Sequence[str],
    places: Sequence[str],
    panels: Sequence[str] = (),
    line: float | None = None,
    apart: bool = True,
) -> Spec:
    """Numbers as dots with their intervals as bars.

    Args:
        values: Each with `row`, `cohort`, `value`, `low`, `high`, and `panel` if there are any;
            `note` stands for a number that is not there.
        x: The number's axis.
        rows: In reading order.
        places: Every cohort, for the colours.
        panels: Side by side, in reading order.
        line: A value to hold the numbers against.
        apart: Whether a row has a dot for each cohort, one below the other.
    """
    named = short_names(rows, LONGEST)
    names = [named[row] for row in rows]
    start = x.domain[0]
    data = [{**v, "row": named[v["row"]], "at": start, "note": v.get("note") or ""} for v in values]
    y = alt.Y("row:N", sort=names, title=None)
    across = alt.X("value:Q", title=x.title, scale=_scale(x), axis=_axis(x))
    cohorts = [place for place in places if any(v["cohort"] == place for v in values)]
    colour = _colour(places, cohorts)
    where: list[Any] = [y, alt.YOffset("cohort:N", sort=cohorts)] if apart else [y]
    base = alt.Chart(alt.Data(name=ROWS))
    bars = base.mark_rule(strokeWidth=2).encode(*where, alt.X("low:Q"), alt.X2("high:Q"), colour)
    dots = base.mark_point(filled=True, size=65, opacity=1).encode(
        *where, across, colour, tooltip=_tooltips(values, "row", "cohort")
    )
    layers: list[Any] = [bars, dots]
    if any(v.get("note") for v in values):
        words = base.mark_text(align="left", dx=4, color=INK, opacity=0.65, fontSize=11)
        layers.append(words.encode(*where, alt.X("at:Q", scale=_scale(x)), alt.Text("note:N")))
    label = max((len(name) for name in names), default=0) * LETTER
    width = (WIDTH - label) / max(1, len(panels)) - (GAP if len(panels) > 1 else 0)
    each = 20 * len(cohorts) + 14 if apart else 24
    chart = alt.layer(*layers).properties(width=width, height=max(60, each * len(names)))
    spec = _finish(_in_panels(chart, panels, max(1, len(panels))), {ROWS: data}, label + 10)
    if line is not None:
        _put_under(spec, _straight([{"x": line}], x, None))
    return spec


def curves(
    values: Values,
    x: Axis,
    y: Axis,
    *,
    places: Sequence[str],
    panels: Sequence[str] = (),
    dashes: Sequence[str] = (),
    diagonal: tuple[float, float] | None = None,
    points: bool = False,
    square: bool = False,
) -> Spec:
    """Curves with bands.

    Args:
        values: Points with `x`, `y`, `low`, `high`, `cohort`; `panel` and `dash` where there are
            several; `level` for a dashed line across; `count` for the size of a dot.
        x: Across.
        y: Up.
        places: Every cohort, for the colours.
        panels: Side by side, in reading order.
        dashes: What the dash of a line says, solid first.
        diagonal: Where a straight line from end to end of x starts and ends.
        points: Whether each point has a dot.
        square: Whether panels are as high as wide.
    """
    cohorts = [place for place in places if any(v["cohort"] == place for v in values)]
    colour = _colour(places, cohorts)
    across = alt.X("x:Q", title=x.title, scale=_scale(x), axis=_axis(x))
    up = alt.Y("y:Q", title=y.title, scale=_scale(y), axis=_axis(y))
    said: list[Any] = []
    if dashes:
        scale = alt.Scale(domain=list(dashes), range=[list(dash) for dash in DASHES[: len(dashes)]])
        said = [
            alt.StrokeDash(
                "dash:N",
                title="rung",
                scale=scale,
                sort=list(dashes),
                legend=alt.Legend(labelLimit=360),
            )
        ]
    base = alt.Chart(alt.Data(name=ROWS))
    layers: list[Any] = []
    if any(v.get("low") is not None for v in values):
        band = base.mark_area(opacity=0.13, clip=True)
        apart = [alt.Detail("dash:N")] if dashes else []
        layers.append(band.encode(across, alt.Y("low:Q"), alt.Y2("high:Q"), colour, *apart))
    if any(v.get("level") is not None for v in values):
        level = base.mark_line(strokeDash=[4, 4], opacity=0.7, strokeWidth=1)
        layers.append(level.encode(across, alt.Y("level:Q"), colour))
    tips = _tooltips(values, "cohort", *(["dash"] if dashes else []))
    drawn = base.mark_line(strokeWidth=1.7, clip=True)
    layers.append(drawn.encode(across, up, colour, *said, tooltip=tips))
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
        _put_under(spec, _straight(ends, x, y))
    return spec


def scatter(
    values: Values,
    x: Axis,
    y: Axis,
    *,
    places: Sequence[str],
    shapes: Sequence[str],
    trend: Values = (),
) -> Spec:
    """One number against another with both intervals, the line of no difference, and a trend.

    Args:
        values: Each with `cohort`, `rung`, `x`, `x_low`, `x_high`, `y`, `low`, `high`.
        x: Across.
        y: Up.
        places: Every cohort, for the colours.
        shapes: Rungs, which the shape of a mark says.
        trend: Points of fitted lines: `cohort`, `x`, `y`.
    """
    cohorts = [place for place in places if any(v["cohort"] == place for v in values)]
    colour = _colour(places, cohorts)
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
    layers: list[Any] = [
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
    _put_under(spec, _straight([{"x": end, "y": end} for end in x.domain], x, y))
    return spec


def figure(name: str, spec: Spec, caption: str, title: str = "") -> Figure:
    """A chart with its caption, drawn without a browser for pages with scripts off and paper."""
    import vl_convert

    # the chart library escapes the texts it sets
    svg = Markup(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))  # noqa: S704
    return Figure(name, spec, svg, caption, title)


def runtime(snippet: str) -> str:
    """The chart library's script for a page, with a snippet of our own that uses `vegaEmbed`."""
    import vl_convert

    return vl_convert.javascript_bundle(snippet)


def _scale(along: Axis) -> alt.Scale:
    zero = alt.Undefined if along.kind == "log" else False  # a log scale has no zero to leave out
    return alt.Scale(type=along.kind, domain=list(along.domain), zero=zero, nice=False)


def _axis(along: Axis) -> alt.Axis:
    given: dict[str, Any] = {"values": list(along.marks)} if along.marks else {}
    return alt.Axis(format="~%", **given) if along.percent else alt.Axis(**given)


def _rounded(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without the digits that nobody sees: they would be half of the page."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in value.items()}


def _tooltips(values: Values, *names: str) -> list[alt.Tooltip]:
    held = {key for value in values for key, found in value.items() if found is not None}
    numbers = [name for name in ("x", "y", "value", "low", "high") if name in held]
    shares = [alt.Tooltip(f"{name}:Q", format=".3f") for name in numbers]
    more = [alt.Tooltip("count:Q", title="cases", format=",.0f")] if "count" in held else []
    return [alt.Tooltip(f"{name}:N") for name in names] + shares + more


def _colour(places: Sequence[str], cohorts: Sequence[str]) -> alt.Color:
    """A cohort has one colour in every chart; the legend names those that are drawn."""
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(places))]
    scale = alt.Scale(domain=list(places), range=colours)
    legend = alt.Legend(values=list(cohorts), symbolOpacity=1, labelLimit=280, columns=4)
    return alt.Color("cohort:N", title="cohort", scale=scale, legend=legend)


def _straight(ends: Sequence[Spec], x: Axis, y: Axis | None) -> Spec:
    """A dashed straight line between two ends, or upright, as a layer with data of its own."""
    over = {"x": {"field": "x", "type": "quantitative", "scale": _scale(x).to_dict()}}
    if y is not None:
        over["y"] = {"field": "y", "type": "quantitative", "scale": _scale(y).to_dict()}
    kind = "rule" if y is None else "line"
    mark = {"type": kind, "strokeDash": [4, 4], "color": INK, "opacity": 0.45}
    return {"data": {"values": list(ends)}, "mark": mark, "encoding": over}


def _put_under(spec: Spec, layer: Spec) -> None:
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
    most = len(panels) if len(panels) <= 4 else 4 if len(panels) in (7, 8) else 3
    return max(1, min(most, 3) if wide else most)


def _finish(chart: Any, data: Mapping[str, Values], label: float = 280) -> Spec:
    """The chart's specification with its style, and its data: once, whatever it is made of."""
    text = {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    styled = chart.configure(background="transparent", font="system-ui, sans-serif")
    styled = styled.configure_view(stroke=None)
    styled = styled.configure_axis(
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
    ).configure_legend(
        **text, orient="top", symbolOpacity=1, symbolStrokeColor=INK, symbolBaseFillColor=INK
    )
    spec = cast("Spec", styled.configure_header(**text).to_dict())
    spec["datasets"] = {name: [_rounded(v) for v in values] for name, values in data.items()}
    return spec
