"""Live page of a study: a table of runs and curves, without scripts and without requests."""

import base64
import hashlib
import math
from collections.abc import Callable, Sequence
from html import escape

from medtransfer.report.live.curves import CURVE_COLOURS, TrainingCurve, curves_svg
from medtransfer.report.live.snapshot import LiveRun, LiveStudy
from medtransfer.runs.records import RunCheck

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --rule: #d0d0d0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --rule: #444; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--rule); }
td.n, th.n { text-align: right; }
progress { width: 8rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 20rem; }
svg { width: 100%; height: auto; } svg.key { width: .7em; height: .7em; }
svg text { font-size: 11px; fill: var(--ink); }
svg .grid { stroke: var(--rule); stroke-width: .5; } polyline { stroke-width: 1.5; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'"
"""Content-Security-Policy: nothing is loaded, nothing is run."""


def live_page(study: LiveStudy, refresh: int) -> str:
    """The page of a study, which loads itself again.

    Args:
        study: At this moment.
        refresh: Seconds until it is loaded again.
    """
    parts = [
        f"<h1>{escape(study.name)}</h1>",
        f"<p>{escape(_summary(study))}</p>",
        f'<progress max="{study.total}" value="{study.counts.get("done", 0)}"></progress>',
        '<div class="charts">',
        _figure("Loss on the tuning split", study, lambda check: check.tune_loss),
        _figure("AUROC on the tuning split", study, _auroc, bounds=(0.0, 1.0)),
        "</div>",
        "<h2>Runs</h2>",
        _table(study.runs),
    ]
    if study.total > len(study.runs):
        parts.append(f"<p>{study.total - len(study.runs):,} more runs are not listed.</p>")
    if study.counts.get("failed") or study.counts.get("diverged"):
        parts.append("<p>Reasons of failed runs: <code>medtransfer status</code>.</p>")
    body = "".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{refresh}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(_title(study))}</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )


def _title(study: LiveStudy) -> str:
    return f"{study.counts.get('done', 0)} of {study.total}: {study.name}"


def _summary(study: LiveStudy) -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in study.counts.items())
    if not study.working:
        return f"{counts}. No process works on the study."
    return f"{counts}. {_time(study.seconds_left)} left."


def _figure(
    title: str,
    study: LiveStudy,
    value: Callable[[RunCheck], float],
    bounds: tuple[float, float] | None = None,
) -> str:
    """A chart of the runs with validations, and its legend."""
    shown = [run for run in study.runs if run.checks]
    curves = [
        TrainingCurve(
            run.label,
            study.rungs.index(run.status.rung),
            [check.step / max(1, run.status.steps) for check in run.checks],
            [value(check) for check in run.checks],
        )
        for run in shown
    ]
    svg = curves_svg(title, curves, bounds)
    if not svg:
        return ""
    rungs = [rung for rung in study.rungs if any(run.status.rung == rung for run in shown)]
    legend = " ".join(_key(study.rungs.index(rung), rung) for rung in rungs)
    note = "" if len(shown) == study.total else f" ({len(shown)} of {study.total:,} runs)"
    return f"<figure><h2>{escape(title)}{note}</h2>{svg}<figcaption>{legend}</figcaption></figure>"


def _key(group: int, rung: str) -> str:
    """A rung in the legend, with its colour."""
    colour = CURVE_COLOURS[group % len(CURVE_COLOURS)]
    dot = f'<circle cx="5" cy="5" r="4" fill="{colour}"/>'
    return f'<svg viewBox="0 0 10 10" class="key" aria-hidden="true">{dot}</svg> {escape(rung)}'


def _table(runs: Sequence[LiveRun]) -> str:
    heads = ("#", "rung", "labels", "seed", "state", "progress", "tune AUROC", "time", "left")
    numbers = {"#", "labels", "seed", "tune AUROC", "time", "left"}
    head = "".join(f"<th{' class=n' * (name in numbers)}>{name}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, runs))}</tbody></table>"


def _row(run: LiveRun) -> str:
    status = run.status
    bar = (
        f'<progress max="{max(1, status.steps)}" value="{status.step}"></progress> '
        f"{status.step:,}/{status.steps:,}"
    )
    auroc = "–" if status.tune_auroc is None else f"{status.tune_auroc:.3f}"
    return (
        f"<tr><td class=n>{run.number}</td><td>{escape(status.rung)}</td>"
        f"<td class=n>{100 * status.label_fraction:.3g}%</td><td class=n>{status.seed}</td>"
        f"<td>{status.state}</td><td>{bar}</td><td class=n>{auroc}</td>"
        f"<td class=n>{_time(status.seconds)}</td><td class=n>{_time(run.seconds_left)}</td></tr>"
    )


def _auroc(check: RunCheck) -> float:
    return math.nan if check.tune_auroc is None else check.tune_auroc


def _time(seconds: float | None) -> str:
    """``0:42``, ``1:02:03``; a dash if unknown."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
