"""Readings of several readers beside the predictions that `evaluate` is given."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import TableError, plural
from medtransfer.evaluation.comparison.readers.compare import compare_readers
from medtransfer.evaluation.comparison.readers.judged import READERS_FILE
from medtransfer.evaluation.comparison.readers.table import (
    CASE_ID,
    Readings,
    missing_targets,
    read_readings,
)
from medtransfer.evaluation.comparison.readers.truth import (
    EACH,
    MAJORITY,
    Truth,
    readings_as_cases,
    truth_of,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.files import remove
from medtransfer.tables.other_predictions import (
    CaseLabels,
    ImportedPredictions,
    targets_are_exclusive,
)
from medtransfer.tables.predictions import target_names
from medtransfer.tables.schema import write_frame


@dataclass(frozen=True)
class ReadBySeveral:
    """Readings and the truth that is made of them.

    Attributes:
        readings: The table.
        truth: CaseLabels of the cases.
        rule: `majority`, `each` or a reader.
        asked: True if the rule was asked for, so that it comes before other targets.
    """

    readings: Readings
    truth: Truth
    rule: str
    asked: bool

    @property
    def labels(self) -> CaseLabels:
        """CaseLabels for the predictions."""
        return CaseLabels(self.truth.frame, first=self.asked)


@dataclass(frozen=True)
class ScoredCases:
    """Cases as they are scored.

    Attributes:
        frame: The predictions table.
        attributes: `case_id` and attributes.
        notes: How their truth was made, in sentences.
    """

    frame: pl.DataFrame
    attributes: pl.DataFrame
    notes: tuple[str, ...] = ()


def read_by_several(
    path: Path | None, rule: str | None, *, single_label: bool | None
) -> ReadBySeveral | None:
    """Read a table of readings, if there is one, and make the truth.

    Args:
        path: The table.
        rule: `majority`, `each` or a reader; None for the targets of the predictions, or for the
            majority where they have none.
        single_label: True if the targets are classes; None to infer it from the readings.

    Raises:
        TableError: The table is not one of readings, or there is a rule and no table.
    """
    if path is None:
        if rule is not None:
            raise TableError(f"truth '{rule}' needs a table of readings (--readings).")
        return None
    readings = read_readings(path)
    single = targets_are_exclusive(readings.frame) if single_label is None else single_label
    truth = truth_of(readings, rule or MAJORITY, single_label=single)
    return ReadBySeveral(readings, truth, rule or MAJORITY, asked=rule is not None)


def by_reading(
    read: ReadBySeveral | None, table: ImportedPredictions, attributes: pl.DataFrame
) -> ScoredCases:
    """Cases of a table with the truth of the readings, where that was asked for.

    Raises:
        TableError: A target of the predictions was not read, or no case was.
    """
    if read is None:
        return ScoredCases(table.frame, attributes)
    if lacking := missing_targets(read.readings, target_names(table.frame)):
        raise TableError(f"{lacking} Add it, or leave that target out of the predictions.")
    cases = table.frame.unique(CASE_ID)
    read_here = cases.join(read.readings.frame, on=CASE_ID, how="semi")
    if read_here.is_empty():
        raise TableError("No case of the predictions is in the readings. Is case_id the same?")
    foreign = read.readings.frame.join(cases, on=CASE_ID, how="anti")[CASE_ID].n_unique()
    notes = [f"{plural(len(read_here), 'case')} of {len(cases):,} were read."]
    if foreign:
        notes.append(f"{plural(foreign, 'case')} of the readings have no prediction: left out.")
    notes = [*read.readings.notes, *notes]
    if not table.labelled:
        return ScoredCases(table.frame, attributes, tuple(notes))
    notes = [*read.truth.notes, *notes]
    if read.rule != EACH:
        return ScoredCases(table.frame, attributes, tuple(notes))
    frame, repeated, sentence = readings_as_cases(table.frame, attributes, read.readings)
    return ScoredCases(frame, repeated, (sentence, *notes))


def write_readers(
    folder: Path,
    read: ReadBySeveral | None,
    predictions: pl.DataFrame,
    task: Task,
    config: EvaluationConfig,
) -> None:
    """Write the table of readers, or take away that of an earlier evaluation.

    Args:
        folder: Of the evaluation.
        read: The readings, if there are any.
        predictions: A row per case and run, with the truth that thresholds are fixed by.
        task: How the targets relate to each other.
        config: Replicates and operating points.
    """
    path = folder / READERS_FILE
    if read is None:
        for old in (path, path.with_suffix(".csv")):
            remove(old)
        return
    table = compare_readers(predictions, read.readings, task, config)
    for place in (path, path.with_suffix(".csv")):
        write_frame(table, place)
