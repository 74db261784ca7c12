"""Command that selects a network within a time: from a manifest to what to deploy."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import EXIT_STOPPED, AsJsonLines, Out, Values, app
from medtransfer.cli.completion.names import complete_rungs
from medtransfer.cli.studies.worker_option import WorkersOption, worker_count

if TYPE_CHECKING:
    from medtransfer.automatic.auto_study import AutoOutcome


@app.command()
def auto(
    source: Annotated[
        Path,
        typer.Argument(
            help="The manifest, for which rules set everything; or a study file, whose settings "
            "stand.",
            metavar="MANIFEST|STUDY.yaml",
        ),
    ],
    out: Out = None,
    hours: Annotated[
        float | None,
        typer.Option(
            help="Time that it may take; by default 0.25 on a CPU, 8 with a GPU.",
            show_default=False,
        ),
    ] = None,
    rung: Annotated[
        list[str] | None,
        typer.Option(
            help="Rung to try, in place of all whose weights are on this machine; repeat for more.",
            show_default=False,
            autocompletion=complete_rungs,
        ),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Manifests only: folder that `path` cells are relative to.", show_default=False
        ),
    ] = None,
    values: Values = None,
    workers: WorkersOption = "auto",
    as_json: AsJsonLines = False,
) -> None:
    """Select a network within a time: probes, then halving on the tuning split, then the test."""
    from medtransfer.automatic.auto_study import auto_study
    from medtransfer.cli.display import display
    from medtransfer.study.execution.stopped import StudyStopped
    from medtransfer.tables.values.value_map import read_value_map

    try:
        with display(as_json=as_json) as on_event:
            outcome = auto_study(
                source,
                out,
                on_event,
                hours=hours,
                rungs=rung or (),
                image_root=image_root,
                values=read_value_map(values or []),
                workers=worker_count(workers),
            )
    except StudyStopped as stopped:
        print(f"Stopped; {stopped}", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to resume.", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    if as_json:
        print(json.dumps({"event": "Advice", **outcome.advice.plain()}))
    else:
        _print_outcome(outcome)


def _print_outcome(outcome: "AutoOutcome") -> None:
    """Print the finalists, what to deploy and why, and the next commands."""
    from medtransfer.cli.display import wrapped
    from medtransfer.cli.summary import print_rungs
    from medtransfer.report.reading import load_study_data

    advice = outcome.advice
    print_rungs(load_study_data(outcome.folder))
    way = "as a linear probe" if advice.mode == "linear" else "fine-tuned"
    basis = (
        "recommended by the test cases" if advice.is_recommended else "first on the tuning split"
    )
    print(f"Deploy {advice.rung}, {way} ({basis}).")
    print(wrapped(advice.reason))
    print(f"Report: {outcome.report}   (open it in a browser)")
    print("Next:   " + "\n        ".join(advice.commands))
