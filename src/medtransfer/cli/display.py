"""Tables and progress: a live table on a terminal, plain lines elsewhere, or JSON."""

import json
import sys
import textwrap
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from medtransfer.errors import plural, printable, shown
from medtransfer.runs.events import (
    Additions,
    Decided,
    Drifted,
    Event,
    OnEvent,
    Planned,
    Preparing,
    PretrainStep,
    Repaired,
    RunEnded,
    RunExtended,
    RunSlow,
    RunStep,
    Scoring,
    TimeEstimated,
    event_record,
)

if TYPE_CHECKING:  # `ladder` and others print tables without it
    import polars as pl

LINE = 100
"""Characters of a line of running text."""
MAX_CHARACTERS = 300
MAX_TABLE_WIDTH = 100_000
"""Characters of a table's line; more than any table has."""


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> None:
    """Print aligned columns, one line per row, however narrow the terminal is.

    Args:
        head: Column titles.
        rows: Cells as text.
        right: Columns set flush right.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for number, title in enumerate(head):
        table.add_column(Text(title), justify="right" if number in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    # a console that is wide enough never cuts a name, and text without styles can be piped
    console = Console(width=MAX_TABLE_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def print_coverage(coverage: "pl.DataFrame") -> None:
    """Print cases by target and cohort: a line per target, a column per cohort.

    Args:
        coverage: From `label_counts`.
    """
    words = ["positive", "negative", "uncertain", "empty"]
    if not coverage["uncertain"].sum():
        words.remove("uncertain")
    cohorts = coverage["cohort"].unique(maintain_order=True).to_list()
    cells: dict[str, list[str]] = {}
    for target, *counts in coverage.select("target", *words).iter_rows():
        cells.setdefault(target, []).append(" / ".join(f"{count:,}" for count in counts))
    print(f"Cases by cohort: {' / '.join(words)}.")
    rows = [[printable(target, 60), *of_target] for target, of_target in cells.items()]
    heads = [printable(cohort, 40) for cohort in cohorts]
    print_table(("target", *heads), rows, right=range(1, len(cohorts) + 1))


def one_line(message: str, limit: int = MAX_CHARACTERS) -> str:
    """A message as one line, cut if it is long; `error.json` of its run has the full text."""
    return printable(" ".join(message.split()), limit)


def wrapped(text: str) -> str:
    """A paragraph in lines that a terminal shows without breaking words."""
    return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)


def with_whole(message: str, file: Path) -> str:
    """A message as one line; if it is cut, the file with the full text follows."""
    cut = one_line(message)
    return f"{cut} Full message: {file}" if cut.endswith("…") else cut


def duration(seconds: float | None) -> str:
    """``0:42``, ``1:02:03``; a dash if unknown."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def pretraining(step: PretrainStep) -> str:
    """Progress of pre-training, on one line."""
    score = step.held_out_score
    parts = [
        f"step {step.step:,} of {step.steps:,}",
        f"loss {step.loss:.3f}",
        *([] if score is None else [f"held-out score {score:.3f}"]),
        f"{step.images_per_second:,.0f} images/s",
        f"{duration(step.seconds_left)} left",
    ]
    return ", ".join(parts)


def additions_text(event: Additions) -> str:
    """Cohort that finished runs are to predict, on one line."""
    what = f"{event.cohort} ({plural(event.cases, 'test case')})"
    reason = "has other cases or images than before" if event.is_changed else "is new"
    verb = "predicts" if event.runs == 1 else "predict"
    return (
        f"{what} {reason}: {plural(event.runs, 'finished run')} {verb} it; nothing is trained again"
    )


def time_text(event: TimeEstimated) -> str:
    """Time that a study's unfinished runs take, on one line."""
    from medtransfer.study.planning.speeds import rough_time

    middle, low, high = (rough_time(each) for each in (event.middle, event.low, event.high))
    return (
        f"{plural(event.runs, 'run')} to carry out, {event.workers:,} at once: about {middle} "
        f"({low} to {high})"
    )


def extended_text(event: RunExtended) -> str:
    """Outcome of a run that predicted cohorts, on one line."""
    verb = "could not predict" if event.message else "predicted"
    reason = f": {one_line(event.message)}" if event.message else ""
    cohorts = ", ".join(event.cohorts)
    return f"[{event.finished}/{event.total}] {event.run.label} {verb} {cohorts}{reason}"


PACE_SECONDS = 5.0
"""Time after which the speed of a stage says how long it takes."""
LINE_SECONDS = 30.0
"""Minimum time between two lines on the progress of a run, without a terminal."""


@contextmanager
def display(*, as_json: bool) -> Generator[OnEvent]:
    """Callback that shows the progress of a study or of pre-training."""
    if as_json:
        yield _json_line
    elif sys.stderr.isatty():
        console = Console(stderr=True)
        table = LiveTable()
        # text printed on the way goes above the table, unless it is piped elsewhere
        with Live(
            table,
            console=console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        ):
            yield table.handle
    else:
        yield _Lines().handle


@contextmanager
def runs_display(*, as_json: bool) -> Generator[Callable[[int, int], None]]:
    """Callback that shows the number of scored runs, and the time left."""
    begun = time.monotonic()

    def report(done: int, total: int) -> None:
        if as_json or total < 2:
            return
        left = (time.monotonic() - begun) / done * (total - done) if done else None
        ending = "\r" if sys.stderr.isatty() and done < total else "\n"
        text = f"{done} of {total} runs scored; {duration(left)} left"
        print(text.ljust(60), end=ending, file=sys.stderr, flush=True)

    yield report


def _json_line(event: Event) -> None:
    print(json.dumps(event_record(event)), flush=True)


class _Pace:
    """Speed of the preparation of images, stage by stage."""

    def __init__(self) -> None:
        self._stage = ""
        self._begun = 0.0
        self._first = 0

    def begins(self, event: Preparing) -> bool:
        """Note an event; True for the first of its stage."""
        if event.what == self._stage:
            return False
        self._stage, self._begun, self._first = event.what, time.monotonic(), event.done
        return True

    def left(self, event: Preparing) -> str:
        """``, 12 min left``; nothing in the first seconds and for the last image."""
        spent, done = time.monotonic() - self._begun, event.done - self._first
        if spent < PACE_SECONDS or done < 1 or event.done >= event.total:
            return ""
        return f", {duration(spent / done * (event.total - event.done))} left"


class _Lines:
    """Plain lines for logs."""

    def __init__(self) -> None:
        self._last = 0.0
        self._pace = _Pace()

    def handle(self, event: Event) -> None:
        match event:
            case Preparing():
                self._preparing(event)
            case Planned(runs, done):
                runs_text = plural(len(runs), "run")
                self._print(f"{done} of {runs_text} already finished" if done else runs_text)
            case RunStep() if time.monotonic() - self._last > LINE_SECONDS:
                self._print(
                    f"{event.run.label}: step {event.step}/{event.steps}, loss {event.loss:.3f}, "
                    f"{event.images_per_second:.0f} images/s, "
                    f"{duration(event.study_seconds_left)} left in the study"
                )
            case PretrainStep() if (
                event.step == event.steps or time.monotonic() - self._last > LINE_SECONDS
            ):
                self._print(pretraining(event))
            case RunEnded():
                reason = f": {one_line(event.message)}" if event.message else ""
                self._print(
                    f"[{event.finished}/{event.total}] {event.state} {event.run.label}{reason}"
                )
            case TimeEstimated():
                self._print(time_text(event))
            case Additions():
                self._print(additions_text(event))
            case RunExtended():
                self._print(extended_text(event))
            case Scoring(what):
                self._print(f"writing {what}")
            case RunSlow() | Repaired() | Decided() | Drifted():
                self._print(_message(event))
            case _:
                pass

    def _preparing(self, event: Preparing) -> None:
        """A line when a stage begins, and now and then while it lasts."""
        if self._pace.begins(event):
            self._print(f"{event.what} ({plural(event.total, event.unit)})")
        elif time.monotonic() - self._last > LINE_SECONDS:
            left = self._pace.left(event)
            self._print(f"{event.what}: {event.done:,} of {event.total:,}{left}")

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        print(text, file=sys.stderr, flush=True)


def _message(event: RunSlow | Repaired | Decided | Drifted) -> str:
    """Words of an event, with the run that it is about."""
    match event:
        case RunSlow(run, _, message):
            return f"{run.label}: {message}"
        case Decided(_, sentence):
            return sentence
        case Repaired(_, message) | Drifted(_, message):
            return message


class LiveTable:
    """A table of rungs above the runs at work; of pre-training, the run alone."""

    def __init__(self) -> None:
        self._event: Event | None = None
        self._rungs: dict[str, dict[str, int]] = {}
        self._finished = ""
        self._first_error = ""
        self._repairs: list[str] = []
        self._additions: list[str] = []
        self._extended = ""
        self._steps: dict[str, RunStep] = {}
        self._pace = _Pace()

    def handle(self, event: Event) -> None:
        """Update the table."""
        self._event = event
        match event:
            case Preparing():
                self._pace.begins(event)
            case Planned(runs, done):
                self._finished = f"{done} of {plural(len(runs), 'run')} already finished" * (
                    done > 0
                )
                for run in runs:
                    counts = self._rungs.setdefault(run.rung, {"runs": 0})
                    counts["runs"] += 1
            case RunStep():
                self._steps[event.run.run_id] = event
            case RunSlow() | Repaired() | Drifted():
                self._repairs.append(_message(event))
            case Decided(_, message):  # another stage begins
                self._repairs.append(message)
                self._rungs.clear()
                self._steps.clear()
                self._finished = ""
            case TimeEstimated():
                self._finished = f"{self._finished}  {time_text(event)}".strip()
            case Additions():
                self._additions.append(additions_text(event))
            case RunExtended():
                self._extended = extended_text(event)
            case RunEnded():
                self._steps.pop(event.run.run_id, None)
                counts = self._rungs[event.run.rung]
                counts[event.state] = counts.get(event.state, 0) + 1
                if event.message and not self._first_error:
                    self._first_error = f"{event.run.label}: {one_line(event.message)}"
            case _:
                pass

    def __rich__(self) -> Group:
        parts: list[Any] = [Text(message) for message in self._repairs]
        if isinstance(self._event, Preparing):
            images = f"{self._event.done:,}/{self._event.total:,}"
            parts.append(Text(f"{self._event.what}  {images}{self._pace.left(self._event)}"))
        if isinstance(self._event, Scoring):
            parts.append(Text(f"writing {self._event.what}"))
        if isinstance(self._event, PretrainStep):
            parts += [Text(pretraining(self._event)), _bar(self._event)]
        if self._finished:
            parts.append(Text(self._finished))
        if self._rungs:
            parts.append(self._table())
        parts += [Text(line) for line in self._additions]
        if self._extended:
            parts.append(Text(self._extended))
        for step in self._steps.values():
            parts += self._running(step)
        if self._first_error:
            parts.append(Text(f"first failure: {self._first_error}", style="red"))
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("rung", "runs", "done", "failed", "diverged"):
            table.add_column(name, justify="left" if name == "rung" else "right")
        for rung, counts in self._rungs.items():
            table.add_row(
                Text(rung),
                *(str(counts.get(key, 0)) for key in ("runs", "done", "failed", "diverged")),
            )
        return table

    def _running(self, step: RunStep) -> list[Any]:
        auroc = "–" if step.tune_auroc is None else f"{step.tune_auroc:.3f}"
        line = (
            f"{step.run.label}  loss {step.loss:.3f}  tune AUROC {auroc}  "
            f"{step.images_per_second:.0f} images/s  "
            f"{duration(step.seconds_left)} left, {duration(step.study_seconds_left)} in the study"
        )
        return [Text(line), _bar(step)]


def _bar(step: RunStep | PretrainStep) -> Padding:
    # the bar alone does not end its line
    return Padding(ProgressBar(step.steps, step.step, width=60), 0)
