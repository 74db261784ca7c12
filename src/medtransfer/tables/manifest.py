"""Table 1, the manifest: one row per image.

A *case* is the unit that gets a prediction, a *patient* the unit that is split and resampled, a
*cohort* the source of images. Every other column is a target or an attribute, as the study says.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.errors import plural, printable, suggestion
from medtransfer.tables.chunks import (
    ambiguous_owners,
    hashes_of,
    rows_where,
    sorted_shares,
)
from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    duplicates,
    name_faults,
    raise_faults,
    read_noted_frame,
    rows_of,
    typed,
    without_blanks,
    wrong_cells,
)
from medtransfer.tables.values.missing_words import (
    missing_words,
    patient_faults,
    without_words,
)
from medtransfer.tables.values.names import unshowable
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.spellings import unicode_faults
from medtransfer.tables.values.value_map import (
    ValueMap,
    absent_columns,
    class_advice,
    map_values,
    words_advice,
)

SPLITS = ("train", "tune", "test")
LABEL_CELLS = ("1", "0", "-1", "empty")
SOFT_LABELS = (
    "'{name}' is between 0 and 1 in {rows}: such soft labels are not trained on unless "
    "`targets: {{{name}: {{fractions: train}}}}` asks for it. Or write -1 there and give its value "
    "to all of them with `targets: {{{name}: {{uncertain: soft(0.7)}}}}`, or write the majority "
    "and give what each reader said with `readings:`"
)

MANIFEST_CONTRACT = Contract(
    "Manifest",
    (
        Column("image_id", "text", "Name of the image, unique in the table.", is_id=True),
        Column(
            "path",
            "text",
            "Image file, relative to the manifest's folder (or to `data.image_root`); not needed "
            "with an `image` column.",
            required=False,
            is_id=True,
        ),
        Column(
            "image",
            "bytes",
            "The encoded image itself (PNG, JPEG or DICOM), instead of `path`; Parquet only.",
            required=False,
        ),
        Column(
            "frame",
            "integer",
            "Frame of a multi-frame DICOM file, counted from 1; rows may share a file.",
            required=False,
            filled=False,
        ),
        Column(
            "case_id",
            "text",
            "The unit that gets a prediction; one to many images share it.",
            is_id=True,
        ),
        Column("patient_id", "text", "The unit that is split and resampled.", is_id=True),
        Column(
            "cohort", "text", "Source of the image: hospital, country, scanner fleet.", shown=True
        ),
        Column(
            "split",
            "text",
            "Use of the patient; leave the column out to have it assigned.",
            required=False,
            allowed=SPLITS,
        ),
        Column(
            "view", "text", "Projection, e.g. PA, MLO.", required=False, filled=False, is_id=True
        ),
        Column(
            "laterality",
            "text",
            "L or R; words for sides in many languages are read.",
            required=False,
            filled=False,
            is_id=True,
        ),
    ),
)
OUTSIDE_ROOT = r"^(?s:[/\\]|.:)|(^|[/\\])\.\.([/\\]|$)"
"""A path that is absolute, on POSIX or on Windows, or that contains `..`."""
SIDES = ("view", "laterality")
"""Reserved columns that may be reported by."""
RESERVED = frozenset(column.name for column in MANIFEST_CONTRACT.columns)


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    Attributes:
        frame: One row per image, sorted by `image_id`; ids as text; `row` is the row number in
            the file; no `image` column (see `embedded`).
        path: The file it came from.
        root: Folder that `path` cells are relative to.
        embedded: True if the images are in the file's `image` column.
        notes: Sentences on cells that were mapped, read as missing, or kept as they stand.
    """

    frame: pl.DataFrame
    path: Path
    root: Path
    embedded: bool
    notes: tuple[str, ...] = ()

    @property
    def has_images(self) -> bool:
        """False for a table of cases alone."""
        return self.embedded or "path" in self.frame.columns

    def without_images(self) -> "Manifest":
        """The same rows without the places of their images."""
        frame = self.frame.drop("path", strict=False)
        return replace(self, frame=frame, embedded=False)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.frame)


def read_manifest(
    path: Path | str,
    *,
    targets: Sequence[str] = (),
    class_column: str | None = None,
    attributes: Sequence[str] = (),
    image_root: Path | None = None,
    values: ValueMap | None = None,
    fractions: Collection[str] = (),
    whole: bool = True,
    images: bool = True,
) -> Manifest:
    """Read and check a manifest; report all faults at once, with row numbers.

    Args:
        path: ``.csv`` or ``.parquet``.
        targets: Columns whose cells must be 1, 0, -1 or empty.
        class_column: Column that must hold a class name, for single-label tasks; `targets` are
            then the class names it may hold.
        attributes: Columns that must exist.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to write in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        fractions: Targets whose cells may also be between 0 and 1.
        whole: False if the table is one of several, of which each may lack columns of `values`.
        images: True if the table must name its images.

    Returns:
        The manifest, its rows sorted by `image_id`, its cells read as `values.reading` says.

    Raises:
        TableError: The table does not keep its contract.
    """
    path = Path(path)
    named = [*([class_column] if class_column else targets), *attributes]
    table = read_noted_frame(path, MANIFEST_CONTRACT, skip=("image",), named=named)
    frame = table.frame
    embedded = path.suffix.lower() == ".parquet" and "image" in pl.read_parquet_schema(path)
    roles = Roles(() if class_column else targets, class_column, targets, attributes)
    faults = absent_columns(frame, values or {}) if whole else []
    frame, notes = map_values(frame, values or {})
    cells = read_cells(frame, readable_columns(frame), roles, values)
    frame = cells.frame
    faults += [*check_columns(frame, MANIFEST_CONTRACT), *cells.faults]
    if images and not {"path", "image"} & {*frame.columns, *(["image"] if embedded else [])}:
        faults.append("it has neither a 'path' nor an 'image' column")
    if not {"case_id", "patient_id", "cohort"} & set(frame.columns):
        faults.append(
            "it has none of a manifest's ids: `medtransfer import csv FOLDER` makes a manifest of "
            "a table with other column names"
        )
    faults += named_column_faults(frame, class_column, targets, attributes, fractions=fractions)
    frame = typed(frame, MANIFEST_CONTRACT)
    faults += duplicates(frame, ["image_id"]) + unicode_faults(frame) + _case_faults(frame)
    faults += patient_faults(frame)
    faults += _frame_faults(frame) + ([] if embedded else _path_faults(frame))
    raise_faults(MANIFEST_CONTRACT, path, faults)
    root = (image_root or path.parent).resolve()
    return Manifest(_by_image(frame), path, root, embedded, (*table.notes, *notes, *cells.notes))


def manifest_faults(frame: pl.DataFrame) -> list[str]:
    """Faults that `read_manifest` would find in a table.

    Args:
        frame: One row per image, with a `row` column; images in `image` or paths in `path`.
    """
    faults = check_columns(frame, MANIFEST_CONTRACT)
    if not {"image", "path"} & set(frame.columns):
        faults.append("it has neither a 'path' nor an 'image' column")
    if faults:
        return faults
    frame = without_blanks(typed(frame, MANIFEST_CONTRACT))
    faults = [*duplicates(frame, ["image_id"]), *unicode_faults(frame), *_case_faults(frame)]
    return faults + ([] if "image" in frame.columns else _path_faults(frame))


def label_text(column: str) -> pl.Expr:
    """A label cell as one of ``1``, ``0``, ``-1`` or null; anything else as it stands.

    Whole numbers lose their decimals: a column with gaps is often stored as ``1.0``.
    """
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text.str.replace(r"^(-?\d+)\.0+$", "$1")).alias(column)


def group_text(cells: pl.Series) -> pl.Series:
    """Groups of an attribute as text; whole numbers lose their decimals, as labels do."""
    text = cells.cast(pl.String).str.strip_chars()
    return text.str.replace(r"^(-?\d+)\.0+$", "$1") if cells.dtype.is_float() else text


def free_columns(frame: pl.DataFrame) -> list[str]:
    """Columns that are neither reserved nor the row number: candidates for targets, attributes."""
    return [name for name in frame.columns if name not in RESERVED and name != ROW]


def readable_columns(frame: pl.DataFrame) -> list[str]:
    """Columns whose cells may be missing words or have several spellings: all but ids and paths."""
    return [*free_columns(frame), *(name for name in SIDES if name in frame.columns)]


def _by_image(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows sorted by `image_id`, column by column: memory never holds the table twice."""
    if frame["image_id"].is_sorted():
        return frame
    images = frame["image_id"]
    order = np.concatenate([rows[images.gather(rows).arg_sort()] for rows in sorted_shares(images)])
    del images
    names = frame.columns
    return pl.DataFrame([frame.drop_in_place(name).gather(order) for name in names])


def named_column_faults(
    frame: pl.DataFrame,
    class_column: str | None,
    targets: Sequence[str],
    attributes: Sequence[str],
    *,
    fractions: Collection[str] = (),
) -> list[str]:
    """Faults of the columns that a study names, in the order in which it names them.

    Args:
        frame: The table after `read_cells`, with a `row` column.
        class_column: Column of a class name, for single-label tasks.
        targets: Columns of labels, or the class names.
        attributes: Columns to report by.
        fractions: Targets whose cells may also be between 0 and 1.
    """
    wanted = [(name, "attribute") for name in attributes]
    wanted += [(class_column, "class column")] if class_column else [(t, "target") for t in targets]
    faults: list[str] = []
    for name, role in wanted:
        if name not in frame.columns:
            hint = suggestion(name, free_columns(frame))
            shown = printable(name, 80)
            faults.append(f"{role} '{shown}' is not a column{'. ' + hint if hint else ''}")
        elif name in RESERVED - {*SIDES}:
            faults.append(f"{role} '{name}' is a reserved column")
        elif role == "target":
            faults += _label_faults(frame, name, fractions=name in fractions)
        elif role == "class column":
            faults += _class_faults(frame, name, targets)
        else:
            faults += name_faults(frame, name)
    return [*faults, *unshowable(name for name, _ in wanted)]


def _label_faults(frame: pl.DataFrame, name: str, *, fractions: bool) -> list[str]:
    cells, allowed = frame, [*LABEL_CELLS]
    if fractions:
        cells = frame.with_columns(pl.when(~is_fraction(name)).then(pl.col(name)).alias(name))
        allowed.append("a number from 0 to 1")
    faults = _other_cells(cells, name, ["1", "0", "-1"], allowed)
    is_word = ~label_text(name).str.contains(r"^[-+]?[\d.,]+$")
    if faults and frame.select(is_word.any()).item():
        faults[-1] = f"{faults[-1]}; {words_advice(name)}"
    soft = frame.select(is_fraction(name).sum()).item()
    if soft and not fractions:
        faults.append(SOFT_LABELS.format(name=printable(name, 80), rows=plural(soft, "row")))
    return faults


def is_fraction(name: str) -> pl.Expr:
    """True for label cells between 0 and 1."""
    cells = label_text(name).cast(pl.Float64, strict=False)
    return ((cells > 0) & (cells < 1)).fill_null(value=False)


def _class_faults(frame: pl.DataFrame, name: str, classes: Sequence[str]) -> list[str]:
    if frame.schema[name] == pl.String():  # missing words have a fault of their own
        frame = without_words(frame, name, missing_words(frame[name]))
    faults = _other_cells(frame, name, classes, [*classes, "empty"])
    advice = f"name it among the targets, or empty its cells with {class_advice(name)}"
    return [f"{fault}; {advice}" for fault in faults]


def _other_cells(
    frame: pl.DataFrame, name: str, values: Sequence[str], allowed: Sequence[str]
) -> list[str]:
    cell = label_text(name)
    owners = [c for c in ("patient_id",) if c in frame.columns and c != name]
    wrong = rows_where(
        frame.select(ROW, *owners, name), cell.is_not_null() & ~cell.is_in(list(values))
    )
    return wrong_cells(wrong.with_columns(cell), name, allowed)


def _case_faults(frame: pl.DataFrame) -> list[str]:
    """A case belongs to one patient, one cohort and one split."""
    faults: list[str] = []
    for owner in ("patient_id", "cohort", "split"):
        if {owner, "case_id"} <= set(frame.columns):
            conflicting = _conflicting_cases(frame, owner)
            if not conflicting.is_empty():
                cases = plural(conflicting["case_id"].n_unique(), "case")
                hint = " (is case_id unique only within a patient?)" * (owner == "patient_id")
                faults.append(
                    f"{cases} with images of different '{owner}', {rows_of(conflicting)}{hint}"
                )
    return faults


def _conflicting_cases(frame: pl.DataFrame, owner: str) -> pl.DataFrame:
    """Rows of cases with several values of a column."""
    if not len(ambiguous_owners(*hashes_of(frame, pl.col("case_id"), pl.col(owner)))):
        return frame.clear()
    conflicting = frame.select("case_id", owner).drop_nulls().unique()
    conflicting = conflicting.filter(pl.col("case_id").is_duplicated())
    return frame.join(conflicting, on="case_id", how="semi", maintain_order="left")


def _frame_faults(frame: pl.DataFrame) -> list[str]:
    """Frames are counted from 1."""
    if frame.schema.get("frame") != pl.Int64():
        return []
    return wrong_cells(frame.filter(pl.col("frame") < 1), "frame", ("whole numbers from 1",))


def _path_faults(frame: pl.DataFrame) -> list[str]:
    """Absolute paths and ``..``: paths must stay below the root."""
    if "path" not in frame.columns:
        return []
    outside = frame.filter(pl.col("path").str.contains(OUTSIDE_ROOT))
    if outside.is_empty():
        return []
    fault = (
        f"'path' is absolute or leaves the folder with '..' in {plural(len(outside), 'row')}, "
        f"first in row {outside[ROW][0]} (allowed: relative to the manifest's folder, or to "
        "data.image_root)"
    )
    return [fault]
