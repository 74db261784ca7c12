"""The command that watches a network in use: monitor."""

import json
from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import AsJson, Values, app
from medtransfer.cli.bundles.export import BundleFile, Trusted

EXIT_ALARM = 3
"""A stream has changed."""


@app.command()
def monitor(
    bundle: BundleFile,
    predictions: Annotated[
        list[Path],
        typer.Argument(help="Tables and folders that `predict` wrote, all since the baseline."),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for page, JSON and table.")
    ] = Path("monitor"),
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="Predictions of the time before: a table, a folder, or a folder of `validate`; "
            "the bundle's own cases by default.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Manifest or table with case_id and the targets, as far as labels came.",
            show_default=False,
        ),
    ] = None,
    values: Values = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="Probability, at most, of ever alarming without a change. [default: 0.05]",
            show_default=False,
        ),
    ] = None,
    trusted: Trusted = None,
    as_json: AsJson = False,
) -> None:
    """Watch a network in use: alarm if scores, calls, OOD scores or images have changed.

    The exit code is 0 if nothing has changed, 3 on an alarm, 2 for input that cannot be used.
    """
    from medtransfer.deploy.bundle.reader import read_bundle
    from medtransfer.deploy.monitoring import monitor as watching
    from medtransfer.tables.values.value_map import read_value_map

    watch = watching.monitor(
        read_bundle(bundle, trusted=trusted or ()),
        predictions,
        out,
        baseline=baseline,
        labels=labels,
        values=read_value_map(values or []),
        config=watching.monitor_config(false_alarms),
    )
    print(json.dumps(watching.watch_json(watch)) if as_json else watching.watch_text(watch))
    if watch.alarm:
        raise typer.Exit(EXIT_ALARM)
