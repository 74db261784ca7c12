"""Style of all charts: scales, axes, colours, panels and text.

Colour encodes the cohort. Lines and text take the page's own colour, so a chart follows dark mode
and print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import altair as alt

from medtransfer.report.components import Spec

DataPoints = Sequence[Mapping[str, Any]]
"""Data points of a chart."""
Layers = list[Any]  # the chart library's charts and encodings have no common public type
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D46", "#7F7F7F")
"""Okabe and Ito 2008, colour-blind safe, then brown and grey; the first is the training cohort."""
INK = "currentColor"
ROWS = "rows"
"""Data set of the points of a chart."""
CHART_WIDTH = 900
"""Width of a whole chart with its labels; a letter of a label takes `LETTER`."""
LETTER = 6.6
GAP = 36
"""Space between panels."""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: Quantity along it.
        domain: Its start and end.
        kind: Its scale.
        marks: Positions of its labels; chosen by the chart if empty.
        percent: Labels are percentages.
        rest: Quantity that adds up with the first one to 100 %; it has labels of its own below.
    """

    title: str
    domain: tuple[float, float] = (0.0, 1.0)
    kind: Literal["linear", "log", "sqrt"] = "linear"
    marks: Sequence[float] = ()
    percent: bool = False
    rest: str = ""


def drawn_cohorts(cohorts: Sequence[str], values: DataPoints) -> list[str]:
    """Cohorts with at least one point."""
    return [cohort for cohort in cohorts if any(v["cohort"] == cohort for v in values)]


def axis_scale(axis: Axis) -> alt.Scale:
    """Scale of an axis."""
    zero = alt.Undefined if axis.kind == "log" else False  # a log scale has no zero to leave out
    return alt.Scale(type=axis.kind, domain=list(axis.domain), zero=zero, nice=False)


def axis_labels(axis: Axis) -> alt.Axis:
    """Labels of an axis."""
    marks = list(axis.marks) if axis.marks else alt.Undefined
    if axis.rest:
        both = "[format(datum.value, '~%'), format(1 - datum.value, '~%')]"
        return alt.Axis(labelExpr=both, labelLineHeight=16, titleLineHeight=16, values=marks)
    return alt.Axis(format="~%" if axis.percent else alt.Undefined, values=marks)


def axis_title(axis: Axis) -> str | list[str]:
    """Title of an axis: a line for each of its numbers."""
    return (
        [f"{axis.title} (upper numbers)", f"{axis.rest} (lower numbers)"]
        if axis.rest
        else axis.title
    )


def _rounded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The point without invisible digits, which would be half of the page."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in value.items()}


def tooltips(values: DataPoints, *names: str) -> list[alt.Tooltip]:
    """Fields of a point that are shown under the pointer: some names, and its numbers."""
    filled = {key for value in values for key, content in value.items() if content is not None}
    numbers = [name for name in ("x", "y", "value", "low", "high") if name in filled]
    tips = [alt.Tooltip(f"{name}:N") for name in names]
    tips += [alt.Tooltip(f"{name}:Q", format=".3f") for name in numbers]
    if "count" in filled:
        tips.append(alt.Tooltip("count:Q", title="cases", format=",.0f"))
    return tips


def cohort_colour(cohorts: Sequence[str], drawn: Sequence[str]) -> alt.Color:
    """A cohort has one colour in every chart; the legend names those that are drawn."""
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(cohorts))]
    scale = alt.Scale(domain=list(cohorts), range=colours)
    legend = alt.Legend(values=list(drawn), symbolOpacity=1, labelLimit=280, columns=4)
    return alt.Color("cohort:N", title="cohort", scale=scale, legend=legend)


def straight_line(ends: Sequence[Spec], x: Axis, y: Axis | None) -> Spec:
    """A dashed line between two ends, or a vertical one, as a layer with its own data."""
    encoding = {"x": {"field": "x", "type": "quantitative", "scale": axis_scale(x).to_dict()}}
    if y is not None:
        encoding["y"] = {"field": "y", "type": "quantitative", "scale": axis_scale(y).to_dict()}
    kind = "rule" if y is None else "line"
    mark = {"type": kind, "strokeDash": [4, 4], "color": INK, "opacity": 0.45}
    return {"data": {"values": list(ends)}, "mark": mark, "encoding": encoding}


def insert_below(spec: Spec, layer: Spec) -> None:
    """Add a layer below the others; it is repeated in every panel."""
    cast("list[Spec]", spec.get("spec", spec)["layer"]).insert(0, layer)


def in_panels(chart: Any, panels: Sequence[str], columns: int) -> Any:
    """The chart once for each panel, if there are any."""
    if not panels:
        return chart
    header = alt.Header(labelLimit=round(CHART_WIDTH / columns) - 30, labelPadding=4)
    facet = alt.Facet("panel:N", sort=list(panels), title=None, header=header)
    return chart.facet(facet, columns=columns, spacing=GAP).resolve_axis(x="independent")


def panel_columns(panels: Sequence[str]) -> int:
    """Panels side by side: up to four, if their names fit and no row is nearly empty."""
    wide = max((len(panel) for panel in panels), default=0) > 28
    count = len(panels) if len(panels) <= 4 else 4 if len(panels) in (7, 8) else 3
    return max(1, min(count, 3) if wide else count)


def finished(chart: Any, data: Mapping[str, DataPoints], label: float = 280) -> Spec:
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
