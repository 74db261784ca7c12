"""Page of a watch, in the report's style."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.monitoring.alarms import StreamEvidence
from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.monitoring.performance import PerformanceNumber
from medtransfer.deploy.monitoring.periods import BASELINE_PERIOD, PeriodNumber
from medtransfer.deploy.monitoring.words import alarm_line, odds_text
from medtransfer.errors import printable
from medtransfer.report.components import Answer, Component, Fold, Note, ReportTable, Section
from medtransfer.report.figures import Axis, figure, intervals
from medtransfer.report.identifiers import NOT_SEARCHED, Identifiers, search_page
from medtransfer.report.page import PageHead, own_parts, page_text
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import fixed, percent

WATCHED = "watched"
TITLES = {
    "probability": "Mean probability",
    "calls": "Share called positive",
    "ood": "Share unlike the training data (OOD)",
    "deferred": "Share left to a person",
    "brightness": "Brightness",
    "contrast": "Contrast",
}
MIN_COUNT = 10
"""Smaller counts are printed as ``<10``, as in the report."""
MAX_FIGURES = 6
"""Targets and operating points that are drawn; the tables have all."""


@dataclass(frozen=True)
class Watched:
    """Content of the page.

    Attributes:
        evidence: Of every stream.
        periods: By period and by device.
        performance: By period and target.
        config: Rates and sizes.
    """

    evidence: Sequence[StreamEvidence]
    periods: Sequence[PeriodNumber]
    performance: Sequence[PerformanceNumber]
    config: MonitorConfig


def monitor_page(
    sentence: str,
    lines: Sequence[str],
    *,
    counts: str,
    bundle: Bundle,
    evidence: Sequence[StreamEvidence],
    periods: Sequence[PeriodNumber],
    performance: Sequence[PerformanceNumber],
    notes: Sequence[str],
    config: MonitorConfig,
    identifiers: Identifiers,
) -> str:
    """The page as text, searched for identifiers.

    Args:
        sentence: Alarm or not.
        lines: The alarms.
        counts: Cases and patients of the watch, in a sentence.
        bundle: The bundle.
        evidence: Of every stream.
        periods: By period and by device.
        performance: By period and target.
        notes: What was left out and assumed.
        config: Rates and sizes.
        identifiers: Ids that must not be on the page.
    """
    watched = Watched(evidence, periods, performance, config)
    sections = [
        _changes(watched, sentence, lines),
        *_quantities(watched),
        *_devices(watched),
        *_performance(watched),
        _method(watched, notes),
    ]
    head = PageHead(
        title=f"{printable(bundle.facts.name, 80)}: monitoring",
        data_line=counts,
        made_line=(
            f"Bundle {bundle.digest[:12]}. Created on {datetime.now(UTC).date().isoformat()} with "
            f"medtransfer {version('medtransfer')}."
        ),
    )
    names = [*bundle.facts.names, *(number.device or "" for number in periods)]
    names += [number.period for number in periods]
    page = page_text(head, sections)
    search = search_page(page, identifiers.without(names), own_parts())
    if search.found:
        logging.getLogger(__name__).warning("monitor.html: %s", search.sentence())
    return page.replace(NOT_SEARCHED, search.sentence())


def _changes(watched: Watched, sentence: str, lines: Sequence[str]) -> Section:
    question = "Has anything changed?"
    head = ("Stream", "Baseline patients", "Patients", "Baseline mean", "Mean", "Evidence", "Alarm")
    rows = [
        (
            stream.key.words(),
            count_text(stream.baseline_patients, MIN_COUNT),
            count_text(stream.patients, MIN_COUNT),
            f"{stream.baseline_mean:.3g}",
            "–" if stream.mean is None else f"{stream.mean:.3g}",
            odds_text(stream),
            f"{stream.alarm_period}: {stream.direction}" if stream.alarms else "–",
        )
        for stream in sorted(watched.evidence, key=lambda stream: -stream.strongest * stream.rate)
    ]
    caption = (
        "Evidence: the wealth of bets against an unchanged stream, and the wealth of an alarm; 1 "
        "is none. The mean is of all patients, or since the month of the alarm."
    )
    parts: list[Component] = [Note(line) for line in lines]
    if rows:
        parts.append(ReportTable(head, rows, caption, frozenset({1, 2, 3, 4, 5})))
    return Section("changes", question, sentence, parts, Answer(question, sentence))


def _quantities(watched: Watched) -> Iterator[Section]:
    overall = [number for number in watched.periods if number.device is None]
    for anchor, title, quantities in (
        ("scores", "Scores and calls", ("probability", "calls", "deferred")),
        ("ood", "OOD share", ("ood",)),
        ("images", "Images", ("brightness", "contrast")),
    ):
        numbers = [number for number in overall if number.quantity in quantities]
        series = list(dict.fromkeys((n.quantity, n.subject) for n in numbers))
        if not series:
            continue
        parts: list[Component] = []
        for place, (quantity, subject) in enumerate(series[:MAX_FIGURES]):
            of_series = [n for n in numbers if (n.quantity, n.subject) == (quantity, subject)]
            if sum(n.value is not None for n in of_series) > 1:
                parts.append(_figure(f"{anchor}-{place}", of_series))
        parts.append(Fold("Table", [_table(numbers)]) if parts else _table(numbers))
        yield Section(anchor, title, parts=parts)


def _figure(name: str, numbers: Sequence[PeriodNumber]) -> Component:
    """Values by period, the baseline's as a dashed line."""
    first = numbers[0]
    drawn = [n for n in numbers if n.value is not None and n.low is not None and n.high is not None]
    lows = [float(n.low or 0.0) for n in drawn]
    highs = [float(n.high or 0.0) for n in drawn]
    room = max(0.02, 0.1 * (max(highs) - min(lows)))
    domain = max(0.0, min(lows) - room), min(1.0, max(highs) + room)
    title = TITLES[first.quantity] + (f": {first.subject}" if first.subject else "")
    axis = Axis(title, domain, percent=first.is_share)
    values = [
        {
            "row": n.period,
            "cohort": BASELINE_PERIOD if n.period == BASELINE_PERIOD else WATCHED,
            "value": n.value,
            "low": n.low,
            "high": n.high,
        }
        for n in drawn
    ]
    before = next((n.value for n in drawn if n.period == BASELINE_PERIOD), None)
    spec = intervals(
        values,
        axis,
        rows=[n.period for n in drawn],
        cohorts=[BASELINE_PERIOD, WATCHED],
        line=before,
        dodge=False,
    )
    return figure(name, spec, "", title)


def _table(numbers: Sequence[PeriodNumber]) -> ReportTable:
    """A row a period, a column a quantity."""
    columns = list(dict.fromkeys((n.quantity, n.subject) for n in numbers))
    rows: dict[str, dict[tuple[str, str], PeriodNumber]] = {}
    for number in numbers:
        rows.setdefault(number.period, {})[number.quantity, number.subject] = number
    head = ["Period", "Cases", *(" ".join(filter(None, (TITLES[q], s))) for q, s in columns)]
    cells = [
        [
            period,
            count_text(max(n.cases for n in of_period.values()), MIN_COUNT),
            *(_cell(of_period.get(column)) for column in columns),
        ]
        for period, of_period in rows.items()
    ]
    return ReportTable(head, cells, numeric=frozenset(range(1, len(head))))


def _cell(number: PeriodNumber | None) -> str:
    if number is None or number.value is None or number.low is None or number.high is None:
        return "–"
    if number.is_share:
        return f"{number.value:.0%} [{percent(number.low)}, {percent(number.high)}]"
    return f"{fixed(number.value)} [{fixed(number.low)}, {fixed(number.high)}]"


def _devices(watched: Watched) -> Iterator[Section]:
    devices = list(dict.fromkeys(n.device for n in watched.periods if n.device is not None))
    if not devices:
        return
    baseline_devices = {
        n.device for n in watched.periods if n.period == BASELINE_PERIOD and n.cases
    }
    new = [name for name in devices if name not in baseline_devices]
    parts: list[Component] = []
    for device in devices:
        numbers = [n for n in watched.periods if n.device == device and n.cases]
        parts.append(Fold(device, [_table(numbers)]))
    lead = f"Not in the baseline: {', '.join(new)}." if new and baseline_devices else ""
    yield Section("devices", "Devices", lead, parts)


def _performance(watched: Watched) -> Iterator[Section]:
    if not watched.performance:
        return
    head = ("Period", "Target", "Metric", "Promised", "Expected without labels", "Measured")
    rows = [
        (
            number.period,
            number.target,
            number.metric,
            "–" if number.promised is None else fixed(number.promised),
            _interval(number.expected.value, number.expected.low, number.expected.high),
            "–"
            if number.measured is None
            else _interval(number.measured.value, number.measured.low, number.measured.high),
        )
        for number in watched.performance
    ]
    reasons = list(dict.fromkeys(n.reason for n in watched.performance if n.reason))
    notes = [f"No value is expected of some targets: {reason}." for reason in reasons]
    caption = (
        "Expected: right only as far as the probabilities are calibrated here; its interval is of "
        "the patients drawn, not of that assumption. Measured: of the cases with a label."
    )
    table = ReportTable(head, rows, caption, frozenset({3, 4, 5}))
    yield Section("performance", "Performance", parts=[table, *(Note(note) for note in notes)])


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    if low is None or high is None:
        return fixed(value)
    return f"{fixed(value)} [{fixed(low)}, {fixed(high)}]"


def _method(watched: Watched, notes: Sequence[str]) -> Section:
    rate = f"{watched.config.false_alarm_rate:.3g}"
    method = (
        "Every patient counts once, with the first case. Its number is ranked among the baseline "
        "and all earlier patients; while nothing has changed these ranks are uniform, and bets "
        f"against that win by chance alone. The probability that this watch ever alarms without a "
        f"change is at most {rate} for inputs and scores together, and {rate} for labels, however "
        "long it lasts and however often it is read (Ville's inequality, Bonferroni over streams)."
    )
    alarms = [alarm_line(stream) for stream in watched.evidence if stream.alarms]
    parts: list[Component] = [Note(note) for note in notes]
    if alarms:
        parts.append(Fold("All alarms", [Note(line) for line in alarms]))
    return Section("methods", "Methods", method, parts)
