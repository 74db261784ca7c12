"""Names that people read, such as those of cohorts and groups: short text that can be shown; ids.

A control character in the name of a cohort can end the program that draws it, and a mark of
direction shows a name as another one.
"""

from collections.abc import Iterable

import polars as pl

from medtransfer.errors import printable

MAX_NAME = 200
"""Most characters of a name."""
UNSHOWABLE = (
    r"[\p{Cc}\x{061C}\x{200E}\x{200F}\x{2028}-\x{202E}\x{2066}-\x{2069}\x{FDD0}-\x{FDEF}"
    r"\x{FFFE}\x{FFFF}]"
)
"""Control characters, marks of direction, line separators, and what XML does not hold."""
MAX_ID = 4096
"""Most characters of an id or a path: systems allow no longer path."""
ALLOWED_ID = f"text of up to {MAX_ID:,} characters without control characters or marks of direction"
ALLOWED_NAME = (
    f"text of up to {MAX_NAME} characters without control characters or marks of direction"
)


def is_no_name(column: str) -> pl.Expr:
    """True for cells of a text column that cannot be shown as a name; null for empty ones."""
    text = pl.col(column).str.strip_chars()
    return text.str.contains(UNSHOWABLE) | (text.str.len_chars() > MAX_NAME)


def is_no_id(column: str) -> pl.Expr:
    """True for cells of a text column that can be no id and no path; null for empty ones."""
    text = pl.col(column).str.strip_chars()
    return text.str.contains(UNSHOWABLE) | (text.str.len_chars() > MAX_ID)


def unshowable(names: Iterable[str]) -> list[str]:
    """One fault for each name of a column that cannot be shown."""
    return [
        f"'{printable(name, 80)}' is no name (allowed: {ALLOWED_NAME})"
        for name in names
        if not can_be_shown(name)
    ]


def can_be_shown(name: str) -> bool:
    """True if a text can be shown as a name."""
    frame = pl.DataFrame({"name": [name]}, schema={"name": pl.String})
    return not frame.select(is_no_name("name")).item()
