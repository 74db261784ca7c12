"""Odd rows of a published table: rows that break a rule of it.

Large tables have a few. They are counted, listed by number and left out, with all rows that speak
of the same image or patient: a label made from the rest would be wrong. Above a share of the
table the import stops, since then the table is another one than the source's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import ConfigError, listed, plural
from medtransfer.tables.manifest import LABEL_CELLS, label_text
from medtransfer.tables.schema import ROW, duplicates, rows_of, wrong_cells

MAX_ODD_SHARE = 0.01
"""Share of a table's rows that may be odd."""
MAX_LISTED_ROWS = 200
"""Row numbers in a message; `OddRows.rows` has all."""


@dataclass(frozen=True)
class Breaches:
    """Rows of a table that break a rule.

    Attributes:
        rows: The rows, with their `row`.
        faults: What is wrong with them, a sentence without a full stop each.
    """

    rows: pl.DataFrame
    faults: list[str]


@dataclass(frozen=True)
class Rule:
    """Something that holds for every row of a table as its owners publish it.

    Attributes:
        columns: What it is about; a rule on a column that is not there is passed over.
        breaches: Rows of a table that break it.
    """

    columns: tuple[str, ...]
    breaches: Callable[[pl.DataFrame], Breaches]


@dataclass(frozen=True)
class OddRows:
    """Rows of one table that were left out.

    Attributes:
        file: The table's file name.
        total: Rows of the table.
        rows: Numbers of the rows that break a rule, as a spreadsheet shows them.
        beside: Numbers of further rows left out, of the same image or patient as an odd row.
        faults: What is wrong, a sentence without a full stop each.
    """

    file: str
    total: int
    rows: tuple[int, ...]
    beside: tuple[int, ...]
    faults: tuple[str, ...]

    @property
    def share(self) -> float:
        """Odd rows as a share of the table."""
        return len(self.rows) / self.total if self.total else 0.0

    def sentence(self) -> str:
        """Note for the user: how many rows, why, which."""
        more = f" and {plural(len(self.beside), 'row')} of the same" if self.beside else ""
        count = f"{len(self.rows):,} of {plural(self.total, 'row')}"
        numbers = listed(self.rows, MAX_LISTED_ROWS)
        return (
            f"{self.file}: {count} not as published{more}: left out. {'. '.join(self.faults)}. "
            f"Left out: row{'s' * (len(self.rows) > 1)} {numbers}."
            + (f" Of the same: {listed(self.beside, MAX_LISTED_ROWS)}." if self.beside else "")
        )


def one_of(
    column: str,
    allowed: Sequence[str],
    cell: Callable[[str], pl.Expr] = pl.col,
    separator: str = "",
    shown: Sequence[str] = (),
) -> Rule:
    """Cells are empty or of a closed vocabulary.

    Args:
        column: Whose cells.
        allowed: The vocabulary.
        cell: Spelling of a cell that is looked up, e.g. `label_text`.
        separator: Between the entries of a cell, if it may hold several.
        shown: The vocabulary in messages; `allowed` by default.
    """

    def breaches(frame: pl.DataFrame) -> Breaches:
        cells = frame.select(ROW, cell(column).alias(column))
        if separator:
            cells = cells.with_columns(pl.col(column).str.split(separator)).explode(column)
            cells = cells.with_columns(pl.col(column).str.strip_chars())
        wrong = pl.col(column).is_not_null() & ~pl.col(column).is_in(list(allowed))
        odd = cells.filter(wrong)
        return Breaches(
            odd.select(ROW).unique(), wrong_cells(odd, column, shown or allowed, least=1)
        )

    return Rule((column,), breaches)


def labels(columns: Sequence[str]) -> tuple[Rule, ...]:
    """Cells of label columns are 1, 0, -1 or empty, also as ``1.0``."""
    return tuple(one_of(name, LABEL_CELLS[:3], label_text, shown=LABEL_CELLS) for name in columns)


def shaped(column: str, pattern: str, what: str) -> Rule:
    """Cells are empty or fit a regular expression.

    Args:
        column: Whose cells.
        pattern: The expression.
        what: What is wrong with other cells, e.g. ``is no list such as ['normal']``.
    """
    return where(~pl.col(column).str.contains(pattern), (column,), f"'{column}' {what}")


def single(column: str, per: Sequence[str]) -> Rule:
    """Rows with the same key agree on a column."""
    torn = pl.col(column).drop_nulls().n_unique().over(per) > 1
    return where(torn, (column, *per), f"'{column}' differs within one '{' and '.join(per)}'")


def where(broken: pl.Expr, columns: Sequence[str], fault: str) -> Rule:
    """Rows for which an expression is not true.

    Args:
        broken: True for an odd row; null counts as false.
        columns: What it reads.
        fault: What is wrong with an odd row, without its number.
    """

    def breaches(frame: pl.DataFrame) -> Breaches:
        odd = frame.filter(broken.fill_null(value=False))
        return Breaches(odd.select(ROW), [f"{fault} in {rows_of(odd)}"] if len(odd) else [])

    return Rule(tuple(columns), breaches)


def key_breaches(frame: pl.DataFrame, key: Sequence[str]) -> Breaches:
    """Rows whose key is empty or not unique; of equal rows the first is kept."""
    faults: list[str] = []
    odd = [frame.filter(pl.any_horizontal(pl.col(key).is_null())).select(ROW)] if key else []
    for column in key:
        empty = frame.filter(pl.col(column).is_null())
        if not empty.is_empty():
            count = plural(len(empty), "row")
            faults.append(f"'{column}' is empty in {count}, first in row {empty[ROW][0]}")
    repeats = duplicates(frame, key) if key else []
    if repeats:
        repeated = frame.filter(pl.struct(key).is_duplicated())
        cells = pl.struct(pl.exclude(ROW))
        copies = repeated.filter(~cells.is_first_distinct())
        torn = repeated.filter(cells.n_unique().over(key) > 1)
        odd += [copies.select(ROW), torn.select(ROW)]
    rows = pl.concat(odd).unique() if odd else frame.clear().select(ROW)
    return Breaches(rows, [*faults, *repeats])


def odd_share(options: Mapping[str, str]) -> float:
    """Option ``odd_rows`` as a number.

    Raises:
        ConfigError: It is none from 0 to 1.
    """
    given = options.get("odd_rows") or str(MAX_ODD_SHARE)
    try:
        share = float(given)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"Option 'odd_rows' holds '{given}' (allowed: a share from 0 to 1).")
    return share


def excess(odd: OddRows, limit: float) -> list[str]:
    """Faults of a table with more odd rows than are left out."""
    how_many = f"{len(odd.rows):,} of {plural(odd.total, 'row')} ({odd.share:.1%})"
    verb = "is" if len(odd.rows) == 1 else "are"
    return [
        *(f"{odd.file}: {fault}" for fault in odd.faults),
        f"{odd.file}: {how_many} {verb} not as published (allowed: {limit:.3g}, option odd_rows)",
    ]
