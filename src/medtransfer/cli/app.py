"""The command line's application and its exit codes; commands add themselves to it."""

import typer

EXIT_USER = 2
"""Something a user can mend."""
EXIT_STOPPED = 75
"""Stopped with its state saved; run again to go on (EX_TEMPFAIL, which Slurm can requeue on)."""

app = typer.Typer(
    name="medtransfer",
    help="Which pre-trained network to fine-tune on your medical images, and how far to trust it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
