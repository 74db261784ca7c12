"""Command that shows a study in progress in a browser: watch."""

from typing import Annotated

import typer

from medtransfer.cli.app import app
from medtransfer.cli.studies.care import AnyStudy


@app.command()
def watch(
    where: AnyStudy = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on this machine; 0 for any that is free.")
    ] = 8377,
) -> None:
    """Show a study's runs and curves on a local web page that loads itself again, until Ctrl-C."""
    from medtransfer.report.live.live_server import watch_study
    from medtransfer.study.status import find_study

    watch_study(find_study(where), port, _announce)


def _announce(address: str) -> None:
    """Print the page's address."""
    print(f"{address}   (this machine alone; Ctrl-C ends it)", flush=True)
