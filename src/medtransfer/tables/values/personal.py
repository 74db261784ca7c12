"""Cells that look like personal data: names, dates, addresses, ids.

The audit looks for columns of them, and no message quotes such a cell.
"""

from collections.abc import Collection

import polars as pl

CONTENTS: dict[str, str] = {
    "e-mail addresses": r"^\s*[^@\s]+@[^@\s]+\.[A-Za-z]{2,}\s*$",
    "full dates": (
        r"^\s*((19|20)\d\d[-/.](0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])"
        r"|(0?[1-9]|[12]\d|3[01])[-/.](0?[1-9]|[12]\d|3[01])[-/.](19|20)?\d\d"
        r"|(19[2-9]|20[0-4])\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
        r"|[A-Z][a-z]{2,8}\.? [0-3]?\d,? (19|20)\d\d)([T ].*)?$"
    ),
    "telephone numbers": r"^\s*(\+\d[\d ()/-]{7,}\d|\(?\d{3}\)?[ -]\d{3}[ -]\d{4})\s*$",
    "DICOM person names": r"^\s*[\p{L}'-]{2,}\^[\p{L}'-]+",
    "social security numbers": r"^\s*\d{3}-\d{2}-\d{4}\s*$",
}
"""Patterns of cells with personal data."""
SHAPES = (
    *CONTENTS.values(),
    r"^\s*(19|20)\d\d\s*$",  # the year of birth
    r"\d{5}",
    r"^\s*\p{Lu}[\p{L}'.-]*,?\s+\p{Lu}[\p{L}'.-]*(\s|$)",
    r"^\s*\p{L}+,\s*\p{L}+",
    r".{30}",
)
"""Patterns of single cells that may identify a person; a column of them need not be personal."""
MAX_QUOTED = 12
"""A column with more unread values holds names or numbers, and none of them is quoted."""


def quotable(values: Collection[str]) -> list[str]:
    """The values of a column that a message may quote, in order; none if there are many."""
    if len(values) > MAX_QUOTED:
        return []
    cells = pl.Series([*values], dtype=pl.String)
    return cells.filter(~cells.str.contains("|".join(f"(?:{shape})" for shape in SHAPES))).to_list()
