"""Informational commands, features and pre-training: ladder, fetch, schema, doctor, features."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import EXIT_STOPPED, AsJson, AsJsonLines, app
from medtransfer.cli.completion.names import complete_rungs
from medtransfer.errors import plural

if TYPE_CHECKING:
    from medtransfer.models.ladder import Rung


@app.command()
def ladder(as_json: AsJson = False) -> None:
    """List all rungs with their facts, and whether their weights are installed."""
    from medtransfer.models.ladder import LADDER, find_rung
    from medtransfer.models.rungs.field import FIELD

    rungs = [*LADDER.values(), *map(find_rung, FIELD)]
    if as_json:
        print(json.dumps([{**asdict(rung), "weights_here": _installed(rung)} for rung in rungs]))
    else:
        _print_ladder(rungs)


@app.command()
def fetch(
    rungs: Annotated[
        list[str],
        typer.Argument(help="Rungs whose weights to download.", autocompletion=complete_rungs),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            help="Folder for weights; by default $MEDTRANSFER_WEIGHTS, else the user's cache."
        ),
    ] = None,
) -> None:
    """Download weights from the hub; no other command opens a connection."""
    from medtransfer.models.own_rungs import weights_folder

    _fetch_all(rungs, to or weights_folder())


@app.command()
def schema() -> None:
    """Print the JSON schema of study.yaml, for editors."""
    from medtransfer.study.config import Study

    print(json.dumps(Study.model_json_schema(), indent=2))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show versions, device, precision, image decoders, weights and free disk."""
    from medtransfer.cli.doctor import examine

    facts = examine()
    width = max(len(name) for name in facts)
    lines = (f"{name:<{width}}  {value}" for name, value in facts.items())
    print(json.dumps(facts) if as_json else "\n".join(lines))


@app.command()
def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe.", metavar="RECIPE.yaml")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the rung; rungs/NAME by default."),
    ] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Pre-train a network on labelled images of any kind, as a rung for later studies.

    Run the same command again to resume.
    """
    from medtransfer.cli.display import display
    from medtransfer.pretraining.run import PretrainingStopped, pretrain
    from medtransfer.study.yaml_file import read_pretrain

    config = read_pretrain(recipe)
    try:
        with display(as_json=as_json) as on_event:
            folder = pretrain(config, out, on_event)
    except (PretrainingStopped, KeyboardInterrupt):
        print("Stopped. Run the same command again to resume.", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    if not as_json:
        print(f"Rung:   own/{config.name}   (name it under `rungs:` in a study)")
        print(f"Card:   {folder.path / 'README.md'}")


@app.command()
def features(
    rung: Annotated[
        str, typer.Argument(help="A rung with a network.", autocompletion=complete_rungs)
    ],
    manifest: Annotated[Path, typer.Argument(help="The manifest, .csv or .parquet.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write, .parquet.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights file of a file/ rung, or another place.", show_default=False),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `path` cells are relative to; the manifest's own folder by default.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            help="Side of the network's input in pixels; by default from the images' median area.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the features of a rung's network for every image, as a rung embeddings/NAME."""
    from medtransfer.cli.bundles.predict import images_display
    from medtransfer.runs.embedded.make import write_features

    with images_display() as progress:
        written = write_features(
            rung,
            manifest,
            out,
            weights=weights,
            image_root=image_root,
            size=size,
            progress=progress,
        )
    if as_json:
        print(json.dumps({**asdict(written), "path": str(written.path)}))
        return
    print(
        f"{written.path}: {plural(written.images, 'image')}, {written.width} features each, of "
        f"images of {written.size} px ({written.seconds:g} s)"
    )
    print("In a study: {rung: embeddings/NAME, features: " + str(written.path) + "}")


def _fetch_all(rungs: list[str], folder: Path) -> None:
    """Fetch rungs one by one, and print each one's file once it is there."""
    from medtransfer.models.weight_files import fetch

    for rung in rungs:
        print(f"{rung}: {fetch(rung, folder)}")


def _print_ladder(rungs: "list[Rung]") -> None:
    from medtransfer.cli.display import print_table

    head = ("rung", "pre-training", "images", "parameters", "weights", "licence")
    rows = [
        [
            rung.name,
            rung.pretraining,
            f"{rung.images:,}" if rung.images else "–",
            f"{rung.architecture.parameters / 1e6:.1f} M" if rung.architecture.parameters else "–",
            _weights_text(rung),
            rung.licence or "–",
        ]
        for rung in rungs
    ]
    print_table(head, rows, right=(2, 3))
    for rung in rungs:
        if rung.note:
            print(f"{rung.name}: {rung.note}")
    print(
        "Open forms: timm/<model> (any pre-trained timm model), scratch/timm:<model>, "
        "file/<architecture> with `weights:`, own/<name>, embeddings/<name> with `features:`. A "
        "name that ends in @stages2 or @mean-variance starts from a part of its weights."
    )


def _installed(rung: "Rung") -> bool:
    from medtransfer.models.weight_files import is_available

    return is_available(rung)


def _weights_text(rung: "Rung") -> str:
    if rung.is_random:
        return "–"
    return "here" if _installed(rung) else f"not here ({rung.source})"
