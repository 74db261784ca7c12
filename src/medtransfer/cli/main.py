"""``medtransfer COMMAND``: what a user can mend is printed without a traceback."""

import sys

from medtransfer.cli import evaluate, models, prepare, sources, study
from medtransfer.cli.app import EXIT_USER, app
from medtransfer.errors import MedTransferError

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
    evaluate.evaluate,
    evaluate.rank,
    evaluate.savings,
    evaluate.metrics,
    models.ladder,
    models.fetch,
    models.schema,
    models.doctor,
)
"""In the order in which a user meets them."""


def main() -> None:
    """Run the command line and exit."""
    app.registered_commands.sort(key=lambda command: COMMANDS.index(command.callback))  # type: ignore[arg-type]
    try:
        app()
    except MedTransferError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_USER)
