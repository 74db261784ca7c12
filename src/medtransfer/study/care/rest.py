"""A study at rest: nobody works on it, so that its files can be changed or deleted."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from medtransfer.errors import StudyError, listed, printable, suggestion
from medtransfer.files import remove
from medtransfer.integrity.run_seal import DONE
from medtransfer.runs.folders import Lease, RunFolder, StudyFolder
from medtransfer.runs.repairs import repair_study
from medtransfer.study.execution.one import require_no_other


@contextmanager
def at_rest(folder: StudyFolder) -> Generator[None]:
    """Hold a study's lease while inside, and seal what was changed, however it is left.

    Raises:
        StudyError: Another process works on the study or on one of its runs, or it is no study.
    """
    folder.read("study.json")
    lease = Lease(folder)
    was_killed = lease.is_left()
    lease.take()
    try:
        require_no_other(folder)
        with folder.sealing():
            if was_killed:  # the seal is older than what the killed process wrote
                repair_study(folder, was_killed=True)
            yield
    finally:
        lease.drop()


def require_runs(folder: StudyFolder, run_ids: list[str]) -> None:
    """Compare the names of runs with the folders that are there.

    Raises:
        StudyError: Some have no folder; all of them are named.
    """
    present = folder.run_ids()
    missing = [name for name in run_ids if name not in present]
    if missing:
        hints = " ".join(suggestion(name, present) for name in missing[:1])
        raise StudyError(
            f"The study has no run {', '.join(printable(name) for name in missing)}. "
            f"`medtransfer status` lists all. {hints}".rstrip()
        )


def require_no_links(folder: StudyFolder, run_ids: Iterable[str]) -> None:
    """Compare the folders of runs with what can be deleted whole.

    Raises:
        StudyError: Some are links, so that what lies behind them would stay.
    """
    places = [folder.run(name).path for name in run_ids]
    linked = [path.relative_to(folder.path).as_posix() for path in places if path.is_symlink()]
    if linked:
        raise StudyError(
            f"{listed(linked)}: a link, and what lies behind it would not be deleted. Nothing was "
            "deleted. Put the folder itself in its place, then run the same command again."
        )


def remove_run(run: RunFolder) -> None:
    """Delete a run's folder; its seal first, so that no half-deleted run counts as done."""
    remove(run.path / DONE)
    remove(run.path)
