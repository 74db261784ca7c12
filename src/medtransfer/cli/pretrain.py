"""The command that makes a rung of one's own: pretrain."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from medtransfer.cli.app import EXIT_STOPPED, app
from medtransfer.cli.text import duration
from medtransfer.errors import plural

LINE_SECONDS = 30.0
"""Least time between two lines where there is no terminal."""


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
    from medtransfer.study.document import read_pretrain
    from medtransfer.study.pretraining import PretrainingStopped, run_pretraining

    run = read_pretrain(recipe)
    hear = _json_line if as_json else Lines().hear
    try:
        folder = run_pretraining(run, out, hear)
    except (PretrainingStopped, KeyboardInterrupt):
        print("Stopped. The same command goes on from here.", file=sys.stderr)  # noqa: T201
        raise typer.Exit(EXIT_STOPPED) from None
    if not as_json:
        print(f"Rung:   own/{run.name}   (name it under `rungs:` in a study)")  # noqa: T201
        print(f"Card:   {folder.path / 'README.md'}")  # noqa: T201


def _json_line(event: Any) -> None:
    if _is_preparing(event):
        event = {"event": "Preparing", **cast("dict[str, Any]", vars(event))}
    print(json.dumps(event), flush=True)  # noqa: T201


class Lines:
    """How far training is: one line, written over on a terminal, said now and then elsewhere."""

    def __init__(self) -> None:
        self._said = 0.0
        self._what = ""
        self._first: tuple[float, int] | None = None
        self._terminal = sys.stderr.isatty()

    def hear(self, event: Any) -> None:
        """Take in what the run says."""
        if _is_preparing(event):
            self._prepare(event)
        elif event["event"] == "step":
            left = (event["steps"] - event["step"]) * self._seconds_a_step(event)
            score = event["tune_auroc"]
            held = "" if score is None else f", held out {score:.3f}"
            self._say(
                f"step {event['step']:,} of {event['steps']:,}, loss {event['loss']:.3f}{held}, "
                f"{event['images_per_second']:,.0f} images/s, {duration(left)} left",
                last=event["step"] == event["steps"],
            )

    def _prepare(self, event: Any) -> None:
        if self._terminal:
            self._say(f"{event.what}: {event.done:,} of {event.total:,}", last=False)
        elif event.what != self._what:
            self._what = event.what
            self._say(f"{event.what} ({plural(event.total, 'image')})", last=True)

    def _seconds_a_step(self, event: Any) -> float:
        now = time.monotonic()
        if self._first is None:
            self._first = (now, event["step"])
            return 0.0
        begun, step = self._first
        return (now - begun) / max(1, event["step"] - step)

    def _say(self, text: str, *, last: bool) -> None:
        now = time.monotonic()
        if self._terminal:
            print(text.ljust(100), end="\n" if last else "\r", file=sys.stderr, flush=True)  # noqa: T201
        elif last or now - self._said >= LINE_SECONDS:
            self._said = now
            print(text, file=sys.stderr, flush=True)  # noqa: T201


def _is_preparing(event: Any) -> bool:
    """Whether images are being read; all else is a mapping from the worker."""
    return hasattr(event, "what")
