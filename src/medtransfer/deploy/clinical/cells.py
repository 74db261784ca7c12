"""Clinical data of cases to predict: of their table, of a table of its own, or of DICOM headers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np
import polars as pl

from medtransfer.data.covariates.cells import covariate_cells
from medtransfer.data.covariates.encoding import CovariateColumn, CovariateEncoding
from medtransfer.data.images.decode import dicom_words
from medtransfer.deploy.inference.sources import CaseSource, FileSource, ManifestSource
from medtransfer.errors import TableError, listed, plural
from medtransfer.tables.manifest import MANIFEST_CONTRACT
from medtransfer.tables.schema import read_noted_frame
from medtransfer.tables.values.ages import NAMES
from medtransfer.tables.values.folding import name_words
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.sex import names_sex, read_sex
from medtransfer.tables.values.spellings import one_spelling
from medtransfer.tables.values.value_map import OPTION

MISSING = "missing"
NO_NUMBER = "no number"
NO_CATEGORY = "a value that training lacks"
AGE, SEX = "PatientAge", "PatientSex"
DICOM_AGE = re.compile(r"(\d{3})([DWMY])")
YEARS_OF_PATIENT = NAMES | {"patientage", "ageyears", "ageinyears", "ageatexam", "ageatstudy"}
"""Names, as one word, of columns that the header's age is written into."""
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@runtime_checkable
class ClinicalSource(Protocol):
    """Cases that bring their clinical data along, each by itself."""

    def clinical_cells(self, cases: Sequence[int]) -> pl.DataFrame:
        """`case_id` and columns of clinical data of some cases, as text."""
        ...


@dataclass(frozen=True)
class ReadValues:
    """Clinical data by case, read.

    Attributes:
        frame: `case_id` and columns of text, null where missing.
        notes: Sentences on cells that were read otherwise than they are written.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClinicalData:
    """Source of the clinical data that a bundle's networks see.

    Attributes:
        encoding: Of the first network; the others have the same columns.
        table: Table with `case_id` and the columns; None for the cases' own table or headers.
    """

    encoding: CovariateEncoding
    table: Path | None = None

    @property
    def names(self) -> list[str]:
        """Columns that the networks see."""
        return [column.name for column in self.encoding.columns]

    @cached_property
    def _given(self) -> "ReadValues | None":
        """Values of the table by case; None where none was given.

        Raises:
            TableError: It has no `case_id`, or none of the columns.
        """
        if self.table is None:
            return None
        table = read_noted_frame(self.table, MANIFEST_CONTRACT)
        frame = table.frame
        if "case_id" not in frame.columns or not set(self.names) & set(frame.columns):
            raise TableError(
                f'Table "{self.table.name}" needs a column "case_id", as in the predictions, and '
                f"the clinical data that the bundle sees: {listed(self.names, 20)}."
            )
        values = self._read(frame)
        return replace(values, notes=(*table.notes, *values.notes))

    def _read(self, frame: pl.DataFrame) -> "ReadValues":
        """`case_id` and the columns that a table has, as a study reads the cells of its manifest.

        Letters of sexes are read by the whole table, values in the spelling of the categories.
        """
        columns = [column for column in self.encoding.columns if column.name in frame.columns]
        names = [column.name for column in columns]
        if not names or frame.is_empty():
            return ReadValues(frame.select("case_id").unique().clear())
        cells = read_cells(frame, names, Roles())
        frame, notes = cells.frame, [*cells.notes]
        for column in columns:
            if column.categories and frame.schema[column.name] == pl.String():
                spelled, of_column = one_spelling(frame[column.name], column.categories)
                frame = frame.with_columns(spelled)
                notes += of_column
        frame = frame.with_columns(pl.col("case_id").cast(pl.String))
        return ReadValues(covariate_cells(frame, names), tuple(notes))

    def cells(self, source: CaseSource, cases: Sequence[int]) -> pl.DataFrame:
        """Values of some cases as text, null where there is none.

        Args:
            source: Of the cases.
            cases: Their positions.

        Returns:
            The bundle's columns, in its order; a row for each of the cases, in theirs.
        """
        ids = pl.DataFrame({"case_id": [source.cases[case].case_id for case in cases]})
        at_hand = ids.clear()
        if isinstance(source, ManifestSource):
            at_hand = self._read(source.manifest.frame).frame
        elif isinstance(source, FileSource):
            files = [source.first_file(case) for case in cases]
            at_hand = ids.with_columns(self._of_headers(files))
        elif isinstance(source, ClinicalSource):
            # one by one: what a letter means must not depend on who else asks at the same time
            rows = source.clinical_cells(cases)
            at_hand = pl.concat([self._read(row).frame for row in rows.iter_slices(1)])
        joined = ids
        for name in self.names:
            parts: list[str] = []
            given = None if self._given is None else self._given.frame
            for number, values in enumerate((given, at_hand)):
                if values is not None and name in values.columns:
                    part = f"{number} {name}"
                    parts.append(part)
                    joined = joined.join(
                        values.select("case_id", pl.col(name).alias(part)),
                        on="case_id",
                        how="left",
                        maintain_order="left",
                    )
            value = pl.coalesce(parts) if parts else pl.lit(None, pl.String)
            joined = joined.with_columns(value.alias(name)).drop(parts)
        return joined.select(self.names)

    def gaps(self, cells: pl.DataFrame) -> list[dict[str, str]]:
        """Columns that count as missing in each case, with the reason; no value is named.

        Args:
            cells: From `cells`.
        """
        gaps: list[dict[str, str]] = [{} for _ in range(len(cells))]
        for column in self.encoding.columns:
            values = cells[column.name]
            is_gap = column.encode(values)[:, -1] == 1
            word = NO_NUMBER if column.is_number else NO_CATEGORY
            for row in np.flatnonzero(is_gap).tolist():
                gaps[row][column.name] = MISSING if values[row] is None else word
        return gaps

    def _of_headers(self, files: Sequence[Path]) -> list[pl.Series]:
        """Age and sex of DICOM files, for the columns that mean them."""
        wanted = [c for c in self.encoding.columns if _is_age(c.name) or names_sex(c.name)]
        if not wanted:
            return []
        words = [dicom_words(path, [AGE, SEX]) or {} for path in files]
        return [
            pl.Series(
                column.name,
                [
                    _age(text.get(AGE, ""))
                    if _is_age(column.name)
                    else _sex(text.get(SEX, ""), column)
                    for text in words
                ],
                dtype=pl.String,
            )
            for column in wanted
        ]

    def notes(self, source: CaseSource) -> list[str]:
        """Sentences on values that were read as others, are missing, or that training lacks.

        Raises:
            TableError: The table of its own has no row for any case.
        """
        cells = self.cells(source, range(len(source.cases)))
        sentences = [*self._matched(source), *self._reading_notes(source)]
        for column in self.encoding.columns:
            values = cells[column.name]
            missing, unseen = values.null_count(), column.unseen(values)
            parts = [f"missing in {plural(missing, 'case')}"] if missing else []
            if unseen:
                what = NO_NUMBER if column.is_number else NO_CATEGORY
                parts.append(f"{what} in {plural(unseen, 'case')}")
            if parts:
                sentences.append(
                    f"Clinical data '{column.name}': {' and '.join(parts)} of {len(cells):,}; "
                    "predicted as missing."
                )
            sentences += _range_notes(column, values)
        return sentences

    def _reading_notes(self, source: CaseSource) -> list[str]:
        """Sentences on cells that were read otherwise than they are written.

        What is kept and unknown to training is counted by `notes`, not quoted.
        """
        notes = [] if self._given is None else [*self._given.notes]
        if isinstance(source, ManifestSource):
            notes += self._read(source.manifest.frame).notes
        source_notes = {*source.notes}
        return [
            note for note in dict.fromkeys(notes) if OPTION not in note and note not in source_notes
        ]

    def _matched(self, source: CaseSource) -> list[str]:
        """A sentence where the table lacks cases that are predicted.

        Raises:
            TableError: It has none of them.
        """
        if self._given is None or self.table is None:
            return []
        there = {*self._given.frame["case_id"]}
        absent = sum(case.case_id not in there for case in source.cases)
        if not absent:
            return []
        if absent == len(source.cases):
            raise TableError(
                f'Table "{self.table.name}" has no row for any of the '
                f"{plural(absent, 'case')}, by case_id. Its ids have to be those of the "
                "predictions: predict without --clinical once to see them."
            )
        of_all = f"{plural(absent, 'case')} of {len(source.cases):,}"
        return [f'Table "{self.table.name}" has no row for {of_all}, by case_id.']


def _range_notes(column: CovariateColumn, values: pl.Series) -> list[str]:
    """A sentence on numbers outside the range of training; that of other units is far off."""
    outside = int(column.outside(values).sum())
    if not outside or column.low is None or column.high is None:
        return []
    numbers = values.cast(pl.Float64, strict=False).drop_nulls()
    text = (
        f"Clinical data '{column.name}': {plural(outside, 'case')} of {len(values):,} outside "
        f"{column.low:g} to {column.high:g}, where all but the outermost training cases lie."
    )
    if outside <= len(numbers) / 2:
        return [text]
    median = cast("float", numbers.median())
    return [f"{text} Is the unit another one? The median is {median:g} here."]


def _is_age(name: str) -> bool:
    """True for a column of the patient's age in years; others, as of the bones, are not meant."""
    return "".join(name_words(name)) in YEARS_OF_PATIENT


def _age(text: str) -> str | None:
    """Age in years as a DICOM header has it, ``063Y``; None where it says none."""
    match = DICOM_AGE.fullmatch(text.strip().upper())
    if match is None:
        return None
    years = int(match[1]) * YEARS[match[2]]
    return str(int(years)) if years.is_integer() else f"{years:.3f}"


def _sex(text: str, column: CovariateColumn) -> str | None:
    """Sex as the study spells it, from a DICOM header; None where it says none.

    A sex that no category, or more than one, is read as stays a letter, and is counted as unknown.
    """
    letter = text.strip().upper()[:1]
    if letter not in ("F", "M", "O"):
        return None
    sexes = read_sex(pl.Series(column.name, column.categories, dtype=pl.String)).cells
    same = [
        name for name, sex in zip(column.categories, sexes, strict=True) if letter in (name, sex)
    ]
    return same[0] if len(same) == 1 else letter
