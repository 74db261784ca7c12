"""``medtransfer COMMAND``: errors that a user can fix are printed without a traceback."""

import atexit
import os
import sys
import traceback
from io import TextIOWrapper

from medtransfer.cli import evaluate, integrity, models, prepare, size, sources, study
from medtransfer.cli.app import EXIT_BUG, EXIT_STOPPED, EXIT_USER, app
from medtransfer.cli.bundles import export, gallery, monitor, predict, serve, validate
from medtransfer.cli.studies import auto, care, compare, forget, plan, record, watch
from medtransfer.errors import MedTransferError, shown, system_fault
from medtransfer.interruption import StopRequested, ignore_signals, interruptible

COMMANDS = (
    study.demo,
    sources.sources,
    sources.import_data,
    sources.join,
    prepare.init,
    prepare.check,
    prepare.prepare,
    auto.auto,
    models.pretrain,
    models.features,
    plan.plan,
    study.run,
    study.status,
    watch.watch,
    care.logs,
    care.cancel,
    care.retry,
    care.gc,
    forget.forget,
    record.drift,
    record.reproduce,
    record.export_log,
    study.report,
    study.recommend,
    export.export,
    export.show,
    predict.predict,
    validate.validate,
    validate.adapt,
    monitor.monitor,
    serve.serve,
    gallery.gallery,
    integrity.fsck,
    evaluate.evaluate,
    compare.compare,
    compare.leaderboard,
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
DEBUG = "MEDTRANSFER_DEBUG"
"""Environment variable that shows the messages of unexpected errors."""


def main() -> None:
    """Run the command line and exit."""
    _use_utf8()
    atexit.register(ignore_signals)  # taking the libraries down takes a while
    commands = {command.callback: command for command in app.registered_commands}
    app.registered_commands = [commands[callback] for callback in COMMANDS]
    try:
        with interruptible():
            app()
    except MedTransferError as error:
        print(shown(str(error)), file=sys.stderr)
        sys.exit(EXIT_USER)
    except StopRequested:
        print("Stopped. Run the same command again to resume.", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except Exception as error:
        if (sentence := system_fault(error)) is not None:
            print(sentence, file=sys.stderr)
            sys.exit(EXIT_USER)
        if os.environ.get(DEBUG):
            raise
        print(bug_text(error), end="", file=sys.stderr)
        sys.exit(EXIT_BUG)


def bug_text(error: BaseException) -> str:
    """Traceback of an unexpected error and of its causes, without their messages.

    A message of a library may quote a cell of a table: ``could not convert 'DOE^JANE'``.
    """
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines = "".join(traceback.format_tb(cause.__traceback__))
        parts.insert(0, f"Traceback (most recent call last):\n{lines}{type(cause).__qualname__}\n")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(parts) + (
        "This is a bug. Its message is left out, since it may quote a patient's data: set "
        f"{DEBUG}=1 to see it.\n"
    )


def _use_utf8() -> None:
    """Names of files are UTF-8 in every locale, and what a terminal cannot show is escaped."""
    if sys.getfilesystemencoding() != "utf-8":
        variables = {**os.environ, "PYTHONUTF8": "1"}
        arguments = [sys.executable, "-X", "utf8", "-m", "medtransfer", *sys.argv[1:]]
        os.execve(sys.executable, arguments, variables)  # noqa: S606 — this program again
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")
