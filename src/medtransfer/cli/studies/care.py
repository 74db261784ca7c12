"""Commands that look after a study: logs, cancel, retry, gc."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import EXIT_USER, AsJson, AsJsonLines, app
from medtransfer.cli.completion.names import complete_studies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medtransfer.study.care.cancel import Cancellation
    from medtransfer.study.care.garbage import Garbage
    from medtransfer.study.care.logs import LogEntry
    from medtransfer.study.care.retry import RetriedRun

StudyPlace = Annotated[
    Path | None,
    typer.Option(
        "--study",
        "-s",
        help="A study's folder or file; by default the only study in ./studies.",
        show_default=False,
    ),
]
AnyStudy = Annotated[
    Path | None,
    typer.Argument(
        help="A study's folder or file; by default the only study in ./studies.",
        autocompletion=complete_studies,
    ),
]


@app.command()
def logs(
    run: Annotated[
        str | None, typer.Argument(help="Id of a run, to see all of it.", show_default=False)
    ] = None,
    study: StudyPlace = None,
    as_json: AsJsonLines = False,
) -> None:
    """Show when runs began, ended and failed, or the validations and errors of one run."""
    from medtransfer.study.care.logs import read_log
    from medtransfer.study.status import find_study

    _print_log(read_log(find_study(study), run), as_json=as_json)


@app.command()
def cancel(
    where: AnyStudy = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Longest time to wait for its end, in seconds.")
    ] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Stop the `run` of a study from another terminal: as Ctrl-C does, its state is saved."""
    from medtransfer.study.care.cancel import cancel_study
    from medtransfer.study.status import find_study

    cancellation = cancel_study(find_study(where), wait=wait)
    if as_json:
        print(json.dumps(cancellation.plain()))
    else:
        _print_cancellation(cancellation)
    if not cancellation.has_stopped:
        raise typer.Exit(EXIT_USER)


@app.command()
def retry(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Ids of runs.", show_default=False)
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All runs that failed or diverged.")
    ] = False,
    study: StudyPlace = None,
    as_json: AsJson = False,
) -> None:
    """Have the next `run` take runs again that failed or diverged."""
    from medtransfer.study.care.retry import retry_runs
    from medtransfer.study.status import find_study

    if bool(runs) == failed:
        raise typer.BadParameter("name runs, or give --failed for all", param_hint="RUNS")
    retried = retry_runs(find_study(study), runs or ())
    if as_json:
        print(json.dumps([run.plain() for run in retried]))
    else:
        _print_retried(retried)


@app.command()
def gc(
    where: AnyStudy = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what nothing in a study's folder needs any more, with sizes; delete it with --yes."""
    from medtransfer.study.care.garbage import collect_garbage
    from medtransfer.study.status import find_study

    garbage = collect_garbage(find_study(where), delete=yes)
    print(json.dumps(garbage.plain())) if as_json else _print_garbage(garbage)


def _print_log(entries: "Sequence[LogEntry]", *, as_json: bool) -> None:
    """Print a log, one line an entry."""
    from medtransfer.errors import shown

    for entry in entries:
        if as_json:
            print(json.dumps(entry.plain()))
        else:
            print(shown(f"{entry.time or ' ' * 20}  {entry.run_id:12}  {entry.text}"))


def _print_cancellation(cancellation: "Cancellation") -> None:
    """Print who was asked to stop, and whether they have."""
    for process in cancellation.processes:
        whose = f", run {process.run_id}," if process.run_id else ""
        end = "has stopped" if process.has_stopped else "was asked to stop, and still works"
        print(f"Process {process.pid} on {process.host}{whose} {end}.")
    if cancellation.engine == "slurm":
        print("Jobs in the queue of Slurm stay there; `scancel` with their numbers ends them.")
    if cancellation.has_stopped:
        print("The state is saved. `medtransfer run` with the same study resumes it.")


def _print_retried(retried: "Sequence[RetriedRun]") -> None:
    """Print the runs that the next command takes again."""
    from medtransfer.cli.display import one_line

    if not retried:
        print("No run failed or diverged.")
        return
    for run in retried:
        start = "from its first step" if run.starts_over else "from its last checkpoint"
        print(f"{run.run_id} {run.state}, is tried again {start}: {one_line(run.message)}")
    print("`medtransfer run` with the same study takes them again.")


def _print_garbage(garbage: "Garbage") -> None:
    """Print what nothing needs, its size, and what was done about it."""
    from medtransfer.cli.display import print_table, wrapped
    from medtransfer.disk import size_text
    from medtransfer.study.care.garbage import GARBAGE_REASONS

    if garbage.items:
        rows = [
            (item.path, size_text(item.nbytes), GARBAGE_REASONS[item.kind])
            for item in garbage.items
        ]
        print_table(("file or folder", "size", "reason"), rows, right=(1,))
    for note in garbage.notes:
        print(wrapped(note))
    if not garbage.items:
        print("Nothing to delete.")
    elif garbage.is_deleted:
        print(f"Deleted: {size_text(garbage.nbytes)}.")
    else:
        print(f"Nothing was deleted. --yes deletes these {size_text(garbage.nbytes)}.")
