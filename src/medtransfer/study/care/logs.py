"""Log of a study or of one run, read from its folder: what began, ended and failed, and when.

Messages of unexpected errors are left out, since libraries quote cells of tables in them; the
places in the code stay.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from medtransfer.errors import plural, printable
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.progress import RunProgress, read_progress
from medtransfer.runs.records import RunCheck, RunError
from medtransfer.runs.repairs import REPAIRS, noted_repairs
from medtransfer.study.care.histories import checks_so_far, earlier_errors
from medtransfer.study.care.rest import require_runs
from medtransfer.study.planning.slowness import slow_sentence

FRAME = '  File "'
"""Start of the lines of a traceback that name places in code."""
MAX_MESSAGE = 1_000


@dataclass(frozen=True)
class LogEntry:
    """One line of a log.

    Attributes:
        time: UTC, as ISO 8601 to the second; None where it was not noted.
        run_id: The run it is of; empty for the study.
        text: The line, in words.
    """

    time: str | None
    run_id: str
    text: str

    def plain(self) -> dict[str, object]:
        """The line as a JSON object."""
        return asdict(self)


def read_log(folder: StudyFolder, run_id: str | None = None) -> list[LogEntry]:
    """Log of a study, oldest line first, or of one of its runs in full.

    Args:
        folder: Of the study.
        run_id: A run; None for the starts and ends of all.

    Raises:
        StudyError: It is no study, or has no such run.
    """
    folder.read("study.json")
    if run_id is not None:
        require_runs(folder, [run_id])
        return list(_run_log(folder, folder.run(run_id)))
    when = _time(folder.path / REPAIRS)
    entries = [LogEntry(when, "", f"repaired: {repair}") for repair in noted_repairs(folder)]
    for name in folder.run_ids():
        entries += _starts_and_ends(folder.run(name))
    return sorted(entries, key=lambda entry: entry.time or "")


def _starts_and_ends(run: RunFolder) -> Iterator[LogEntry]:
    """Lines of one run in the log of its study."""
    if (started := _time(run.path / "run.json")) is not None:
        yield LogEntry(started, run.run_id, "started or resumed")
    if run.is_done():
        yield LogEntry(_time(run.path / "predictions.parquet"), run.run_id, _outcome(run))
    elif (error := run.error()) is not None:
        yield LogEntry(_time(run.path / "error.json"), run.run_id, _error_text(error))


def _run_log(folder: StudyFolder, run: RunFolder) -> Iterator[LogEntry]:
    def entry(text: str, source: Path | None = None) -> LogEntry:
        return LogEntry(None if source is None else _time(source), run.run_id, text)

    for number, machine in enumerate(run.environments(), start=1):
        facts = ", ".join(
            f"{name} {printable(machine[name])}"
            for name in ("device", "threads", "system", "python", "cpu")
            if name in machine
        )
        packages = machine.get("packages", {})
        versions = ", ".join(f"{printable(name)} {printable(packages[name])}" for name in packages)
        yield entry(f"machine {number}: {facts}; {versions}")
    for error in earlier_errors(run):
        yield entry(f"earlier attempt {_error_text(error)}")
    started = run.path / "run.json"
    if started.is_file():
        yield entry("started or resumed", started)
    for check in checks_so_far(run):
        yield entry(_check_text(check))
    progress = None if run.is_done() else read_progress(run)
    if isinstance(progress, RunProgress):
        speed = progress.images_per_second
        rate = "" if speed is None else f", {speed:.1f} images/s"
        yield entry(f"step {progress.step} of {progress.steps}{rate}", run.path / "progress.json")
        if progress.share_of_measured is not None:
            yield entry(slow_sentence(progress.share_of_measured), run.path / "progress.json")
    if run.is_done():
        yield entry(_outcome(run), run.path / "predictions.parquet")
    elif (error := run.error()) is not None:
        yield entry(_error_text(error), run.path / "error.json")
        yield from (entry(line) for line in _frames(error))
    stacks = run.path / "stacks.txt"
    if stacks.is_file():
        yield entry("the process was silent; its threads stood at", stacks)
        for line in stacks.read_text("utf-8", errors="replace").splitlines():
            yield entry(f"  {line}")
    outputs = sorted((folder.path / "slurm").glob("*.log"))
    if outputs:
        yield entry(f"{plural(len(outputs), 'log')} of Slurm jobs in slurm/ of the study's folder")


def _frames(error: RunError) -> Iterator[str]:
    """Places in the code, of an error that is a bug."""
    for line in (error.traceback or "").splitlines():
        if line.startswith(FRAME):
            yield line


def _error_text(error: RunError) -> str:
    at = "" if error.step is None else f" at step {error.step}"
    return f"{error.state}{at}: {printable(error.message, MAX_MESSAGE)}"


def _outcome(run: RunFolder) -> str:
    cost = run.cost()
    best = [check.tune_auroc for check in run.history() if check.tune_auroc is not None]
    auroc = f", best tune AUROC {max(best):.3f}" if best else ""
    return f"done: {plural(cost.steps or 0, 'step')} in {cost.seconds:,.1f} s{auroc}"


def _check_text(check: RunCheck) -> str:
    parts = [f"train loss {check.train_loss:.4f}", f"tune loss {check.tune_loss:.4f}"]
    if check.tune_auroc is not None:
        parts.append(f"tune AUROC {check.tune_auroc:.4f}")
    if check.learning_rate is not None:
        parts.append(f"learning rate {check.learning_rate:.3g}")
    name = "step" if check.penalty is None else f"penalty {check.penalty:.3g}, number"
    return f"{name} {check.step}: {', '.join(parts)}"


def _time(path: Path) -> str | None:
    """Modification time of a file as text; None if it is missing."""
    try:
        seconds = path.stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
