"""``medtransfer COMMAND``: errors that a user can fix are printed without a traceback."""

import sys

from medtransfer.cli import evaluate, integrity, models, prepare, size, sources, study
from medtransfer.cli.app import EXIT_STOPPED, EXIT_USER, app
from medtransfer.errors import MedTransferError
from medtransfer.interruption import StopRequested, interruptible

COMMANDS = (
    study.demo,
    sources.sources,
    sources.import_data,
    sources.join,
    prepare.init,
    prepare.check,
    prepare.prepare,
    models.pretrain,
    study.run,
    study.status,
    study.report,
    integrity.fsck,
    evaluate.evaluate,
    evaluate.rank,
    evaluate.savings,
    size.size,
    evaluate.metrics,
    models.ladder,
    models.fetch,
    models.schema,
    models.doctor,
)
"""In the order in which a user needs them."""


def main() -> None:
    """Run the command line and exit."""
    commands = {command.callback: command for command in app.registered_commands}
    app.registered_commands = [commands[callback] for callback in COMMANDS]
    try:
        with interruptible():
            app()
    except MedTransferError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_USER)
    except StopRequested:
        print("Stopped. Run the same command again to resume.", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
