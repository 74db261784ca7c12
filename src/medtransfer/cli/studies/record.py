"""Commands on the record of a study: drift, reproduce."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import EXIT_DIFFERS, EXIT_STOPPED, AsJson, app
from medtransfer.cli.studies.care import AnyStudy, StudyPlace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medtransfer.study.record.differences import Difference
    from medtransfer.study.record.drift import Drift
    from medtransfer.study.record.reproduce import Reproduction


@app.command()
def drift(where: AnyStudy = None, as_json: AsJson = False) -> None:
    """Show what differs now from a study's latest run: code, packages, hardware, settings, data."""
    from medtransfer.study.record.drift import study_drift
    from medtransfer.study.status import find_study
    from medtransfer.study.yaml_file import read_study

    is_file = where is not None and where.suffix in (".yaml", ".yml")
    outcome = study_drift(find_study(where), read_study(where) if where and is_file else None)
    print(json.dumps(outcome.plain())) if as_json else _print_drift(outcome)
    if outcome.differences:
        raise typer.Exit(EXIT_DIFFERS)


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(help="Id of a finished run.", show_default=False)],
    study: StudyPlace = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the repetition; reproduced/RUN by default.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a finished run again and compare it: exit code 0 if equal to the bit, else 1."""
    from medtransfer.cli.display import display
    from medtransfer.study.execution.stopped import StudyStopped
    from medtransfer.study.record.reproduce import reproduce_run
    from medtransfer.study.status import find_study

    try:
        with display(as_json=False) as on_event:
            reproduction = reproduce_run(find_study(study), run, out, on_event)
    except StudyStopped:
        print("Stopped. Run the same command again to resume.")
        raise typer.Exit(EXIT_STOPPED) from None
    print(json.dumps(reproduction.plain())) if as_json else _print_reproduction(reproduction)
    if not reproduction.is_equal:
        raise typer.Exit(EXIT_DIFFERS)


def _print_drift(outcome: "Drift") -> None:
    """Print what differs, and what could not be compared."""
    from medtransfer.cli.display import wrapped

    _print_differences(outcome.differences)
    for note in outcome.notes:
        print(wrapped(note))
    if not outcome.differences:
        print("Nothing that was compared differs from the latest run.")


def _print_reproduction(reproduction: "Reproduction") -> None:
    """Print each part of a run beside its repetition, then the circumstances."""
    for part in reproduction.parts:
        words = {True: "equal to the bit", False: "not equal", None: "not compared"}
        detail = f": {part.detail}" if part.detail else ""
        digest = f" (SHA-256 {part.then[:12]}…)" if part.is_equal and part.then else ""
        print(f"{part.name} {words[part.is_equal]}{digest}{detail}")
    if reproduction.circumstances:
        print("Circumstances that differ:")
        _print_differences(reproduction.circumstances)
    else:
        print("All recorded circumstances are the same.")
    print(f"Repetition: {reproduction.folder}")


def _print_differences(items: "Sequence[Difference]") -> None:
    """Print circumstances then and now, one a line."""
    from medtransfer.cli.display import print_table

    if items:
        print_table(("circumstance", "then", "now"), [item.texts() for item in items])


@app.command("export-log")
def export_log(
    where: AnyStudy = None,
    to: Annotated[
        str, typer.Option("--to", help="Format: csv, tensorboard, mlflow or wandb.")
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder; log-FORMAT by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write histories and settings of a study's runs for other programs, without a network."""
    from medtransfer.study.record.export_log import export_log
    from medtransfer.study.status import find_study

    exported = export_log(find_study(where), out or Path(f"log-{to}"), to)
    if as_json:
        print(json.dumps(exported.plain()))
    else:
        print(f"{exported.folder}: {exported.runs:,} runs, {exported.values:,} values")
