"""Heat maps: a value for each pair of a row and a column, printed in its cell."""

from collections.abc import Sequence

import altair as alt

from medtransfer.report.charts.style import (
    CHART_WIDTH,
    INK,
    LETTER,
    ROWS,
    Axis,
    DataPoints,
    Layers,
    finished,
    tooltips,
)
from medtransfer.report.components import Spec
from medtransfer.report.text import short_names

SHADES = ("#e6f0fa", "#08519c")
"""Of the lowest and the highest value: one hue that gets darker, safe in colour blindness."""
LIGHT_TEXT_FROM = 0.75
"""Share of the way between the shades from which white text has more contrast than black: 4.6 : 1
with both there, so at least that everywhere."""
MAX_CELL, MIN_RANGE, MIN_CELL = 120, 84, 38
"""Widest cell; the narrowest one that an interval fits into, and that a number does."""
CELL_HEIGHT = 46
MAX_CELL_NAME = 30
"""Letters of the name of a row or a column."""


def heat_map(
    values: DataPoints,
    axis: Axis,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    titles: Sequence[str],
) -> Spec:
    """Values as shades, each with its number and its interval.

    Args:
        values: Each with `row`, `column`, `value`, `low`, `high`; `note` replaces a missing value,
            `framed` marks a cell.
        axis: Of the values: its title and the values of the two shades.
        rows: In reading order.
        columns: In reading order.
        titles: Of rows and of columns.
    """
    labels = short_names(list(dict.fromkeys([*rows, *columns])), MAX_CELL_NAME)
    across, down = [labels[name] for name in columns], [labels[name] for name in rows]
    data = [{**v, "row": labels[v["row"]], "column": labels[v["column"]]} for v in values]
    letters = max(map(len, down), default=0) * LETTER
    width = max(MIN_CELL, min(MAX_CELL, (CHART_WIDTH - letters) / max(1, len(across))))
    has_room = width >= MIN_RANGE
    fits = max(map(len, across), default=0) * LETTER <= width
    top = alt.Axis(
        orient="top", labelAngle=0 if fits else -40, grid=False, domain=False, ticks=False
    )
    side = alt.Axis(grid=False, domain=False, ticks=False)
    place = (
        alt.X("column:N", sort=across, title=titles[1], axis=top, scale=alt.Scale(padding=0.04)),
        alt.Y("row:N", sort=down, title=titles[0], axis=side, scale=alt.Scale(padding=0.04)),
    )
    base = alt.Chart(alt.Data(name=ROWS)).encode(*place)
    layers = [*_cells(base, data, axis), *_words(base, axis, is_wide=has_room)]
    chart = alt.layer(*layers).properties(
        width=width * len(across), height=CELL_HEIGHT * max(1, len(down))
    )
    return finished(chart, {ROWS: data}, MAX_CELL_NAME * LETTER)


def _cells(base: alt.Chart, data: DataPoints, axis: Axis) -> Layers:
    """Shades, empty cells, and frames around marked ones."""
    scale = alt.Scale(domain=list(axis.domain), range=list(SHADES), interpolate="rgb", clamp=True)
    legend = alt.Legend(orient="right", gradientLength=CELL_HEIGHT * 2, tickCount=3)
    shade = alt.Color("value:Q", title=axis.title, scale=scale, legend=legend)
    tips = tooltips(data, "row", "column")
    return [
        base.transform_filter("isValid(datum.value)").mark_rect().encode(shade, tooltip=tips),
        base.transform_filter("!isValid(datum.value)")
        .mark_rect(fillOpacity=0, stroke=INK, strokeOpacity=0.45, strokeDash=[3, 3])
        .encode(tooltip=[*tips, alt.Tooltip("note:N")]),
        base.transform_filter("datum.framed").mark_rect(fillOpacity=0, stroke=INK, strokeWidth=2.5),
    ]


def _words(base: alt.Chart, axis: Axis, *, is_wide: bool) -> Layers:
    """Numbers in the cells, light on dark shades."""
    low, high = axis.domain
    limit = low + LIGHT_TEXT_FROM * (high - low)
    ink = alt.condition(f"datum.value > {limit}", alt.value("#fff"), alt.value("#000"))
    defined = base.transform_filter("isValid(datum.value)")
    number = alt.Text("value:Q", format=".2f")
    # in a narrow cell each word stands on a line of its own
    lines, dy = ("\n", 0) if is_wide else (" ", -4)
    layers: Layers = [
        defined.mark_text(fontSize=13, dy=-7 if is_wide else 0).encode(number, color=ink),
        base.transform_filter("!isValid(datum.value)")
        .mark_text(fontSize=11 if is_wide else 9, color=INK, lineBreak=lines, dy=dy)
        .encode(alt.Text("note:N")),
    ]
    if is_wide:
        words = "'[' + format(datum.low, '.2f') + ', ' + format(datum.high, '.2f') + ']'"
        ranges = defined.transform_filter("isValid(datum.low)").transform_calculate(range=words)
        layers.append(ranges.mark_text(fontSize=10.5, dy=9).encode(alt.Text("range:N"), color=ink))
    return layers
