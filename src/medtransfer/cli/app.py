"""The command line's application, its exit codes, and options that several commands share."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

EXIT_BUG = 1
"""An unexpected error."""
EXIT_DIFFERS = 1
"""A comparison found differences, as `diff` ends."""
EXIT_USER = 2
"""An error that the user can fix."""
EXIT_STOPPED = 75
"""Stopped with its state saved; run again to resume (EX_TEMPFAIL, on which Slurm can requeue)."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
StudyFile = Annotated[Path, typer.Argument(help="The study file.", metavar="STUDY.yaml")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Folder of the study; studies/NAME by default.", show_default=False
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        help="Values to read in place of others: sex=w:F,m:M; repeat for other columns.",
        show_default=False,
    ),
]
PageLanguage = Annotated[
    str,
    typer.Option(
        "--language",
        help="Language of page one and of the clinic's pages: en, de, fr, es or pt. All else "
        "stays English.",
    ),
]

app = typer.Typer(
    name="medtransfer",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"medtransfer {version('medtransfer')}")
        raise typer.Exit


@app.callback()
def describe(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Compare pre-trained networks on your own medical images.

    A rung is a backbone with its weights; the ladder is the list of rungs, from scratch to the
    largest pre-training.
    """
