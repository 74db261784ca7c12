"""Selection of an automatic study: what was decided, why, and which rungs were eliminated."""

from collections.abc import Iterator, Sequence

from medtransfer.errors import plural
from medtransfer.report.components import Component, Note, ReportTable, Section
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.selection.decisions import Decision, Decisions, SelectionStage, dropped_rungs
from medtransfer.study.selection.start import StudyStart, read_start

NUMBERS: dict[SelectionStage, str] = {
    "probes": "Linear probe",
    "short": "Short schedule",
    "full": "Whole schedule",
}
"""Stages with a tuning AUROC, and the title of its column."""
HOW = (
    "AUROC on the tuning split, one seed. No test case was predicted before the finalists were "
    "chosen. The best of several numbers on one split is higher than it would be on new cases; the "
    "test numbers of the finalists are not."
)


def selection_sections(folder: StudyFolder) -> list[Section]:
    """The section of an automatic study; none for other studies."""
    start, decisions = read_start(folder), Decisions(folder).all()
    if start is None or not decisions:
        return []
    parts: list[Component] = [_steps(decisions), _rungs(decisions), Note(HOW)]
    if start.base.notes:
        parts.append(_settings(start))
    return [Section("selection", "How the rungs were selected", _lead(start, decisions), parts)]


def _lead(start: StudyStart, decisions: Sequence[Decision]) -> str:
    """Number of rungs, time, and the finalists, in sentences."""
    tried = decisions[0].kept
    facts = f" Fingerprint: {start.base.facts}" if start.base.facts else ""
    hours = f"{start.asked.hours:g} hours were asked for"
    return f"{plural(len(tried), 'rung')} were tried; {hours}. {decisions[-1].sentence}{facts}"


def _steps(decisions: Sequence[Decision]) -> ReportTable:
    """The decisions in their order."""
    return ReportTable(
        ("Stage", "Decision", "Minutes left"),
        [
            [decision.stage, decision.sentence, _minutes(decision.seconds_left)]
            for decision in decisions
        ],
        caption="Decisions",
        numeric=frozenset({2}),
    )


def _rungs(decisions: Sequence[Decision]) -> ReportTable:
    """Every rung with its tuning numbers, and why it was dropped."""
    stages = [decision for decision in decisions if decision.stage in NUMBERS]
    reasons = {item.rung: item.reason for item in dropped_rungs(decisions)}
    final = decisions[-1]
    rows = [
        [
            rung,
            *(_number(decision.tune_auroc.get(rung)) for decision in stages),
            _outcome(rung, final, reasons),
        ]
        for rung in _order(decisions)
    ]
    return ReportTable(
        ("Rung", *(NUMBERS[decision.stage] for decision in stages), "Outcome"),
        rows,
        caption="Rungs that were tried or left out",
        numeric=frozenset(range(1, 1 + len(stages))),
    )


def _order(decisions: Sequence[Decision]) -> Iterator[str]:
    """Finalists first, then the rungs that were dropped, the latest first."""
    seen: set[str] = set()
    for decision in reversed(decisions):
        for rung in (*decision.kept, *(item.rung for item in decision.dropped)):
            if rung not in seen:
                seen.add(rung)
                yield rung


def _outcome(rung: str, final: Decision, reasons: dict[str, str]) -> str:
    if rung in final.kept:
        mode = (final.modes or {}).get(rung)
        return "finalist, as a linear probe" if mode == "linear" else "finalist, fine-tuned"
    return reasons.get(rung, "not decided")


def _settings(start: StudyStart) -> ReportTable:
    """Settings that were derived, with their rules."""
    return ReportTable(
        ("Setting", "Value", "Rule"),
        [[note.setting, note.value, note.note] for note in start.base.notes],
        caption="Settings that followed by rule",
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _minutes(seconds: float | None) -> str:
    return "–" if seconds is None else f"{max(0.0, seconds) / 60:.0f}"
