"""A commented study.yaml from what a manifest holds: the first step with own data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.data.cases import proposed_attributes
from medtransfer.data.images.scan import absence_text, absent_files
from medtransfer.data.sources.catalog import label_tellers
from medtransfer.errors import StudyError, TableError, listed
from medtransfer.files import write_text
from medtransfer.study.drafting.draft import MIN_LABELLED, Draft
from medtransfer.tables.guessed_targets import (
    CLASS_NAMES,
    MAX_CLASSES,
    class_names,
    guessed_targets,
    label_counts,
    names_class,
    negatives_notes,
    read_classes,
    read_for_study,
    spelled_target,
    values_option,
)
from medtransfer.tables.manifest import (
    Manifest,
    free_columns,
    label_text,
    read_manifest,
)
from medtransfer.tables.values.personal_columns import is_personal_header, listed_columns
from medtransfer.tables.values.spellings import patient_notes
from medtransfer.tables.values.value_map import ValueMap


class NoTargetError(TableError):
    """A manifest without a column that looks like a target."""


@dataclass(frozen=True)
class WrittenStudy:
    """A study file made from a manifest.

    Attributes:
        path: The study file.
        notes: Content of the manifest, in sentences.
        decisions: Comments marked DECIDE, for the user to settle.
        coverage: Cases of each target or class by cohort: `target`, `cohort`, `positive`,
            `negative`, `uncertain`, `empty`.
    """

    path: Path
    notes: tuple[str, ...]
    decisions: int
    coverage: pl.DataFrame


def init_study(
    manifest: Path,
    out: Path | None = None,
    image_root: Path | None = None,
    values: ValueMap | None = None,
) -> WrittenStudy:
    """Write a commented study file from a manifest.

    Args:
        manifest: ``.csv`` or ``.parquet``.
        out: Study file to write; ``study.yaml`` beside the manifest by default.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to read in place of others, by column; written into the study file.

    Returns:
        The file, what the manifest holds, and the number of decisions left to the user.

    Raises:
        TableError: The manifest does not keep its contract, no column looks like a target, or
            images are not below `image_root`.
        StudyError: The file exists already.
    """
    draft = draft_study(manifest, image_root, values)
    if image_root is not None and len(absent := absent_files(draft.manifest)):
        raise TableError(f'"{manifest}" cannot be used: {absence_text(draft.manifest, absent)}.')
    path = out or manifest.parent / "study.yaml"
    if path.exists():
        raise StudyError(f'"{path}" exists already. Move it away, or write elsewhere with --out.')
    text = draft.text(name_of(manifest) or "study", path.parent)
    write_text(path, text)
    frame = draft.manifest.frame
    people = patient_notes(frame, free_columns(frame))
    notes = (*people, *negatives_notes(frame), *draft.found())
    return WrittenStudy(path, notes, text.count("DECIDE"), draft.coverage)


def name_of(manifest: Path) -> str:
    """Name of a study after its manifest, in the letters that a name may have; may be empty."""
    letters = (c if c.isalnum() or c in "._-" else "-" for c in manifest.stem)
    return "".join(letters).strip(".-_")


def draft_study(
    path: Path, image_root: Path | None = None, values: ValueMap | None = None
) -> Draft:
    """Read a manifest and guess what is asked of it.

    Args:
        path: The manifest.
        image_root: Folder that its `path` cells are relative to; its own if left out.
        values: Values to read in place of others, by column.

    Raises:
        TableError: It does not keep its contract, or no column looks like a target.
    """
    manifest = read_manifest(path, image_root=image_root, values=values)
    return draft_of(manifest, image_root, values)


def draft_of(
    manifest: Manifest, image_root: Path | None = None, values: ValueMap | None = None
) -> Draft:
    """Guess what is asked of a manifest.

    Args:
        manifest: The images.
        image_root: Folder that was named for its `path` cells, to be written into the study file.
        values: Values that were read in place of others, to be written into the study file.

    Raises:
        NoTargetError: No column looks like a target.
        TableError: The class column holds words that may be a class or a missing value.
    """
    manifest = read_for_study(manifest, values)
    frame = manifest.frame
    columns = free_columns(frame)
    binary, class_column = guessed_targets(frame)
    if not binary and class_column is None:
        raise NoTargetError(
            f'No column of "{manifest.path.name}" looks like a target: a target column holds 1, 0, '
            f"-1 or nothing, a class column is named one of {listed(CLASS_NAMES)} and holds 2 to "
            f"{MAX_CLASSES} names. Columns: {listed_columns(columns)}.{_spelled_hint(frame)}"
        )
    every = binary
    if class_column is not None:
        manifest = read_classes(manifest, class_column, values or {})
        every = class_names(manifest, class_column)
    coverage = label_counts(manifest.frame, every, class_column)
    cohorts = coverage["cohort"].unique(maintain_order=True).to_list()
    train_cohort, targets = _learnable(coverage, cohorts, class_column)
    values = dict(values or {})
    if class_column is not None and len(targets) < len(every):
        classes = label_text(class_column)
        known = manifest.frame.select(classes).to_series().is_in(targets)
        other = frame.filter(~known.fill_null(value=True)).select(classes).to_series().unique()
        values[class_column] = {**values.get(class_column, {}), **dict.fromkeys(other.sort(), "")}
        kept = pl.when(classes.is_in(targets)).then(class_column).alias(class_column)
        manifest = replace(manifest, frame=manifest.frame.with_columns(kept))
    task = "single-label" if class_column else "binary" if len(targets) == 1 else "multi-label"
    # a diagnosis holds the answer: its groups have a single class
    taken = {*every, class_column, *(name for name in columns if names_class(name))}
    proposed = proposed_attributes(frame, taken, label_tellers())
    return Draft(
        manifest=manifest,
        task=task,
        targets=tuple(targets),
        class_column=class_column,
        attributes=proposed.names,
        left_out=tuple(proposed.notes()),
        cohorts=tuple(cohorts),
        train_cohort=train_cohort,
        coverage=coverage,
        image_root=image_root,
        values=values,
    )


def _spelled_hint(frame: pl.DataFrame) -> str:
    """The options that would make targets of columns with labels in words."""
    names = [name for name in free_columns(frame) if not is_personal_header(name)]
    options = [values_option(frame, name) for name in names if spelled_target(frame, name)]
    spelled = f" What looks like labels is read with: {' '.join(options)}" if options else ""
    return " ".join([spelled, *negatives_notes(frame)])


def _learnable(
    coverage: pl.DataFrame, cohorts: Sequence[str], class_column: str | None
) -> tuple[str, list[str]]:
    """The largest cohort that can be trained on, and the targets or classes that it can teach.

    A target needs `MIN_LABELLED` positive and negative cases, of which tuning and test take their
    share; a class column needs two classes with cases. Where no cohort has so many, one of each is
    enough; where none has these, the largest cohort and all targets.
    """
    for least in (1,) if class_column else (MIN_LABELLED, 1):
        for cohort in cohorts:
            rows = coverage.filter(pl.col("cohort") == cohort, pl.col("positive") >= least)
            rows = rows if class_column else rows.filter(pl.col("negative") >= least)
            if len(rows) >= (2 if class_column else 1):
                return cohort, rows["target"].to_list()
    return cohorts[0], coverage["target"].unique(maintain_order=True).to_list()
