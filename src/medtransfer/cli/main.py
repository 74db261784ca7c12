"""``medtransfer COMMAND``: what a user can mend is printed without a traceback."""

import sys

from medtransfer.cli import check, data, evaluation, info, sources, study
from medtransfer.cli.app import EXIT_USER, app
from medtransfer.cli.prepare import prepare
from medtransfer.cli.pretrain import pretrain
from medtransfer.errors import MedTransferError

COMMANDS = (
    study.demo, sources.sources, sources.import_data, sources.join,
    data.init, check.check, prepare, pretrain, study.run, study.status,
    study.report,
    evaluation.evaluate, evaluation.rank, evaluation.savings, evaluation.metrics,
    info.ladder, info.fetch, info.schema, info.doctor,
)  # fmt: skip
"""In the order in which a user meets them."""


def main() -> None:
    """Run the command line and exit."""
    app.registered_commands.sort(key=lambda command: COMMANDS.index(command.callback))  # type: ignore[arg-type]
    try:
        app()
    except MedTransferError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_USER)
