"""Words for a watch: what whoever reads the page or the log of cron is told."""

from collections.abc import Sequence

from medtransfer.deploy.monitoring.alarms import StreamEvidence
from medtransfer.errors import plural

MAX_ALARMS = 6
"""Alarms that the first lines name; the page lists all."""


def watch_sentence(
    evidence: Sequence[StreamEvidence], cases: int, periods: Sequence[str], baseline: int
) -> str:
    """The first line: alarm or not, of what.

    Args:
        evidence: Of every stream.
        cases: Cases of the watch.
        periods: In the order of time.
        baseline: Patients of the baseline.
    """
    span = periods[0] if len(periods) == 1 else f"{periods[0]} to {periods[-1]}"
    watched = (
        f"{plural(cases, 'case')} ({span}) against a baseline of {plural(baseline, 'patient')}"
    )
    alarms = sum(stream.alarms for stream in evidence)
    if alarms:
        changed = f"{alarms} of {plural(len(evidence), 'stream')} changed"
        return f"Alarm: {changed}, {watched}."
    if not evidence:
        return f"Not tested: {watched}, which is too small for a test."
    return f"Quiet: none of {plural(len(evidence), 'stream')} changed, {watched}."


def alarm_lines(evidence: Sequence[StreamEvidence]) -> list[str]:
    """One line an alarm, the strongest first."""
    alarms = sorted(
        (stream for stream in evidence if stream.alarms), key=lambda stream: -stream.strongest
    )
    lines = [alarm_line(stream) for stream in alarms[:MAX_ALARMS]]
    rest = len(alarms) - len(lines)
    return [*lines, f"and {rest} more (see the page)"] if rest > 0 else lines


def alarm_line(stream: StreamEvidence) -> str:
    """An alarm in words: the stream, its direction, its size, its beginning."""
    place = f"at patient {stream.alarm_patient:,} ({stream.alarm_period})"
    if stream.mean is None or stream.direction == "other spread":
        return f"{stream.key.words()}: another spread, noticed {place}"
    return (
        f"{stream.key.words()}: {stream.direction}, mean {stream.mean:.3g} since "
        f"{stream.alarm_period}, {stream.baseline_mean:.3g} in the baseline; noticed {place}"
    )


def expectation_notes(evidence: Sequence[StreamEvidence]) -> list[str]:
    """Warning on performance that is expected without labels, once an input has changed."""
    periods = [
        stream.alarm_period
        for stream in evidence
        if stream.key.family == "inputs" and stream.alarm_period is not None
    ]
    if not periods:
        return []
    sentence = (
        f"Inputs have changed (first noticed: {min(periods)}): performance that is expected "
        "without labels holds no longer from then on. Label some of these cases (--labels)."
    )
    return [sentence]


def odds_text(stream: StreamEvidence) -> str:
    """Strongest evidence of a stream: ``12 of 800``, its wealth and the wealth of an alarm."""
    strongest = f"{stream.strongest:,.0f}" if stream.strongest < 1e6 else f"{stream.strongest:.0e}"
    return f"{strongest} of {1 / stream.rate:,.0f}"
