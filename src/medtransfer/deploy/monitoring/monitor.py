"""A watch over a network in use: from predictions to alarms, tables and a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.monitoring.alarms import StreamEvidence, evidence_of
from medtransfer.deploy.monitoring.cases import WatchedCases, bundle_cases, read_watched
from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.monitoring.labels import LaterLabels, read_later_labels
from medtransfer.deploy.monitoring.page import monitor_page
from medtransfer.deploy.monitoring.performance import PerformanceNumber, performance_numbers
from medtransfer.deploy.monitoring.periods import PeriodNumber, period_numbers, periods_of
from medtransfer.deploy.monitoring.streams import input_streams, performance_streams
from medtransfer.deploy.monitoring.words import alarm_lines, expectation_notes, watch_sentence
from medtransfer.deploy.validation.validate import home_predictions
from medtransfer.errors import ConfigError, StudyError, plural
from medtransfer.files import write_json, write_text
from medtransfer.report.identifiers import identifiers_of
from medtransfer.tables.schema import write_spreadsheet
from medtransfer.tables.values.value_map import ValueMap

PAGE, MACHINE, TABLE = "monitor.html", "monitor.json", "periods.csv"
OWN_BASELINE = (
    "The baseline is the bundle's own test and tuning cases: of another hospital an alarm may say "
    "no more than that it is another hospital. Give predictions of a good month with --baseline."
)


@dataclass(frozen=True)
class Watch:
    """A watch over a network in use.

    Attributes:
        bundle: Digest of the bundle.
        config: Rates and sizes.
        folder: Folder with page, JSON and table.
        page: The page.
        sentence: Alarm or not, in one sentence.
        lines: The alarms, a line each.
        evidence: Of every stream.
        periods: Scores, calls, OOD share and image statistics by period and by device.
        performance: By period and target: promised, expected, measured.
        notes: What was left out and assumed, in sentences.
    """

    bundle: str
    config: MonitorConfig
    folder: Path
    page: Path
    sentence: str
    lines: tuple[str, ...]
    evidence: tuple[StreamEvidence, ...]
    periods: tuple[PeriodNumber, ...]
    performance: tuple[PerformanceNumber, ...]
    notes: tuple[str, ...]

    @property
    def alarm(self) -> bool:
        """True if any stream has ever alarmed."""
        return any(stream.alarms for stream in self.evidence)


def monitor(
    bundle: BundleModel | Bundle | Path | str,
    predictions: Sequence[Path | str],
    out: Path | str,
    *,
    baseline: Path | str | None = None,
    labels: Path | str | None = None,
    values: ValueMap | None = None,
    config: MonitorConfig | None = None,
) -> Watch:
    """Watch a network in use: whether scores, calls, OOD scores or images have changed.

    Args:
        bundle: From `load_bundle` or `read_bundle`, or its path; an expired one too.
        predictions: Tables and folders that `predict` wrote, all since the baseline; in the order
            of time if they name no months.
        out: Folder for page, JSON and table.
        baseline: Table or folder of the time before; the bundle's own cases by default.
        labels: Manifest or table with `case_id` and the bundle's targets.
        values: Values of `labels` to read in place of others, by column.
        config: False-alarm rate and least sizes.

    Returns:
        Alarms, numbers, and where the page lies.

    Raises:
        BundleError: The bundle is damaged.
        TableError: A table does not exist, is not of this bundle, or holds what is not allowed.
        StudyError: `out` is a file.
    """
    out, config = Path(out), config or MonitorConfig()
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    if isinstance(bundle, BundleModel):
        opened = bundle.bundle
    else:
        opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    home = home_predictions(opened)
    later = None if labels is None else read_later_labels(Path(labels), opened.facts, values)
    watched, before = watched_and_baseline(opened, home, predictions, baseline, later)
    evidence = [
        *evidence_of(input_streams(watched, before, config), watched.frame["period"], config),
        *_performance_evidence(watched, before, opened, home, config=config),
    ]
    notes = [*watched.notes, *(f"Labels: {note}" for note in (later.notes if later else ()))]
    notes += [f"Baseline: {note}" for note in before.notes if note not in watched.notes]
    if baseline is None:
        notes.append(OWN_BASELINE)
    if watched.unpredicted:
        notes.append(f"{plural(watched.unpredicted, 'case')} without a prediction not counted.")
    notes += expectation_notes(evidence)
    watch = Watch(
        bundle=opened.digest,
        config=config,
        folder=out,
        page=out / PAGE,
        sentence=watch_sentence(evidence, len(watched), periods_of(watched), before.patients),
        lines=tuple(alarm_lines(evidence)),
        evidence=tuple(evidence),
        periods=tuple(period_numbers(watched, before, config.min_period)),
        performance=tuple(performance_numbers(watched, home, config)),
        notes=tuple(notes),
    )
    _write(watch, opened, watched)
    return watch


def monitor_config(rate: float | None = None) -> MonitorConfig:
    """Settings as they are typed on a command line, checked.

    Raises:
        ConfigError: The rate is out of range.
    """
    if rate is None:
        return MonitorConfig()
    if not 0 < rate < 1:
        raise ConfigError(f"--false-alarms is {rate:g} (allowed: over 0 and under 1).")
    return MonitorConfig(false_alarm_rate=rate)


def watched_and_baseline(
    bundle: Bundle,
    home: pl.DataFrame,
    predictions: Sequence[Path | str],
    baseline: Path | str | None,
    labels: LaterLabels | None,
) -> tuple[WatchedCases, WatchedCases]:
    """Cases of a watch and of its baseline; patients of the baseline are not watched.

    Raises:
        TableError: A table cannot be used, or no case is left.
        ConfigError: There are no predictions.
    """
    if not predictions:
        raise ConfigError("There is nothing to watch: name predictions that `predict` wrote.")
    watched = read_watched([Path(path) for path in predictions], bundle.facts)
    if baseline is None:
        before = bundle_cases(watched.facts, home)
    else:
        before = read_watched([Path(baseline)], watched.facts)
        because = "they are in the baseline"
        watched = watched.without(before.frame["patient"], because)
        if not len(watched):
            raise ConfigError("All cases are in the baseline: name predictions that came after it.")
    if labels is not None:
        watched, before = watched.with_labels(labels.frame), before.with_labels(labels.frame)
    return watched, before


def watch_text(watch: Watch) -> str:
    """Text for a log: the sentence, alarms, notes, and where the page lies."""
    lines = [watch.sentence, *(f"  {line}" for line in watch.lines), *watch.notes]
    return "\n".join([*lines, f"Page: {watch.page}"])


def watch_json(watch: Watch) -> dict[str, object]:
    """The watch as JSON. No case is named."""
    return {
        "schema_version": 1,
        "bundle": watch.bundle,
        "alarm": watch.alarm,
        "sentence": watch.sentence,
        "settings": watch.config.model_dump(mode="json"),
        "streams": [{**asdict(stream), "alarms": stream.alarms} for stream in watch.evidence],
        "periods": [asdict(number) for number in watch.periods],
        "performance": [asdict(number) for number in watch.performance],
        "notes": list(watch.notes),
    }


def _performance_evidence(
    watched: WatchedCases,
    before: WatchedCases,
    bundle: Bundle,
    home: pl.DataFrame,
    *,
    config: MonitorConfig,
) -> list[StreamEvidence]:
    """Evidence from labels, against the baseline's or else the bundle's own labelled cases."""
    targets = [pl.col(f"target_{name}").is_not_null() for name in bundle.facts.names]
    if watched.frame.filter(pl.any_horizontal(targets)).is_empty():
        return []
    streams = performance_streams(watched, before, config)
    if not streams:
        streams = performance_streams(watched, bundle_cases(watched.facts, home), config)
    return evidence_of(streams, watched.frame["period"], config)


def _write(watch: Watch, bundle: Bundle, watched: WatchedCases) -> None:
    content = monitor_page(
        watch.sentence,
        watch.lines,
        counts=(
            f"{plural(len(watched), 'case')} of {plural(watched.patients, 'patient')} in "
            f"{plural(len(periods_of(watched)), 'period')}."
        ),
        bundle=bundle,
        evidence=watch.evidence,
        periods=watch.periods,
        performance=watch.performance,
        notes=watch.notes,
        config=watch.config,
        identifiers=identifiers_of(watched.frame.select("case_id", "patient_id")),
    )
    write_spreadsheet(
        pl.DataFrame([asdict(number) for number in watch.periods]), watch.folder / TABLE
    )
    write_json(watch.folder / MACHINE, watch_json(watch))
    write_text(watch.page, content)
