"""Findings in a manifest, and the commented study file that follows from them."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl
import yaml

from medtransfer.data.cases import MAX_GROUPS, describes_cases
from medtransfer.data.config import DataConfig, SplitConfig
from medtransfer.errors import listed, plural
from medtransfer.models.ladder import LADDER
from medtransfer.models.weight_files import is_available
from medtransfer.study.drafting.fingerprint import Fingerprint, make_fingerprint, sizes_of_sample
from medtransfer.study.drafting.rules import (
    choose_batch,
    choose_flips,
    choose_points,
    choose_rate,
    choose_seeds,
    choose_sides,
    choose_weights,
    rung_note,
)
from medtransfer.tables.manifest import Manifest, free_columns, label_text
from medtransfer.tables.values.ages import with_age_groups
from medtransfer.tables.values.personal_columns import listed_columns, personal_reason
from medtransfer.tables.values.value_map import EMPTY, ValueMap

MIN_LABELLED = 10
"""Positive, and negative, cases that a target needs to be asked for without a word of the user."""


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
            *with_age_groups(frame, self.attributes)[1],
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

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Facts of the data and this machine; the headers of a few images are read."""
        sizes = sizes_of_sample(self.manifest)
        return make_fingerprint(self.manifest, self.coverage, self.train_cohort, sizes)

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
            fingerprint=_comment(self.fingerprint.sentence, ""),
            manifest=_quoted(_relative(self.manifest.path, folder)),
            root_line=self._root_line(folder),
            task=self.task,
            class_line=class_line,
            values_line=self._values_line(),
            targets=targets,
            attributes=_flow(list(self.attributes), 80),
            image_lines=self._image_text(),
            split_line=split_line,
            cohorts=self._cohorts_text(),
            rung_note=_comment(rung_note(rungs, _at_hand(rungs)), ""),
            rungs="".join(f"  - {rung}\n" for rung in rungs),
            seed_note=_comment(choose_seeds().note, ""),
            seeds=list(choose_seeds().value),
            training_lines=self._training_text(),
        )

    def _image_text(self) -> str:
        """Size and flips, each with the rule that gave it."""
        sides = choose_sides(self.fingerprint.sizes, self.fingerprint.machine)
        flips = choose_flips(self.fingerprint.side_columns)
        decide = (
            "    # DECIDE: flips only where the side of the body does not matter (skin: both; "
            "chest: none)\n"
        )
        breast = (
            "    # mammograms: region: breast cuts the breast out, chest_wall: left brings all to "
            "one side\n"
        )
        return (
            f"{_comment(sides.note, '    ')}"
            f"    resize: {_or_null(sides.value.resize)}         # training images are resized to "
            "this square (or [height, width]) …\n"
            f"    crop: {_or_null(sides.value.crop)}          # … and cropped to this; test images "
            "are resized to it\n"
            f"{'' if 'laterality' in self.fingerprint.side_columns else decide}"
            f"{_comment(flips.note, '    ')}"
            f"    flip: {flips.value}\n"
            f"{breast if 'laterality' in self.fingerprint.side_columns else ''}"
        )

    def _training_text(self) -> str:
        """Batch, rate, loss and operating points, each with the rule that gave it."""
        split, batch, rate = SplitConfig(), choose_batch(), choose_rate()
        labels = self.fingerprint.trained_labels(self.targets)
        weights = choose_weights(labels, self.fingerprint.train_cases, batch.value)
        points = choose_points(labels, split)
        loss = "" if weights.value == "none" else f"  loss: {{weights: {weights.value}}}\n"
        advice = "the default, sens90"
        if points.value != ("sens90",):
            advice = f"too few for the default, sens90. Consider [{', '.join(points.value)}]"
        return (
            f"{_comment(batch.note, '  ')}  batch_size: {batch.value}\n"
            f"{_comment(rate.note, '  ')}  learning_rate: {rate.value:g}\n"
            f"{_comment(weights.note, '  ')}{loss}"
            f"\n{_comment(f'{points.note}: {advice} (evaluation.operating_points)', '')}"
        )

    def _root_line(self, folder: Path) -> str:
        if self.image_root is None:
            return ""
        return f"  image_root: {_quoted(_relative(self.image_root, folder))}\n"

    def _values_line(self) -> str:
        if not self.values:
            return ""
        values = {
            column: {old or EMPTY: new or EMPTY for old, new in pairs.items()}
            for column, pairs in self.values.items()
        }
        return f"  values: {_flow(values)}\n"

    def _targets_text(self, *, uncertain: bool) -> str:
        policy = "{uncertain: ignore, empty: ignore}"
        if self.class_column is not None:
            return f"  targets: {_flow(list(self.targets), 90)}\n"
        note = "uncertain (-1) and " if uncertain else ""
        head = (
            f"  # DECIDE what {note}empty cells mean: ignore (masked), zeros, ones, soft(0.5)\n"
            "  targets:\n"
        )
        return head + "".join(f"    {_quoted(name)}: {policy}\n" for name in self.targets)

    def _cohorts_text(self) -> str:
        inside = _flow([self.train_cohort])
        count = len(self.cohorts) - 1
        if count == 0:
            return f"    # one cohort: there is no shift to measure\n    train_cohorts: {inside}\n"
        others = "the other cohort becomes" if count == 1 else f"the other {count} cohorts become"
        head = f"    # DECIDE which cohorts are trained on; {others} shifted test data\n"
        return f"{head}    train_cohorts: {inside}\n"

    def _cases_of(self, cohort: str) -> int:
        return self.manifest.frame.filter(pl.col("cohort") == cohort)["case_id"].n_unique()


def drafted_settings(draft: Draft) -> DataConfig:
    """Data settings that the draft of a study would have."""
    return DataConfig.model_validate(
        {
            "manifest": draft.manifest.path,
            "task": draft.task,
            "targets": list(draft.targets),
            "class_column": draft.class_column,
            "attributes": draft.attributes,
            "values": draft.values,
            "split": {"train_cohorts": [draft.train_cohort]},
        }
    )


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _quoted(text: str | None) -> str:
    """A name as YAML takes it, quoted where it must be."""
    return _flow(text).split("\n", 1)[0]


def _flow(value: object, width: int = 1000) -> str:
    """A value as YAML on one line, letters of all languages as they are."""
    text = yaml.safe_dump(value, default_flow_style=True, width=width, allow_unicode=True)
    return text.strip("\n")


def _or_null(value: int | None) -> str:
    """A number, or YAML's word for none."""
    return "null" if value is None else str(value)


def _comment(text: str, indent: str) -> str:
    """Lines of a comment."""
    head = f"{indent}# "
    lines = textwrap.wrap(
        text, 100, initial_indent=head, subsequent_indent=head, break_on_hyphens=False
    )
    return "".join(f"{line}\n" for line in lines)


def _at_hand(proposed: Sequence[str]) -> list[str]:
    """Pre-trained rungs of the ladder whose weights are on this machine, besides some."""
    return [
        name
        for name, rung in LADDER.items()
        if not rung.is_random and name not in proposed and is_available(rung)
    ]


_TEMPLATE = """\
# yaml-language-server: $schema=study.schema.json   (medtransfer schema > study.schema.json)
# A transfer study: every rung × label fraction × seed is one run. Check it, then run it:
#   medtransfer check study.yaml
#   medtransfer run study.yaml
# Settings say where they come from: "fixed" is the same for all data, "rule NAME" follows from a
# fact about these data or this machine. The facts:
{fingerprint}name: {name}

data:
  manifest: {manifest}          # relative to this file
{root_line}  task: {task}          # binary, multi-label or single-label
{class_line}{targets}{values_line}  attributes: {attributes}          # report by these
  image:
{image_lines}  split:
{split_line}{cohorts}    # fixed: shares of the patients
    tune_fraction: 0.15          # selection, thresholds, calibration
    test_fraction: 0.2

# `medtransfer ladder` lists all rungs. The first is the reference unless `reference:` names one.
{rung_note}rungs:
{rungs}
label_fractions: [1.0]          # e.g. [0.1, 0.3, 1.0] to see how many labels are saved
{seed_note}seeds: {seeds}

training:
{training_lines}"""
