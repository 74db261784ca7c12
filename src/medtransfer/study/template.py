"""A commented study.yaml from what a manifest holds: the first step with own data."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import polars as pl
import yaml

from medtransfer.data.cases import MAX_GROUPS, describes_cases, proposed_attributes
from medtransfer.data.sources.catalog import label_tellers
from medtransfer.errors import StudyError, TableError, listed, plural
from medtransfer.files import write_text
from medtransfer.models.ladder import LADDER
from medtransfer.models.weight_files import is_available
from medtransfer.tables.guessed_targets import (
    CLASS_NAMES,
    MAX_CLASSES,
    class_names,
    guessed_targets,
    label_counts,
    read_classes,
    read_for_study,
)
from medtransfer.tables.manifest import (
    Manifest,
    absence_text,
    absent_files,
    free_columns,
    label_text,
    read_manifest,
)
from medtransfer.tables.values.personal_columns import listed_columns, personal_reason
from medtransfer.tables.values.value_map import ValueMap

MIN_LABELLED = 10
"""Positive, and negative, cases that a target needs to be asked for without a word of the user."""


class NoTargetError(TableError):
    """A manifest without a column that looks like a target."""


@dataclass(frozen=True)
class Draft:
    """Findings of `init` in a manifest.

    Attributes:
        manifest: The images.
        task: The task that its columns suggest.
        targets: Target columns, or the classes of `class_column`.
        class_column: The column that holds a class name, if that is what was found.
        attributes: Columns with few values.
        cohorts: Cohort names by their number of cases, largest first.
        train_cohort: The largest cohort in which a target has enough positive and negative cases.
        coverage: Cases of all target columns or classes, from `label_counts`.
        image_root: Folder that `path` cells are relative to, if it is not the manifest's own.
        values: Values that were read in place of others, by column.
        left_out: Sentences on columns of few values that are no attributes.
    """

    manifest: Manifest
    task: Literal["binary", "multi-label", "single-label"]
    targets: tuple[str, ...]
    class_column: str | None
    attributes: tuple[str, ...]
    cohorts: tuple[str, ...]
    train_cohort: str
    coverage: pl.DataFrame
    image_root: Path | None = None
    values: ValueMap = field(default_factory=dict[str, dict[str, str]])
    left_out: tuple[str, ...] = ()

    def found(self) -> list[str]:
        """Findings in sentences."""
        frame = self.manifest.frame
        cases, patients = frame["case_id"].n_unique(), frame["patient_id"].n_unique()
        per_cohort = [f"{name} {self._cases_of(name):,} cases" for name in self.cohorts[:6]]
        more = len(self.cohorts) - 6
        cohorts = ", ".join(per_cohort) + (f" and {more} more" if more > 0 else "")
        where = plural(len(self.cohorts), "cohort")
        values = f"classes of {self.class_column}" if self.class_column else "1/0/-1/empty"
        read = f"{plural(len(frame), 'row')}: {plural(cases, 'case')} of "
        attributes = listed(self.attributes) if self.attributes else "none"
        sentences = [
            *self.manifest.notes,
            f"Read {read}{plural(patients, 'patient')} in {where} ({cohorts}).",
            f"Targets found: {listed(self.targets)} ({values}); attributes: {attributes}.",
            *self._left_out(),
        ]
        sentences += self.left_out
        if many := self._of_many_values():
            sentences.append(
                f"Not reported by, having more than {MAX_GROUPS} values: "
                f"{listed_columns(many, 8)}. A group is one value of a column: make bands of "
                "numbers such as ages."
            )
        return sentences

    def _left_out(self) -> list[str]:
        """Targets that the training cohort cannot teach, in sentences."""
        every = self.coverage["target"].unique(maintain_order=True)
        absent = [name for name in every if name not in self.targets]
        if not absent:
            return []
        where = f"'{self.train_cohort}', which is trained on"
        if self.class_column is not None:
            kept = "their cases elsewhere are left empty by data.values"
            return [f"Classes without a case in {where}: {listed(absent, 20)}; {kept}."]
        trained = self.coverage.filter(
            pl.col("target").is_in(absent), pl.col("cohort") == self.train_cohort
        )
        none = trained.filter(pl.col("positive") + pl.col("negative") == 0)["target"]
        few = trained.filter(~pl.col("target").is_in(none.implode()))
        texts = [
            f"{name} ({positive:,} positive, {negative:,} negative, {empty:,} empty)"
            for name, positive, negative, empty in few.select(
                "target", "positive", "negative", "empty"
            ).iter_rows()
        ]
        since = f"Not asked for, since {where}, has"
        many = f"under {MIN_LABELLED} positive or negative cases"
        advice = "If an empty cell means absent, add them with empty: zeros."
        notes = [f"{since} no label: {listed(none, 20)}."] if len(none) else []
        return [*notes, *([f"{since} {many}: {'; '.join(texts[:20])}. {advice}"] if texts else [])]

    def _of_many_values(self) -> list[str]:
        """Columns that would be attributes if they had fewer values."""
        frame = self.manifest.frame
        used = {*self.targets, self.class_column, *self.attributes}
        return [
            name
            for name in free_columns(frame)
            if name not in used
            and describes_cases(frame, name)
            and not personal_reason(frame[name])
            and MAX_GROUPS < frame[name].drop_nulls().n_unique() < len(frame) / 2
        ]

    def text(self, name: str, folder: Path | None = None) -> str:
        """The study file, its paths relative to its folder; the manifest's own if left out."""
        folder = folder or self.manifest.path.parent
        frame = self.manifest.frame
        uncertain = any(
            (frame.select(label_text(t))[t] == "-1").any()
            for t in self.targets
            if self.class_column is None
        )
        available = [f"{init}/effnet-lite0" for init in ("scratch", "imagenet")]
        rungs = [rung for rung in available if is_available(LADDER[rung])]
        targets = self._targets_text(uncertain=uncertain)
        class_line = f"  class_column: {_quoted(self.class_column)}\n" if self.class_column else ""
        split_line = (
            "    # the manifest's own split column is used\n" if "split" in frame.columns else ""
        )
        return _TEMPLATE.format(
            name=name,
            manifest=_quoted(_relative(self.manifest.path, folder)),
            root_line=self._root_line(folder),
            task=self.task,
            class_line=class_line,
            values_line=self._values_line(),
            targets=targets,
            attributes=yaml.safe_dump(list(self.attributes), default_flow_style=True).strip(),
            split_line=split_line,
            cohorts=self._cohorts_text(),
            rungs="".join(f"  - {rung}\n" for rung in rungs),
        )

    def _root_line(self, folder: Path) -> str:
        if self.image_root is None:
            return ""
        return f"  image_root: {_quoted(_relative(self.image_root, folder))}\n"

    def _values_line(self) -> str:
        if not self.values:
            return ""
        values = {column: dict(pairs) for column, pairs in self.values.items()}
        text = yaml.safe_dump(values, default_flow_style=True, width=1000, allow_unicode=True)
        return f"  values: {text.strip()}\n"

    def _targets_text(self, *, uncertain: bool) -> str:
        policy = "{uncertain: ignore, empty: ignore}"
        if self.class_column is not None:
            names = yaml.safe_dump(list(self.targets), default_flow_style=True, width=90).strip()
            return f"  targets: {names}\n"
        note = "uncertain (-1) and " if uncertain else ""
        head = (
            f"  # DECIDE what {note}empty cells mean: ignore (masked), zeros, ones, soft(0.5)\n"
            "  targets:\n"
        )
        return head + "".join(f"    {_quoted(name)}: {policy}\n" for name in self.targets)

    def _cohorts_text(self) -> str:
        inside = yaml.safe_dump([self.train_cohort], default_flow_style=True, width=1000).strip()
        count = len(self.cohorts) - 1
        if count == 0:
            return f"    # one cohort: there is no shift to measure\n    train_cohorts: {inside}\n"
        others = "the other cohort becomes" if count == 1 else f"the other {count} cohorts become"
        head = f"    # DECIDE which cohorts are trained on; {others} shifted test data\n"
        return f"{head}    train_cohorts: {inside}\n"

    def _cases_of(self, cohort: str) -> int:
        return self.manifest.frame.filter(pl.col("cohort") == cohort)["case_id"].n_unique()


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
    return WrittenStudy(path, tuple(draft.found()), text.count("DECIDE"), draft.coverage)


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
            f"{MAX_CLASSES} names. Columns: {listed_columns(columns)}."
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
    taken = {*every, class_column, *(name for name in columns if name.lower() in CLASS_NAMES)}
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


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _quoted(text: str | None) -> str:
    """A name as YAML takes it, quoted where it must be."""
    return yaml.safe_dump(text, default_flow_style=True, width=1000).split("\n", 1)[0]


_TEMPLATE = """\
# yaml-language-server: $schema=study.schema.json   (medtransfer schema > study.schema.json)
# A transfer study: every rung × label fraction × seed is one run. Check it, then run it:
#   medtransfer check study.yaml
#   medtransfer run study.yaml
name: {name}

data:
  manifest: {manifest}          # relative to this file
{root_line}  task: {task}          # binary, multi-label or single-label
{class_line}{targets}{values_line}  attributes: {attributes}          # report by these
  image:
    # Left out, BiT-HyperRule sets the size by image area: 512 → 480 px is hours on a CPU.
    resize: 144          # training images are resized to this square …
    crop: 128          # … and cropped to this; test images are resized to it
    # DECIDE: flips only where the side of the body does not matter (skin: both; chest: none)
    flip: none
  split:
{split_line}{cohorts}    tune_fraction: 0.15          # selection, thresholds, calibration
    test_fraction: 0.2

# `medtransfer ladder` lists all rungs. The first is the reference unless `reference:` names one.
rungs:
{rungs}
label_fractions: [1.0]          # e.g. [0.1, 0.3, 1.0] to see how many labels are saved
seeds: [0, 1, 2]

training:
  # BiT-HyperRule with the smaller batch its authors report as nearly identical
  batch_size: 128
  learning_rate: 0.001
"""
