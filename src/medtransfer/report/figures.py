"""The charts of a report; the only module that imports the chart library.

Colour says cohort, position says rung. Every number is drawn with its interval. Lines and text
take the page's own colour, so a chart follows dark mode and print.
"""

from collections.abc import Sequence
from typing import Any, cast

import altair as alt
import polars as pl

from medtransfer.data.config import Task
from medtransfer.evaluation.fitted import CASE as WHOLE
from medtransfer.evaluation.fitted import every_case, fit_on_tune
from medtransfer.evaluation.means import HEADLINE
from medtransfer.evaluation.runs import run_arrays
from medtransfer.metrics.calibration import BINS, reliability
from medtransfer.metrics.calibration_entries import outcome_of
from medtransfer.report.content import Content

Spec = dict[str, Any]
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito 2008, colour-blind safe; the first is the training cohort."""
INK = "currentColor"
SCALINGS = {"before scaling": None, "after scaling": "temperature"}
WIDTH = 560
ROW = 34
LEAST_AREA = 0.5
"""An AUROC axis starts here, or below the lowest interval."""


def ladder(content: Content) -> Spec:
    """Every rung's AUROC on every cohort, rungs by scale, the reference as a line."""
    rows = content.overall(HEADLINE, content.full).filter(pl.col("value").is_not_null())
    data = _dots(rows)
    order = [rung.name for rung in content.rungs]
    colour = _cohort_colour(content)
    y = alt.Y("rung:N", sort=order, title=None)
    offset = alt.YOffset("cohort:N", sort=content.places)
    x = alt.X("value:Q", title="AUROC", scale=_area_scale(rows))
    base = alt.Chart(data)
    bars = base.mark_rule(strokeWidth=2).encode(y, offset, alt.X("low:Q"), alt.X2("high:Q"), colour)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        y, offset, x, colour, tooltip=_tooltips("rung", "cohort")
    )
    place = content.places[0]
    at = content.number(content.study.reference_rung, place, HEADLINE)
    layers = [bars, dots]
    if at is not None and at["value"] is not None:
        line = alt.Chart(alt.Data(values=[{"value": at["value"]}]))
        layers.insert(0, line.mark_rule(strokeDash=[4, 4], color=INK, opacity=0.5).encode(x))
    height = ROW * len(order) * max(1, len(content.places)) * 0.7
    return _finish(alt.layer(*layers), width=WIDTH, height=max(80, height))


def shift(content: Content) -> Spec | None:
    """Internal against shifted AUROC, a point per rung and label fraction."""
    rows = content.overall(HEADLINE).filter(pl.col("value").is_not_null())
    inside = rows.filter(pl.col("cohort") == content.places[0])
    outside = rows.filter(pl.col("cohort") != content.places[0])
    both = outside.join(inside, on=["rung", "label_fraction", "held_out"], suffix="_in",
                        nulls_equal=True)  # fmt: skip
    if both.is_empty():
        return None
    data = alt.Data(values=both.select(
        "rung", "label_fraction", "cohort", "value", "low", "high", "value_in", "low_in", "high_in"
    ).to_dicts())  # fmt: skip
    scale = _area_scale(rows)
    x = alt.X("value_in:Q", title=f"AUROC on {content.places[0]}", scale=scale)
    y = alt.Y("value:Q", title="AUROC on the shifted cohort", scale=scale)
    colour = _cohort_colour(content, content.places[1:])
    base = alt.Chart(data)
    across = base.mark_rule(opacity=0.45).encode(alt.X("low_in:Q"), alt.X2("high_in:Q"), y, colour)
    along = base.mark_rule(opacity=0.45).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour)
    shape = alt.Shape("rung:N", title="rung", sort=[rung.name for rung in content.rungs])
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x, y, colour, shape, tooltip=_tooltips("rung", "cohort", "label_fraction")
    )
    ends = [{"a": scale.domain[0]}, {"a": scale.domain[1]}]  # type: ignore[index]
    same = alt.Chart(alt.Data(values=ends)).mark_line(color=INK, opacity=0.4, strokeDash=[4, 4])
    line = same.encode(alt.X("a:Q", scale=scale), alt.Y("a:Q", scale=scale))
    return _finish(alt.layer(line, across, along, points), width=380, height=380)


def label_curve(content: Content) -> Spec | None:
    """AUROC over the label fraction, a panel per rung, the reference's full-data level across."""
    if len(content.fractions) < 2:
        return None
    rows = content.overall(HEADLINE).filter(pl.col("value").is_not_null())
    reference = content.study.reference_rung
    full = content.overall(HEADLINE, content.full).filter(pl.col("rung") == reference)
    levels = {row["cohort"]: row["value"] for row in full.iter_rows(named=True)}
    values = [{**row, "level": levels.get(row["cohort"])} for row in _plain(rows)]
    x = alt.X("label_fraction:Q", title="share of training labels (log)",
              scale=alt.Scale(type="log", domain=[content.fractions[0], content.full]),
              axis=alt.Axis(format="%", values=content.fractions))  # fmt: skip
    y = alt.Y("value:Q", title="AUROC", scale=_area_scale(rows))
    colour = _cohort_colour(content)
    base = alt.Chart(alt.Data(values=values))
    band = base.mark_area(opacity=0.15).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour)
    line = base.mark_line(point=alt.OverlayMarkDef(filled=True, size=50)).encode(
        x, y, colour, tooltip=_tooltips("rung", "cohort", "label_fraction")
    )
    level = base.mark_line(strokeDash=[4, 4], opacity=0.7).encode(x, alt.Y("level:Q"), colour)
    columns = min(3, len(content.rungs))
    chart = alt.layer(band, level, line).properties(width=_panel(columns), height=200)
    return _finish(_by_rung(chart, content, columns))


def groups(content: Content, attribute: str) -> Spec | None:
    """AUROC of each group of an attribute, a panel per rung; only groups large enough."""
    rows = content.means.filter(
        (pl.col("attribute") == attribute)
        & (pl.col("metric") == HEADLINE)
        & (pl.col("label_fraction") == content.full)
        & pl.col("value").is_not_null()
    )
    if rows.is_empty():
        return None
    names = sorted(set(rows["group"].to_list()))
    y = alt.Y("group:N", sort=names, title=attribute)
    offset = alt.YOffset("cohort:N", sort=content.places)
    x = alt.X("value:Q", title="AUROC", scale=_area_scale(rows))
    colour = _cohort_colour(content)
    base = alt.Chart(_dots(rows))
    bars = base.mark_rule(strokeWidth=2).encode(y, offset, alt.X("low:Q"), alt.X2("high:Q"), colour)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        y, offset, x, colour, tooltip=_tooltips("rung", "cohort", "group")
    )
    columns = min(3, len(content.rungs))
    height = max(60.0, ROW * len(names) * max(1, len(content.places)) * 0.6)
    chart = alt.layer(bars, dots).properties(width=_panel(columns), height=height)
    return _finish(_by_rung(chart, content, columns))


def calibration(content: Content, rung: str) -> Spec | None:
    """Reliability before and after temperature scaling, a line per cohort; seeds pooled."""
    values = _reliability_rows(content, rung)
    if not values:
        return None
    colour = _cohort_colour(content)
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("confidence:Q", title="predicted", scale=unit)
    y = alt.Y("share:Q", title="observed", scale=unit)
    size = alt.Size("count:Q", title="cases", scale=alt.Scale(range=[15, 220]))
    base = alt.Chart(alt.Data(values=values))
    line = base.mark_line(opacity=0.7).encode(x, y, colour)
    dots = base.mark_point(filled=True, opacity=0.9).encode(
        x, y, colour, size, tooltip=["cohort:N", "confidence:Q", "share:Q", "count:Q"]
    )
    even = base.mark_line(strokeDash=[4, 4], color=INK, opacity=0.4).encode(
        alt.X("even:Q", scale=unit), alt.Y("even:Q", scale=unit)
    )
    chart = alt.layer(even, line, dots).properties(width=_panel(2), height=_panel(2))
    column = alt.Facet("scaling:N", title=None, sort=["before scaling", "after scaling"])
    return _finish(cast("Any", chart).facet(column, columns=2))


def static_svg(spec: Spec) -> str:
    """A chart drawn without a browser, for pages with scripts off and for paper."""
    import vl_convert

    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])


def runtime(snippet: str) -> str:
    """The chart library's script for a page, with a snippet of our own that uses `vegaEmbed`."""
    import vl_convert

    return vl_convert.javascript_bundle(snippet)


def _reliability_rows(content: Content, rung: str) -> list[dict[str, Any]]:
    chosen = content.runs.filter(
        (pl.col("rung") == rung)
        & (pl.col("label_fraction") == content.full)
        & (pl.col("state") == "done")
    )["run_id"].cast(pl.String)
    task: Task = content.study.data.task
    pieces: dict[tuple[str, str], list[pl.DataFrame]] = {}
    for run_id in chosen:
        run = run_arrays(content.predictions.filter(pl.col("run_id") == run_id), task)
        fitted = fit_on_tune(run, ())
        targets = [WHOLE] if run.single_label else list(range(len(run.names)))
        for target in targets:
            known = run.classified() if target == WHOLE else run.labelled(target)
            cases = every_case(run, fitted, target)
            for place, here in run.places().items():
                own = cases.take(here & known)
                for scaling, calibrator in SCALINGS.items():
                    if calibrator is None or calibrator in own.calibrated:
                        outcome, confidence = outcome_of(own, calibrator)
                        table = pl.DataFrame({"confidence": confidence, "outcome": outcome})
                        pieces.setdefault((scaling, place), []).append(table)
    return [row for key, tables in pieces.items() for row in _bins(key, pl.concat(tables))]


def _bins(key: tuple[str, str], table: pl.DataFrame) -> list[dict[str, Any]]:
    scaling, cohort = key
    confidence, share, counts = reliability(
        table["outcome"].to_numpy(), table["confidence"].to_numpy()
    )
    filled = [b for b in range(BINS) if counts[b] > 0]
    # the diagonal runs from the first row to the last: panels share one table
    ends = {filled[0]: 0.0, filled[-1]: 1.0} if filled else {}
    return [
        {"scaling": scaling, "cohort": cohort, "confidence": float(confidence[b]),
         "share": float(share[b]), "count": int(counts[b]), "even": ends.get(b)}
        for b in filled
    ]  # fmt: skip


def _by_rung(chart: Any, content: Content, columns: int) -> alt.FacetChart:
    names = [rung.name for rung in content.rungs]
    facet = alt.Facet("rung:N", sort=names, title=None)
    return chart.facet(facet, columns=columns)


def _dots(rows: pl.DataFrame) -> alt.Data:
    return alt.Data(values=_plain(rows))


def _plain(rows: pl.DataFrame) -> list[dict[str, Any]]:
    names = ("rung", "cohort", "label_fraction", "group", "value", "low", "high", "num_cases",
             "num_patients")  # fmt: skip
    return rows.select(names).to_dicts()


def _tooltips(*names: str) -> list[alt.Tooltip]:
    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")]
    return [alt.Tooltip(f"{name}:N") for name in names] + numbers


def _cohort_colour(content: Content, shown: Sequence[str] | None = None) -> alt.Color:
    """A cohort has one colour in every chart; the legend names those that are shown."""
    scale = alt.Scale(domain=content.places, range=list(PALETTE))
    legend = alt.Legend(values=list(shown), symbolOpacity=1) if shown else alt.Undefined
    return alt.Color("cohort:N", title="cohort", scale=scale, legend=legend)


def _area_scale(rows: pl.DataFrame) -> alt.Scale:
    lowest = rows.select(pl.min_horizontal(pl.col("low").min(), pl.col("value").min())).item()
    start = min(LEAST_AREA, int(float(lowest) * 20) / 20)
    return alt.Scale(domain=[start, 1.0], zero=False)


def _panel(columns: int) -> float:
    return {1: WIDTH, 2: 290}.get(columns, 210)


def _finish(chart: Any, **size: float) -> Spec:
    text = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12,
            "titleFontWeight": "normal"}  # fmt: skip
    styled = (chart.properties(**size) if size else chart).configure(
        background="transparent", font="system-ui, sans-serif"
    )
    styled = styled.configure_view(stroke=None)
    styled = styled.configure_axis(
        **text, labelLimit=280, gridColor=INK, gridOpacity=0.12, domainColor=INK,
        domainOpacity=0.3, tickColor=INK, tickOpacity=0.3, tickCount=6, labelFlush=False,
    ).configure_legend(**text, orient="top", symbolStrokeColor=INK, symbolOpacity=1)  # fmt: skip
    styled = styled.configure_header(**text)
    return cast("Spec", styled.to_dict())
