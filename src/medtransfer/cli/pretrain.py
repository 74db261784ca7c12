"""The command that makes a rung of one's own: pretrain."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import EXIT_STOPPED, app


@app.command()
def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe.", metavar="RECIPE.yaml")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the rung; rungs/NAME by default."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line, for machines.")
    ] = False,
) -> None:
    """Train a network on labelled images of any kind; the result is a rung that studies can name.

    The same command goes on where it stopped.
    """
    from medtransfer.cli.display import display
    from medtransfer.study.document import read_pretrain
    from medtransfer.study.pretraining import PretrainingStopped, run_pretraining

    run = read_pretrain(recipe)
    try:
        with display(as_json=as_json) as watch:
            folder = run_pretraining(run, out, watch)
    except (PretrainingStopped, KeyboardInterrupt):
        print("Stopped. The same command goes on from here.", file=sys.stderr)  # noqa: T201
        raise typer.Exit(EXIT_STOPPED) from None
    if not as_json:
        print(f"Rung:   own/{run.name}   (name it under `rungs:` in a study)")  # noqa: T201
        print(f"Card:   {folder.path / 'README.md'}")  # noqa: T201
