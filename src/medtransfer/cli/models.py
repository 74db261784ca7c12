"""Commands that tell: ladder, fetch, schema, doctor."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medtransfer.cli.app import EXIT_STOPPED, app

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for machines.")]


@app.command()
def ladder(as_json: AsJson = False) -> None:
    """Every rung with its facts, and whether its weights are on this machine."""
    from medtransfer.cli.display import print_table
    from medtransfer.models.ladder import LADDER
    from medtransfer.models.weight_files import is_available

    if as_json:
        print(json.dumps([_rung(rung, here=is_available(rung)) for rung in LADDER.values()]))
        return
    rows = [
        [
            rung.name,
            rung.pretraining,
            f"{rung.images:,}" if rung.images else "–",
            f"{(rung.architecture.parameters or 0) / 1e6:.1f} M",
            _place(rung),
            rung.licence or "–",
        ]
        for rung in LADDER.values()
    ]
    head = ("rung", "pre-training", "images", "parameters", "weights", "licence")
    print_table(head, rows, right=(2, 3))
    for rung in LADDER.values():
        if rung.note:
            print(f"{rung.name}: {rung.note}")
    print(
        "Open forms: timm/<model> (any pre-trained timm model), scratch/timm:<model>, "
        "file/<architecture> with `weights:`."
    )


@app.command()
def fetch(
    rungs: Annotated[list[str], typer.Argument(help="Rungs whose weights to download.")],
    to: Annotated[
        Path | None,
        typer.Option(help="Folder for weights; $MEDTRANSFER_WEIGHTS or the user's cache."),
    ] = None,
) -> None:
    """Download weights from the hub; the only command that opens a connection."""
    from medtransfer.models.own_rungs import weights_folder
    from medtransfer.models.weight_files import fetch as fetch_weights

    for rung in rungs:
        print(f"{rung}: {fetch_weights(rung, to or weights_folder())}")


@app.command()
def schema() -> None:
    """The JSON schema of study.yaml, for editors."""
    from medtransfer.study.config import Study

    print(json.dumps(Study.model_json_schema(), indent=2))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine has: versions, device, precision, decoders, weights, disk."""
    from medtransfer.cli.doctor import examine

    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    width = max(len(name) for name in found)
    for name, value in found.items():
        print(f"{name:<{width}}  {value}")


def _place(rung: Any) -> str:
    from medtransfer.models.weight_files import is_available

    if rung.is_random:
        return "–"
    return "here" if is_available(rung) else f"not here ({rung.source})"


def _rung(rung: Any, *, here: bool) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(rung), "weights_here": here}


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
    from medtransfer.pretraining.run import PretrainingStopped, pretrain
    from medtransfer.study.yaml_file import read_pretrain

    run = read_pretrain(recipe)
    try:
        with display(as_json=as_json) as watch:
            folder = pretrain(run, out, watch)
    except (PretrainingStopped, KeyboardInterrupt):
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    if not as_json:
        print(f"Rung:   own/{run.name}   (name it under `rungs:` in a study)")
        print(f"Card:   {folder.path / 'README.md'}")
