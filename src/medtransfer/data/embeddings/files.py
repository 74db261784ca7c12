"""Features that another program computed: a Parquet table, or a ``.npy`` array with its ids.

The whole file is checked before any of it is used. Rows are named by number, counted from 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import TableError, fault_list, listed, plural
from medtransfer.files import file_stamp
from medtransfer.sizes.limits import require_memory
from medtransfer.tables.schema import Column, Contract, read_frame

IdColumn = Literal["image_id", "case_id"]
ID_COLUMNS: tuple[IdColumn, ...] = ("image_id", "case_id")
FEATURES = "features"
"""Column of the features, where a table has several columns of lists."""
IDS = Contract(
    "Ids of features",
    tuple(
        Column(name, "text", "Name of a row.", required=False, is_id=True) for name in ID_COLUMNS
    ),
)
MAX_WIDTH = 65_536
SHOWN_ROWS = 5


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features by the id of their image or case.

    Attributes:
        key: Meaning of the ids.
        ids: Unique. N
        values: Finite. [N, D]
    """

    key: IdColumn
    ids: pl.Series
    values: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Length D of a feature vector."""
        return self.values.shape[1]


def read_embeddings(features: Path, ids: Path | None = None) -> Embeddings:
    """Read and check a file of features; report all faults at once, with row numbers.

    Args:
        features: ``.parquet`` with a column `image_id` or `case_id` and one column of lists of
            numbers, or ``.npy`` with one row of numbers for each id.
        ids: For ``.npy``: a ``.csv`` or ``.parquet`` with the ids in the order of the rows. By
            default the table of the same name beside it.

    Returns:
        The features. A file that did not change is read once in a process.

    Raises:
        TableError: The file does not hold features.
    """
    place = _ids_beside(features) if ids is None and _is_array(features) else ids
    return _read(features, place, file_stamp(features), place and file_stamp(place))


@lru_cache(maxsize=2)
def _read(features: Path, ids: Path | None, *_stamps: object) -> Embeddings:
    if not features.is_file():
        raise TableError(f'The features file "{features}" does not exist.')
    match features.suffix.lower():
        case ".parquet" if ids is None:
            return _read_parquet(features)
        case ".npy" if ids is not None:
            return _read_array(features, ids)
        case ".npy":
            raise TableError(
                f'The features "{features.name}" have no ids: name a table with a column image_id '
                "or case_id, one row for each row of the array, with `feature_ids:`, or put it "
                f"beside the array as {features.stem}.csv."
            )
        case ".parquet":
            raise TableError(
                f'The features "{features.name}" hold their own ids: `feature_ids:` is for .npy.'
            )
        case _:
            raise TableError(
                f'The features "{features.name}" end in "{features.suffix}" (allowed: .parquet '
                "with a column of lists, .npy with ids)."
            )


def _is_array(path: Path) -> bool:
    return path.suffix.lower() == ".npy"


def _ids_beside(features: Path) -> Path | None:
    places = [features.with_suffix(suffix) for suffix in (".csv", ".parquet")]
    return next((place for place in places if place.is_file()), None)


def _read_parquet(path: Path) -> Embeddings:
    require_memory(4 * path.stat().st_size, f'The table "{path.name}"', TableError)
    schema = _schema(path)
    lists = [name for name, kind in schema.items() if _holds_vectors(kind)]
    if FEATURES in lists:
        lists = [FEATURES]
    faults = _id_column_faults(list(schema))
    if len(lists) != 1:
        holds = f"the columns {listed(lists)}" if lists else "no such column"
        faults.append(
            "features are one column of lists of numbers, named 'features' if there are several "
            f"(it has {holds})"
        )
    _raise(path, faults)
    key = _id_column(list(schema))
    frame = pl.read_parquet(path, columns=[key, lists[0]])
    vectors = frame[lists[0]]
    faults = [*_id_faults(frame[key]), *_width_faults(vectors)]
    _raise(path, faults)
    width = _lengths(vectors)[0]
    flat = vectors.explode().cast(pl.Float32).to_numpy()
    values = np.ascontiguousarray(flat.reshape(-1, int(width)))
    _raise(path, _value_faults(values))
    return Embeddings(key, _text(frame[key]), values)


def _schema(path: Path) -> dict[str, pl.DataType]:
    try:
        return pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise TableError(
            f'The features "{path.name}" are no Parquet file ({type(error).__name__}).'
        ) from error


def _holds_vectors(kind: pl.DataType) -> bool:
    return isinstance(kind, (pl.List, pl.Array)) and cast("pl.DataType", kind.inner).is_numeric()


def _read_array(path: Path, ids: Path) -> Embeddings:
    try:
        size = 3 * path.stat().st_size  # as stored, as float32, and the sums
        require_memory(size, f'The array "{path.name}"', TableError)
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise TableError(
            f'The features "{path.name}" are no array of numbers ({type(error).__name__}).'
        ) from error
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.shape[1]:
        raise TableError(
            f'The features "{path.name}" have the shape {values.shape} and hold '
            f"{values.dtype.name} (allowed: numbers with two axes, one row for each id)."
        )
    table = read_frame(ids, IDS)
    faults = _id_column_faults(table.columns)
    _raise(ids, faults)
    key = _id_column(table.columns)
    if len(table) != len(values):
        faults.append(
            f"there are {plural(len(table), 'id')} for {plural(len(values), 'row')} of features"
        )
    with np.errstate(over="ignore"):
        small = np.ascontiguousarray(values.astype(np.float32))
    faults += [*_id_faults(table[key]), *_value_faults(small)]
    _raise(path, faults)
    return Embeddings(key, _text(table[key]), small)


def _id_column_faults(columns: Sequence[str]) -> list[str]:
    present = [name for name in ID_COLUMNS if name in columns]
    if len(present) == 1:
        return []
    holds = "both" if present else "neither"
    return [f"ids are one column, image_id or case_id (it has {holds})"]


def _id_column(columns: Sequence[str]) -> IdColumn:
    return next(name for name in ID_COLUMNS if name in columns)


def _id_faults(ids: pl.Series) -> list[str]:
    if ids.dtype.is_float():
        return [f"'{ids.name}' holds numbers with decimals (allowed: text or whole numbers)"]
    texts = _text(ids)
    is_empty = texts.is_null() | (texts == "")
    faults = _row_faults(is_empty, lambda rows: f"'{ids.name}' is empty in {rows}")
    twice = texts.is_duplicated() & ~is_empty
    return faults + _row_faults(twice, lambda rows: f"'{ids.name}' is not unique in {rows}")


def _text(ids: pl.Series) -> pl.Series:
    """Ids as the manifest has them: text without the blanks around it."""
    return ids.cast(pl.String).str.strip_chars()


def _lengths(vectors: pl.Series) -> pl.Series:
    is_array = isinstance(vectors.dtype, pl.Array)
    lengths = vectors.arr.len() if is_array else vectors.list.len()
    return lengths.fill_null(0)


def _width_faults(vectors: pl.Series) -> list[str]:
    if vectors.is_empty():
        return ["it has no row"]
    lengths = _lengths(vectors)
    faults = _row_faults(lengths == 0, lambda rows: f"there are no features in {rows}")
    filled = lengths.filter(lengths > 0)
    if filled.is_empty():
        return faults
    width = int(filled.mode().sort()[0])
    if width > MAX_WIDTH:
        faults.append(f"a vector has {width:,} numbers (allowed: up to {MAX_WIDTH:,})")
    is_other = (lengths > 0) & (lengths != width)
    others = listed([str(size) for size in lengths.filter(is_other).unique().sort()])
    return faults + _row_faults(
        is_other, lambda rows: f"most vectors have {width} numbers, and {others} in {rows}"
    )


def _value_faults(values: NDArray[np.float32]) -> list[str]:
    with np.errstate(invalid="ignore", over="ignore"):
        sums = values.sum(axis=1, dtype=np.float64)  # one pass: finite if and only if all are
    is_wrong = pl.Series(~np.isfinite(sums))
    return _row_faults(
        is_wrong, lambda rows: f"features are missing, NaN or beyond 32-bit numbers in {rows}"
    )


def _row_faults(is_wrong: pl.Series, sentence: Callable[[str], str]) -> list[str]:
    """One sentence on the rows of a mask; none if it has none."""
    rows = is_wrong.arg_true() + 1
    if rows.is_empty():
        return []
    shown = ", ".join(str(row) for row in rows.head(SHOWN_ROWS))
    more = f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return [sentence(f"{plural(len(rows), 'row')}: {shown}{more}")]


def _raise(path: Path, faults: Sequence[str]) -> None:
    if faults:
        title = f'The features "{path.name}" cannot be used'
        raise TableError(fault_list(title, list(faults), "See docs/how-to/use-embeddings.md."))
