"""The command line's application and its exit codes; commands add themselves to it."""

from importlib.metadata import version
from typing import Annotated

import typer

EXIT_USER = 2
"""Something a user can mend."""
EXIT_STOPPED = 75
"""Stopped with its state saved; run again to go on (EX_TEMPFAIL, which Slurm can requeue on)."""

app = typer.Typer(
    name="medtransfer",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"medtransfer {version('medtransfer')}")
        raise typer.Exit


@app.callback()
def about(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Which pre-trained network to fine-tune on your medical images, and how far to trust it."""
