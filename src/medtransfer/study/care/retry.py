"""Runs without results that the next `medtransfer run` takes again."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from medtransfer.errors import ConfigError, printable
from medtransfer.files import remove, write_json
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.runs.records import RunError, State
from medtransfer.study.care.histories import EARLIER_ERRORS, earlier_errors
from medtransfer.study.care.rest import at_rest, require_runs

AGAIN = "It is tried again from its first step."


@dataclass(frozen=True)
class RetriedRun:
    """A run that the next command takes again.

    Attributes:
        run_id: Its id.
        state: That it ended in.
        message: The reason.
        starts_over: True if its checkpoints were dropped, which hold what diverged.
    """

    run_id: str
    state: Literal["failed", "diverged"]
    message: str
    starts_over: bool

    def plain(self) -> dict[str, object]:
        """The run as a JSON object."""
        return asdict(self)


def retry_runs(folder: StudyFolder, run_ids: Sequence[str] = ()) -> list[RetriedRun]:
    """Have the next `run_study` take runs again that ended without results.

    Runs that failed, also for lack of memory, are taken again by every run of the study, from their
    last checkpoint. A run that diverged is not, since the same steps lead to the same end: this
    drops its checkpoints, so that it starts over. The reason stays in `earlier_errors.json` of the
    run's folder.

    Args:
        folder: Of the study.
        run_ids: Runs; none for all that failed or diverged.

    Returns:
        The runs, in the order of their ids; empty if none ended without results.

    Raises:
        StudyError: Another process works on the study, or has no such run.
        ConfigError: A named run did not fail.
    """
    names = list(run_ids)
    require_runs(folder, names)
    states: dict[str, State] = {
        name: folder.run(name).state() for name in names or folder.run_ids()
    }
    ended = [name for name, state in states.items() if state in ("failed", "diverged")]
    if names and len(ended) < len(names):
        others = [f"{printable(n)} is {s}" for n, s in states.items() if n not in ended]
        raise ConfigError(f"Only runs that failed or diverged are retried: {'; '.join(others)}.")
    with at_rest(folder):
        return [_retry(folder.run(name), states[name]) for name in ended]


def _retry(run: RunFolder, state: State) -> RetriedRun:
    error = run.error() or RunError("failed", "")
    if state != "diverged":
        return RetriedRun(run.run_id, "failed", error.message, starts_over=False)
    errors = [vars(earlier) for earlier in (*earlier_errors(run), error)]
    write_json(run.path / EARLIER_ERRORS, errors)
    remove(run.checkpoint)
    # failed, not waiting: until it is run, the study's folder has to say why there is no result
    run.fail("failed", f"{error.message} {AGAIN}", step=error.step)
    return RetriedRun(run.run_id, "diverged", error.message, starts_over=True)
