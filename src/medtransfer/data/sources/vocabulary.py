"""Shared names of targets, one vocabulary per part of medicine.

Two cohorts can be tested with one model only if their targets are called the same and mean the
same. Each source says under which shared name a target of its goes; what has none is left out,
counted and said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from medtransfer.data.sources.source import Domain, ImportedSource, Source
from medtransfer.errors import ConfigError, plural
from medtransfer.tables.manifest import label_text

CHEST = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
    "Support Devices",
    "No Finding",
)
"""The 18 names of torchxrayvision in its order, and two that are no disease."""
UNIONS = {"Lung Lesion": ("Nodule", "Mass")}
"""Shared names that also stand for several others, and are written beside these."""
DENSITIES = ("A", "B", "C", "D")
"""Classes of breast density, from almost entirely fatty (A) to extremely dense (D)."""
ULTRASOUND_CLASSES = ("normal", "benign", "malignant")
"""Findings of breast ultrasound; `malignant` alone is also a target of its own."""
SKIN_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC", "OTHER")
"""As in ISIC 2018, task 3, and what is known to be none of them. AKIEC takes actinic keratosis and
squamous cell carcinoma together; BKL is benign keratosis and solar lentigo."""

GRADES = ("0", "1", "2", "3", "4")
"""Grades of diabetic retinopathy, from none to proliferative; in order."""

VOCABULARY: Mapping[Domain, tuple[str, ...]] = {
    "chest": CHEST,
    "breast": ("birads_high", "dense", *DENSITIES, *ULTRASOUND_CLASSES),
    "skin": ("malignant", *SKIN_CLASSES),
    "retina": ("referable", *GRADES),
    "pathology": ("tumor",),
    "any": (),
}
"""Every shared target name, by domain."""

MAX_CLASSES = 8
"""Classes without a shared name that are said one by one; the rest is counted together."""


def harmonise(found: ImportedSource, source: Source) -> ImportedSource:
    """Targets under the shared names of the source's domain.

    Targets that share a name become one: 1 if any is 1, else -1 if any is -1, else 0 if any is 0.
    A class column is put into the shared classes. What has no shared name is left out and said.

    Raises:
        ConfigError: The source has no target with a shared name.
    """
    shared: dict[str, list[str]] = {}
    lost: list[str] = []
    for target in source.targets:
        if target.name not in found.frame.columns or target.name == source.class_column:
            continue
        if target.shared:
            shared.setdefault(target.shared, []).append(target.name)
        else:
            lost.append(target.name)
    classed = bool(source.classes) and source.class_column in found.frame.columns
    if not shared and not classed:
        raise ConfigError(
            f"{source.title} has no target with a shared name. Import it without --harmonise, or "
            "say whose names a table of your own has with --option like=SOURCE."
        )
    notes = [_lost_text(found.frame, name) for name in lost]
    parts = [name for names in shared.values() for name in names]
    frame = found.frame.with_columns(_merged(names, name) for name, names in shared.items())
    gone = [name for name in (*lost, *parts) if name not in shared]
    unions = {
        name: names
        for name, names in UNIONS.items()
        if name not in shared and all(part in shared for part in names)
    }
    frame = frame.drop(gone).with_columns(_united(names, name) for name, names in unions.items())
    notes += [f"'{name}' is {' or '.join(names)}." for name, names in unions.items()]
    frame, class_notes = _with_classes(frame, source)
    return replace(found, frame=frame, notes=(*found.notes, *notes, *class_notes))


def _united(columns: Sequence[str], name: str) -> pl.Expr:
    """A finding that is any of several: 1 if one is 1, else -1 if one is -1, 0 if all are 0."""
    cells = [label_text(column) for column in columns]
    absent = pl.all_horizontal([cell.eq_missing(pl.lit("0")) for cell in cells])
    result = pl.when(absent).then(pl.lit("0"))
    result = result.otherwise(pl.lit(None, dtype=pl.String))
    for mark in ("-1", "1"):
        hit = pl.any_horizontal([cell.eq_missing(pl.lit(mark)) for cell in cells])
        result = pl.when(hit).then(pl.lit(mark)).otherwise(result)
    return result.alias(name)


def _merged(columns: list[str], name: str) -> pl.Expr:
    """The strongest statement of several label columns: 1, then -1, then 0, then nothing."""
    cells = [label_text(column) for column in columns]
    result = pl.lit(None, dtype=pl.String)
    for mark in ("0", "-1", "1"):
        hit = pl.any_horizontal([cell.eq_missing(pl.lit(mark)) for cell in cells])
        result = pl.when(hit).then(pl.lit(mark)).otherwise(result)
    return result.alias(name)


def _lost_text(frame: pl.DataFrame, name: str) -> str:
    positive = int((frame.select(label_text(name)).to_series() == "1").sum())
    filled = frame[name].len() - frame[name].null_count()
    return (
        f"'{name}' has no shared name and is left out ({plural(filled, 'label')}, {positive:,} of "
        "them 1)."
    )


def _with_classes(frame: pl.DataFrame, source: Source) -> tuple[pl.DataFrame, list[str]]:
    """The class column in the shared classes; classes without one become empty, and are said."""
    column, classes = source.class_column, source.classes or {}
    if not classes or column not in frame.columns:
        return frame, []
    without = frame.filter(pl.col(column).is_not_null() & ~pl.col(column).is_in(list(classes)))
    counts = without.group_by(column).len().sort("len", column, descending=[True, False])
    notes = [
        f"Class '{name}' of '{column}' has no shared class and is left empty "
        f"({plural(count, 'row')})."
        for name, count in counts.head(MAX_CLASSES).iter_rows()
    ]
    rest = counts.slice(MAX_CLASSES)
    if len(rest):
        notes.append(
            f"So {'is 1 further class' if len(rest) == 1 else f'are {len(rest)} further classes'} "
            f"of '{column}' ({plural(int(rest['len'].sum()), 'row')})."
        )
    cell = pl.col(column).replace_strict(dict(classes), default=None, return_dtype=pl.String)
    return frame.with_columns(cell.alias(column)), notes
