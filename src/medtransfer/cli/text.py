"""Plain text: tables that are never cut whatever the width of the terminal, and durations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medtransfer.errors import printable

if TYPE_CHECKING:
    from medtransfer.study.progress import PretrainStep

MOST_LETTERS = 300


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> None:
    """Print aligned columns.

    Args:
        head: Column titles.
        rows: Cells as text.
        right: Columns set flush right.
    """
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())  # noqa: T201


def one_line(message: str, most: int = MOST_LETTERS) -> str:
    """A message as one line, cut where it is long; `error.json` of its run has it whole."""
    return printable(" ".join(message.split()), most)


def with_whole(message: str, file: Path) -> str:
    """A message as one line; where it is cut, the file that has all of it."""
    cut = one_line(message)
    return f"{cut} All of it: {file}" if cut.endswith("…") else cut


def duration(seconds: float | None) -> str:
    """``0:42``, ``1:02:03``; a dash where it is not known."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def pretraining(step: "PretrainStep") -> str:
    """How far pre-training is, on one line."""
    score = step.held_out_score
    parts = [
        f"step {step.step:,} of {step.steps:,}",
        f"loss {step.loss:.3f}",
        *([] if score is None else [f"score held out {score:.3f}"]),
        f"{step.images_per_second:,.0f} images/s",
        f"{duration(step.seconds_left)} left",
    ]
    return ", ".join(parts)
