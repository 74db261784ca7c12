"""The command line: ``medtransfer COMMAND``. Commands import what they need when they run."""

import sys

import click
import typer

from medtransfer.errors import MedTransferError

EXIT_USER = 2
"""Something a user can mend."""
EXIT_STOPPED = 75
"""Stopped with its state saved; run again to go on (EX_TEMPFAIL, which Slurm can requeue on)."""
EXIT_INTERRUPTED = 130
"""Ctrl-C where nothing was running."""

app = typer.Typer(
    name="medtransfer",
    help="Which pre-trained network to fine-tune on your medical images, and how far to trust it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what a user can mend is printed without a traceback."""
    from medtransfer.cli import data, info, study  # each registers its commands

    del data, info, study
    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USER)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except MedTransferError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_USER)
    except KeyboardInterrupt:
        print("Interrupted. What was finished is kept.", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)
