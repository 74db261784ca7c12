"""The option for the number of workers, which several commands share."""

from typing import Annotated

import typer

WorkersOption = Annotated[
    str,
    typer.Option(
        "--workers",
        "-w",
        help="Runs that are carried out at once: a number, or auto for what suits machine and "
        "networks.",
    ),
]


def worker_count(text: str) -> int | None:
    """Number of workers that the option holds; None for ``auto``.

    Raises:
        BadParameter: It is neither.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(f"'{text}' (allowed: a number from 1, or auto)")
    return int(text)
