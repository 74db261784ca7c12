"""A folder of images, one sub-folder per class; a split folder may stand above the classes."""

import re

import polars as pl

from medtransfer.data.sources.source import PATH, Download, ImportedSource, Option, Source
from medtransfer.errors import ConfigError, listed, plural
from medtransfer.tables.values.missing_words import missing_words, value_counts
from medtransfer.tables.values.personal import MIN_BEHIND, quotable
from medtransfer.tables.values.personal_columns import identifies, personal_reason
from medtransfer.tables.values.spellings import one_spelling

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "tune",
    "valid": "tune",
    "validation": "tune",
    "tune": "tune",
    "dev": "tune",
    "test": "test",
    "testing": "test",
}
"""Names of split folders, in small letters → the split."""
OWN = (
    "Each image counts as a patient of its own: the folder does not say whose it is. If a patient "
    "has several images, say how a file name tells the patient with --option patient=PATTERN."
)


def read(download: Download) -> ImportedSource:
    """Every image of a class folder, with the class it lies in."""
    download.refuse(download.unreadable_names())
    parts = download.pictures.with_columns(pl.col(PATH).str.split("/").alias("parts"))
    root = download.options["images"].strip("/").count("/") + bool(download.options["images"])
    parts = parts.with_columns(pl.col("parts").list.slice(root))
    parts = parts.with_columns(pl.col("parts").list.first().str.to_lowercase().alias("top"))
    split = bool(len(parts)) and bool(parts["top"].is_in(list(SPLIT_FOLDERS)).all())
    depth = 2 if split else 1
    download.refuse(_torn_splits(parts))
    inside = parts.filter(pl.col("parts").list.len() > depth)
    if inside.is_empty():
        where = f"{download.folder} has {plural(len(parts), 'image')} and none"
        download.refuse([f"{where} in a class folder (expected: {' or '.join(LAYOUT)})"])
    rows = inside.with_columns(
        pl.col("parts").list.get(depth - 1).alias("label"),
        pl.col(PATH).str.replace(r"\.[A-Za-z]+$", "").alias("image_id"),
    )
    names, spelling_notes = one_spelling(rows["label"])
    rows = _with_ids(rows.with_columns(names.str.strip_chars()), download)
    notes = [*spelling_notes] if download.options["patient"] else [*spelling_notes, OWN]
    if loose := len(parts) - len(inside):
        notes.append(f"{plural(loose, 'image')} outside a class folder: left out.")
    classes = rows["label"].unique().sort()
    classes = classes.filter(~classes.is_in([*missing_words(classes, "certain")]))
    download.refuse(_no_classes(rows["label"]))
    counts = value_counts(rows["label"].filter(rows["label"].is_in(classes.implode())))
    named = [name for name in classes if name in quotable(counts)]
    few = len(classes) - len(named)
    more = f"{few} of fewer than {MIN_BEHIND} images" if few else ""
    notes.append(f"Classes: {', '.join(text for text in (listed(named), more) if text)}.")
    if split:
        name = pl.col("top").replace_strict(SPLIT_FOLDERS, return_dtype=pl.String)
        rows = rows.with_columns(name.alias("split"))
    return ImportedSource(rows.drop("parts", "top"), (), (), tuple(notes))


def _torn_splits(parts: pl.DataFrame) -> list[str]:
    """A fault if folders of splits, with classes inside, stand beside folders of classes.

    Args:
        parts: `parts` of each path, and its first one in small letters as `top`.
    """
    inside = parts.filter(pl.col("parts").list.len() > 1).select(
        "top", is_deep=pl.col("parts").list.len() > 2
    )
    is_split = pl.col("top").is_in([*SPLIT_FOLDERS])
    torn = inside.filter(is_split & pl.col("is_deep"))
    beside = inside.filter(~is_split)
    if torn.is_empty() or beside.is_empty():
        return []
    names = listed(torn["top"].unique().sort())
    images = plural(len(beside), "image")
    fault = f"{names} hold folders as splits do, and {images} lie in folders beside them"
    advice = "move these into a split's folder, or take one folder with --option images=FOLDER"
    return [f"{fault}, whose split is not known: {advice}"]


def _no_classes(folders: pl.Series) -> list[str]:
    """A fault if the folders are of patients and not of classes."""
    if not (identifies(folders) or personal_reason(folders)):
        return []
    count = f"{plural(len(folders), 'image')} in {plural(folders.n_unique(), 'folder')}"
    return [f"the folders look like patients and not like classes: {count}"]


def _with_ids(rows: pl.DataFrame, download: Download) -> pl.DataFrame:
    """Image, case and patient; the patient by a pattern on the file's name if one is given."""
    stems = pl.col(PATH).str.extract(r"([^/]+)$")
    pattern = download.options["patient"]
    ids = rows["image_id"]
    if ids.n_unique() < len(ids):  # a.png beside a.jpg
        rows = rows.with_columns(image_id=pl.col(PATH))
    if not pattern:
        return rows.with_columns(case_id=pl.col("image_id"), patient_id=pl.col("image_id"))
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = 0
    if groups != 1:
        raise ConfigError(
            f"--option patient='{pattern}' must be a regular expression with one group, "
            r"e.g. '^(\d+)_' for 0017_left.png."
        )
    rows = rows.with_columns(stems.str.extract(pattern).alias("patient_id"))
    without = rows["patient_id"].null_count()
    download.refuse(
        [f"the patient pattern does not fit the names of {plural(without, 'image')}"]
        if without
        else []
    )
    return rows.with_columns(case_id=pl.col("image_id"))


LAYOUT = ("CLASS/image.png", "train/CLASS/image.png, val/CLASS/image.png, test/CLASS/image.png")
SOURCE = Source(
    name="folder",
    title="A folder of images",
    domain="any",
    read=read,
    licence="yours",
    layout=LAYOUT,
    splits="Folders called train, val (or valid, tune) and test above the classes are the split.",
    attributes={"label": "The class: the name of the folder that the image lies in."},
    options=(
        Option("patient", "Regular expression whose one group is the patient in a file's name."),
    ),
    class_column="label",
)
