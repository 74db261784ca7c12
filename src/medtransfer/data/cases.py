"""Cases: what gets one prediction, made of one to many images."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.case_index import CaseNumbers
from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import case_labels, targets_in_use
from medtransfer.errors import listed
from medtransfer.tables.manifest import RESERVED, free_columns, group_text
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.ages import age_groups, with_age_groups
from medtransfer.tables.values.personal_columns import (
    column_text,
    identifies,
    is_personal_header,
    personal_reason,
)
from medtransfer.tables.values.rare_values import merge_rare_groups


class ImageLists(Sequence[tuple[str, ...]]):
    """The image ids of each case, in one piece: millions of them are no objects of their own."""

    def __init__(self, flat: pl.Series, ends: NDArray[np.int64]) -> None:
        """Say which images there are.

        Args:
            flat: All image ids, case by case. [M]
            ends: Where the images of each case end. [N]
        """
        self._flat, self._ends = flat, ends

    @staticmethod
    def of(images: Sequence[Sequence[str]]) -> "ImageLists":
        """From a list per case."""
        flat = pl.Series([name for of_case in images for name in of_case], dtype=pl.String)
        return ImageLists(flat, np.cumsum([len(of_case) for of_case in images], dtype=np.int64))

    def __len__(self) -> int:
        """Number of cases."""
        return len(self._ends)

    @overload
    def __getitem__(self, key: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, key: slice) -> "ImageLists": ...
    def __getitem__(self, key: int | slice) -> Any:
        """The images of one case, or of several."""
        if isinstance(key, slice):
            return self.take(np.arange(len(self))[key])
        place = range(len(self))[key]
        start = int(self._ends[place - 1]) if place else 0
        return tuple(self._flat[start : int(self._ends[place])])

    def __eq__(self, other: object) -> bool:
        """Compare images and their order."""
        if not isinstance(other, (tuple, ImageLists)):
            return False
        return tuple(self) == tuple(cast("Sequence[tuple[str, ...]]", other))

    def __hash__(self) -> int:
        """Equal to that of the same images as tuples."""
        return hash(tuple(self))

    def take(self, rows: NDArray[np.int64]) -> "ImageLists":
        """The images of some cases."""
        counts = self.counts[rows]
        ends = np.cumsum(counts, dtype=np.int64)
        position = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        starts = self._ends[rows] - counts
        return ImageLists(self._flat.gather(np.repeat(starts, counts) + position), ends)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images of each case. [N]"""
        return np.diff(self._ends, prepend=0)

    @property
    def flat(self) -> list[str]:
        """All images, case by case."""
        return self._flat.to_list()


@dataclass(frozen=True)
class Cases:
    """Cases in the order of their ids.

    Attributes:
        case_ids: [N]
        patient_ids: [N]
        cohorts: [N]
        splits: ``train``, ``tune`` or ``test``. [N]
        targets: 0 to 1, NaN where masked. [N, T]
        images: Image ids of each case, sorted. N lists
        covariates: Clinical data as numbers; None where they are not used. [N, C]
        groups: Number of the group of each training case; None where none are told apart. [N]
    """

    case_ids: NDArray[np.str_]
    patient_ids: NDArray[np.str_]
    cohorts: NDArray[np.str_]
    splits: NDArray[np.str_]
    targets: NDArray[np.float64]
    images: Sequence[tuple[str, ...]]
    covariates: NDArray[np.float32] | None = None
    groups: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Keep the images in one piece."""
        if not isinstance(self.images, ImageLists):
            object.__setattr__(self, "images", ImageLists.of(self.images))

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.case_ids)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Cases":
        """Some of the cases."""
        chosen: NDArray[np.int64] = np.arange(len(self), dtype=np.int64)[rows]
        return Cases(
            case_ids=self.case_ids[chosen],
            patient_ids=self.patient_ids[chosen],
            cohorts=self.cohorts[chosen],
            splits=self.splits[chosen],
            targets=self.targets[chosen],
            images=self._lists.take(chosen),
            covariates=None if self.covariates is None else self.covariates[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images of each case. [N]"""
        return self._lists.counts

    @property
    def image_ids(self) -> list[str]:
        """All images, case by case."""
        return self._lists.flat

    @property
    def _lists(self) -> ImageLists:
        return cast("ImageLists", self.images)


def build_cases(frame: pl.DataFrame, data: DataConfig) -> Cases:
    """Gather images into cases and apply the label policy.

    Args:
        frame: Manifest rows with splits, from `assign_splits`.
        data: Targets and policies.
    """
    cases = CaseNumbers.of(frame)
    order = frame.select(pl.arg_sort_by(pl.Series(cases.rows), "image_id")).to_series()
    ends = np.cumsum(np.bincount(cases.rows, minlength=len(cases)), dtype=np.int64)
    splits = _text(cases.of_first(frame["split"]).cast(pl.String))
    return Cases(
        case_ids=_text(cases.of_first(frame["case_id"])),
        patient_ids=_text(cases.of_first(frame["patient_id"])),
        cohorts=_text(cases.of_first(frame["cohort"])),
        splits=splits,
        targets=targets_in_use(case_labels(frame, data, cases.rows), data, splits == "train"),
        images=ImageLists(frame["image_id"].gather(order), ends),
    )


def training_cases(cases: Cases, frame: pl.DataFrame, data: DataConfig, seed: int) -> Cases:
    """The training cases whose labels are used: a share or an episode, at least one label each.

    Args:
        cases: All cases.
        frame: The manifest rows they come from.
        data: The label fraction, or the number of patients of each class.
        seed: The run's seed, which draws them.
    """
    return cases.take(CaseTable(frame, data).training_rows(frame, data, seed))


def predicted_cases(cases: Cases, data: DataConfig) -> Cases:
    """The cases that get a prediction: all that are not trained on.

    After training on a part of a shifted cohort again these are the tuning cases and that
    cohort's own test cases; nothing else is asked of such a run.
    """
    rows = cases.splits != "train"
    if data.split.retrain is not None:
        rows &= (cases.splits == "tune") | (cases.cohorts == data.split.retrain.cohort)
    return cases.take(rows)


MAX_GROUPS = 12
"""A column with more values is not proposed as an attribute."""
NO_ATTRIBUTES = frozenset(
    {"exam_id", "format", "width", "height", "license", "licence", "url", "modality"}
)
"""Columns about exams and files, in small letters, that are not proposed as attributes."""
SIDE_COLUMNS = frozenset({"view", "laterality"})
"""Reserved columns of the manifest that may be reported by."""


@dataclass(frozen=True)
class ProposedAttributes:
    """Columns to report by, and those of few values that are left out.

    Attributes:
        names: Columns that a study or an evaluation reports by unless the user names others.
        telling: Columns that hold the answer in a public set.
        personal: Columns that look like personal data, a reason each.
    """

    names: tuple[str, ...]
    telling: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """Sentences on the columns that are left out."""
        notes: list[str] = []
        if self.telling:
            notes.append(
                "Not reported by, since they tell the label in public sets: "
                f"{listed(self.telling)}."
            )
        if self.personal:
            notes.append(
                f"Not reported by, since they may name a person: {'; '.join(self.personal)}."
            )
        return notes


def proposed_attributes(
    frame: pl.DataFrame, excluded: Collection[str | None] = (), telling: Collection[str] = ()
) -> ProposedAttributes:
    """Columns that a study or an evaluation reports by unless the user names others.

    They have 2 to `MAX_GROUPS` values, ages in bands, are not reserved and are not in
    `NO_ATTRIBUTES`, and do not look like personal data.

    Args:
        frame: Rows of a manifest.
        excluded: Targets and class names.
        telling: Columns that hold the answer in a public set, in small letters.
    """
    names: list[str] = []
    answers: list[str] = []
    personal: list[str] = []
    for name in free_columns(frame):
        if name in excluded or not describes_cases(frame, name):
            continue
        cells, _ = age_groups(frame[name])
        if not 2 <= cells.drop_nulls().n_unique() <= MAX_GROUPS:
            continue
        reason = personal_reason(cells)
        if name.lower() in telling:
            answers.append(name)
        elif reason or identifies(cells) or is_personal_header(name):
            differs = "" if is_personal_header(name) else " differs between almost all cases"
            personal.append(reason or column_text(name) + differs)
        else:
            names.append(name)
    return ProposedAttributes(tuple(names), tuple(answers), tuple(personal))


def describes_cases(frame: pl.DataFrame, name: str) -> bool:
    """False for columns about files, for lists, bytes, and numbers beside a column of bands."""
    kind = frame.schema[name]
    if name.lower() in NO_ATTRIBUTES or f"{name}_band" in frame.columns:
        return False
    return not kind.is_nested() and kind != pl.Binary()


def may_be_attribute(frame: pl.DataFrame, name: str) -> bool:
    """True for a column that a user may name as an attribute, in a study or an evaluation."""
    kind = frame.schema[name]
    reserved = name == ROW or name in RESERVED - SIDE_COLUMNS
    return not reserved and not kind.is_nested() and kind != pl.Binary()


def reported_attributes(frame: pl.DataFrame, attributes: Sequence[str], least: int) -> pl.DataFrame:
    """Attributes per case, with values of fewer than `least` patients in one group.

    Args:
        frame: Rows of a manifest.
        attributes: Columns to report by.
        least: Patients from which a value is named.
    """
    return merge_rare_groups(reported_groups(frame, attributes), frame, least)[0]


def reported_groups(frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """Attributes per case as `case_attributes`, ages in bands of twenty years."""
    return case_attributes(with_age_groups(frame, attributes)[0], attributes)


def case_attributes(frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """Attributes per case: the one value its images agree on, null if they differ.

    Returns:
        `case_id` and the attributes as text, one row per case.
    """
    cells = [group_text(frame[name]) for name in attributes]
    values = frame.select("case_id").with_columns(cells).group_by("case_id")
    agreed = [
        pl.when(pl.col(name).drop_nulls().n_unique() == 1).then(pl.col(name).drop_nulls().first())
        for name in attributes
    ]
    return values.agg(agreed).sort("case_id")


def _text(column: pl.Series) -> NDArray[np.str_]:
    """Text as an array, without an object per cell."""
    longest = cast("int", column.str.len_chars().max() or 1)
    cells: NDArray[np.str_] = np.empty(len(column), dtype=f"<U{max(longest, 1)}")
    for start in range(0, len(column), 100_000):
        cells[start : start + 100_000] = column[start : start + 100_000].to_list()
    return cells


class Targets(Protocol):
    """Targets of cases, kept in whatever way. [N, T]"""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and T."""
        ...

    def __getitem__(self, rows: Any, /) -> NDArray[np.float64]:
        """The targets of some cases, NaN where masked. [B, T]"""
        ...


class Labelled(Protocol):
    """Interface of cases to learn from: `Cases`, or images to pre-train on."""

    @property
    def case_ids(self) -> NDArray[np.str_]:
        """Names. [N]"""
        ...

    @property
    def image_ids(self) -> list[str]:
        """All images, case by case."""
        ...

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images of each case. [N]"""
        ...

    @property
    def targets(self) -> Targets:
        """0 to 1, NaN where masked. [N, T]"""
        ...

    def __len__(self) -> int:
        """Number of cases."""
        ...
