"""Cells that a spreadsheet would run as a formula (OWASP ASVS 5.0, 1.2.10).

Only tables that people open in a spreadsheet are guarded, and reading takes the guard off again.
Ids, paths and class names of a manifest stay as they are: other programs read them.
"""

import polars as pl

RISKY = r"^'*[=+\-@\t\r]"
"""Start of a formula; quotes before it count, so that the guard can be taken off again."""
NUMBER = r"^[+-]?\d+(\.\d+)?$"


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """The table with a quote before cells that a spreadsheet would run."""
    texts = _risky_columns(frame)
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(RISKY) & ~pl.col(name).str.contains(NUMBER))
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """The table without the quotes that `guarded` put before cells."""
    texts = _risky_columns(frame)
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(RISKY))
        .then(pl.col(name).str.strip_prefix("'"))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def _risky_columns(frame: pl.DataFrame) -> list[str]:
    """Text columns with a cell that starts as a formula: few distinct texts are searched."""
    return [
        name
        for name, kind in frame.schema.items()
        if kind == pl.String() and frame[name].unique().str.contains(RISKY).any()
    ]
