"""State of a study at one moment, read from its folder for the live page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.progress import RunProgress, read_progress
from medtransfer.runs.records import RunCheck, State
from medtransfer.study.care.histories import checks_so_far
from medtransfer.study.status import RunStatus, read_status

MAX_ROWS = 200
"""Runs that are listed; the others are counted."""
MAX_CURVES = 24
"""Runs whose curves are drawn."""
ORDER: tuple[State, ...] = ("running", "failed", "diverged", "done", "waiting")
"""States in the order in which runs are listed."""


@dataclass(frozen=True)
class LiveRun:
    """A run as the page shows it; without its id, and without messages, which may name files.

    Attributes:
        number: Place in the plan, from 1.
        status: Its progress.
        seconds_left: While it runs; None if unknown.
        checks: Its validations so far, for the runs whose curves are drawn.
    """

    number: int
    status: RunStatus
    seconds_left: float | None = None
    checks: tuple[RunCheck, ...] = ()

    @property
    def label(self) -> str:
        """Rung, share of labels and seed."""
        status = self.status
        return f"{status.rung}, {100 * status.label_fraction:.3g}% labels, seed {status.seed}"


@dataclass(frozen=True)
class LiveStudy:
    """A study at one moment.

    Attributes:
        name: Of the study.
        runs: Those that are listed, in the page's order.
        counts: Number of all runs in each state.
        rungs: In the order of the plan.
        working: True while a process works on the study.
        seconds_left: None if unknown.
    """

    name: str
    runs: tuple[LiveRun, ...]
    counts: dict[State, int]
    rungs: tuple[str, ...]
    working: bool
    seconds_left: float | None

    @property
    def total(self) -> int:
        """Number of all runs."""
        return sum(self.counts.values())


def read_live(folder: StudyFolder) -> LiveStudy:
    """Read the state of a study.

    Raises:
        StudyError: The folder is not that of a study that was run.
    """
    status = read_status(folder)
    counts = Counter(run.state for run in status.runs)
    numbered = list(enumerate(status.runs, start=1))
    listed = sorted(numbered, key=lambda item: ORDER.index(item[1].state))[:MAX_ROWS]
    drawn = {number for number, run in listed if run.state != "waiting"}
    drawn = set(sorted(drawn, key=[number for number, _ in listed].index)[:MAX_CURVES])
    return LiveStudy(
        name=str(folder.read("study.json")["name"]),
        runs=tuple(_live_run(folder, *item, is_drawn=item[0] in drawn) for item in listed),
        counts={state: counts[state] for state in ORDER if counts[state]},
        rungs=_rungs(status.runs),
        working=status.working,
        seconds_left=status.seconds_left,
    )


def _live_run(folder: StudyFolder, number: int, status: RunStatus, *, is_drawn: bool) -> LiveRun:
    run = folder.run(status.run_id)
    checks = tuple(checks_so_far(run)) if is_drawn else ()
    progress = read_progress(run) if status.state == "running" else None
    left = None
    if isinstance(progress, RunProgress) and progress.images_per_second:
        share = 1 - status.step / max(1, status.steps)
        left = share * status.images / progress.images_per_second
    return LiveRun(number, status, left, checks)


def _rungs(runs: Sequence[RunStatus]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run.rung for run in runs))
