"""The command that checks the files of a study: fsck."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import EXIT_USER, AsJson, app
from medtransfer.cli.completion.names import complete_studies
from medtransfer.errors import plural, printable

if TYPE_CHECKING:
    from medtransfer.integrity.fsck import FsckReport


@app.command()
def fsck(
    study: Annotated[
        Path,
        typer.Argument(
            help="The study's folder.", metavar="FOLDER", autocompletion=complete_studies
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Compare every file of a study's folder with its seals; nothing is changed."""
    from medtransfer.integrity.fsck import fsck as check_files

    report = check_files(study)
    if as_json:
        print(json.dumps(report.plain()))
    else:
        _print_report(report)
    if not report.passed:
        raise typer.Exit(EXIT_USER)


def _print_report(report: "FsckReport") -> None:
    """Print faults, then notes, then the outcome."""
    from medtransfer.disk import size_text

    for fault in report.faults:
        print(f"{printable(fault.file, 200)} {fault.fault}. {fault.remedy}")
    for note in report.notes:
        print(printable(note, 400))
    count = f"{plural(report.files, 'file')} compared ({size_text(report.nbytes)})"
    faults = plural(len(report.faults), "fault") if report.faults else "no fault"
    print(f"{count}: {faults}.")
