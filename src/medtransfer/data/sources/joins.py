"""Joins: always by key, never by order, with both unmatched sides counted."""

from typing import Literal

import polars as pl

from medtransfer.data.sources.source import PATH, Download, Join
from medtransfer.errors import TableError, plural
from medtransfer.tables.schema import duplicates
from medtransfer.tables.values.personal_columns import listed_columns

KEY = "_key"
"""A column of the frames on their way; dropped before a reader gives them back."""


def join_tables(
    left: pl.DataFrame,
    right: pl.DataFrame,
    on: str | tuple[str, ...],
    names: tuple[str, str],
    how: Literal["left", "inner"] = "left",
) -> tuple[pl.DataFrame, Join]:
    """Look the columns of one table up in another.

    Args:
        left: Its rows keep their order.
        right: One row per key; columns that the left has too are left out.
        on: The key's columns, in both.
        names: What the rows of either are called, in the plural.
        how: ``inner`` leaves out rows of the left without a partner.

    Returns:
        The joined table, and the counts.

    Raises:
        TableError: The key is not unique on the right.
    """
    keys = [on] if isinstance(on, str) else list(on)
    if faults := duplicates(right, keys):
        raise TableError(f"{names[1]}: {faults[0]}.")
    news = [column for column in right.columns if column in keys or column not in left.columns]
    matched = left.join(right, on=keys, how="semi").height
    unused = right.join(left, on=keys, how="anti").height
    joined = left.join(right.select(news), on=keys, how=how, maintain_order="left")
    words = " and ".join(keys)
    return joined, Join(*names, words, matched, len(left) - matched, unused)


def locate(
    frame: pl.DataFrame, download: Download, pattern: str, rows: str = "rows"
) -> tuple[pl.DataFrame, Join]:
    """Find the image file of each row; rows of missing files are left out, and counted.

    Args:
        frame: With column `_key`: what a file's path must yield to be the row's.
        download: Whose image files are looked at.
        pattern: Regular expression whose first group is a path's key, e.g. ``([^/]+)$`` for its
            name. Paths that do not fit are not the source's images.
        rows: What the rows are called, in the plural.

    Returns:
        The rows whose file is there, with `path`; and the coverage.

    Raises:
        TableError: No file is there, or several have the same key.
    """
    keys = download.pictures.with_columns(pl.col(PATH).str.extract(pattern).alias(KEY))
    keys = keys.filter(pl.col(KEY).is_not_null())
    asked = keys.join(frame, on=KEY, how="semi")
    twice = asked.filter(pl.col(KEY).is_duplicated())
    if not twice.is_empty():
        folders = twice[PATH].str.replace(r"/?[^/]*$", "").replace("", ".").unique().sort()
        raise TableError(
            f"{plural(twice[KEY].n_unique(), 'image')} of {download.source.title} can be found in "
            f"several folders below {download.folder}: {listed_columns(folders, 8, 'folder')}. "
            "Choose one with --option images=FOLDER."
        )
    joined = frame.drop(PATH, strict=False).join(keys, on=KEY, how="inner", maintain_order="left")
    if joined.is_empty():
        shown = download.source.layout[-1:] or ("an image per row",)
        raise TableError(
            f"No image file of the {plural(len(frame), 'row')} of {download.source.title} is "
            f"below {download.folder} (expected e.g. {shown[0]}; {len(download.pictures):,} other "
            "image files are there). Download images, or name the folder above them."
        )
    lost = len(frame) - len(joined)
    files = joined.group_by(PATH).len()
    join = Join(
        left=rows,
        right="image files",
        key="name",
        matched=len(joined),
        left_only=lost,
        right_only=len(keys) - len(files),
        shared=int((files["len"] > 1).sum()),
    )
    return joined.drop(KEY), join


def coverage(join: Join) -> tuple[str, ...]:
    """Notes on a partial download and on files of several rows; none on a complete one."""
    total = join.matched + join.left_only
    notes: list[str] = []
    if join.shared:
        files = plural(join.shared, "image file")
        notes.append(f"{files} named by several {join.left}: each of them is an image of its own.")
    if not join.left_only:
        return tuple(notes)
    sentence = (
        f"The download is partial: {join.matched:,} of {total:,} {join.left} "
        f"({join.matched / total:.1%}) have their image file here; the others are left out."
    )
    return (sentence, *notes)


def agreed(frame: pl.DataFrame, key: str, column: str) -> tuple[pl.DataFrame, int]:
    """One row per key: the one value its rows agree on, null where they disagree.

    Args:
        frame: Several rows per key; nulls do not count as a value.
        key: Whose rows they are.
        column: What they should agree on.

    Returns:
        `key` and `column`, sorted by key; and how many keys disagree.
    """
    values = frame.group_by(key).agg(pl.col(column).drop_nulls().unique()).sort(key)
    disagree = int((values[column].list.len() > 1).sum())
    single = pl.when(pl.col(column).list.len() == 1).then(pl.col(column).list.first())
    return values.with_columns(single.alias(column)), disagree
