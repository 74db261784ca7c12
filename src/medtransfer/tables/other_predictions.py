"""Predictions of another framework: other column names, probabilities instead of logits.

Nothing that could change a number is guessed: ambiguous tables are rejected with a remedy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.errors import TableError, fault_list, listed, plural, suggestion
from medtransfer.tables.csv_reader import with_points
from medtransfer.tables.imported.score_cells import (
    LOGIT,
    PROBABILITY,
    TARGET,
    Scores,
    columns_with,
    score_faults,
    word_faults,
)
from medtransfer.tables.predictions import (
    OOD_PREFIX,
    PREDICTION_KEY,
    PREDICTIONS_CONTRACT,
    check_predictions,
    target_names,
)
from medtransfer.tables.schema import (
    ROW,
    Column,
    Contract,
    check_columns,
    duplicates,
    raise_faults,
    read_noted_frame,
    typed,
)
from medtransfer.tables.values.missing_words import patient_faults
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.spellings import id_notes, twin_faults
from medtransfer.tables.values.value_map import ValueMap, absent_columns, map_values

ROUNDING = 1e-6
"""Distance of the sum of shares from 1 that counts as none."""
MIN_PROBABILITY = 1e-12
"""Distance from 0 and 1 that probabilities are moved to, so that logits are finite."""
DEFAULTS = {"run_id": "run", "member": "0", "cohort": "internal"}
"""Optional columns with their default values."""
OTHER_CONTRACT = Contract(
    PREDICTIONS_CONTRACT.name,
    (
        *(
            replace(c, required=c.required and c.prefix != LOGIT)
            for c in PREDICTIONS_CONTRACT.columns
        ),
        Column("prob_<name>", "number", "The probability of a target.", required=False),
    ),
)
"""The contract, with probabilities allowed in place of logits."""


@dataclass(frozen=True)
class ImportedPredictions:
    """An imported predictions table, with notes on the assumptions made.

    Attributes:
        frame: The table.
        notes: Assumptions, as sentences for the user and the report.
        labelled: True if its targets are the labels that were given beside it.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]
    labelled: bool = False


@dataclass(frozen=True)
class CaseLabels:
    """Labels of cases that lie beside their predictions.

    Attributes:
        frame: `case_id` and ``target_<name>`` columns.
        first: True if they come before targets that the predictions have themselves.
    """

    frame: pl.DataFrame
    first: bool


@dataclass(frozen=True)
class Completion:
    """Columns that a predictions table may leave out, and the reading of its cells.

    Attributes:
        cases: A row per case of the study beside it: `case_id`, `patient_id`, `cohort`, `split` and
            its targets. Columns that the table has itself are kept. None without a study.
        cohort: Cohort of the table's rows if it has no column of them; None for that of the case.
        values: Values to read in place of others, by the table's own column names.
    """

    cases: pl.DataFrame | None = None
    cohort: str | None = None
    values: ValueMap = field(default_factory=dict[str, dict[str, str]])


def read_other_predictions(
    path: Path,
    columns: dict[str, str] | None = None,
    scores: Scores | None = None,
    *,
    single_label: bool | None = None,
    labels: CaseLabels | None = None,
    completion: Completion | None = None,
) -> ImportedPredictions:
    """Read predictions that another framework wrote.

    Args:
        path: ``.csv`` or ``.parquet``.
        columns: Our column names to theirs, e.g. ``{"case_id": "study", "prob_x": "p"}``. A column
            ``prob_<name>`` holds the probability of ``target_<name>`` instead of ``logit_<name>``.
        scores: Content of the score columns, if their names do not tell.
        single_label: True if the classes exclude each other; by default inferred from the
            targets.
        labels: CaseLabels that lie beside the predictions; cases without one are unlabelled.
        completion: Columns that the table may leave out.

    Raises:
        TableError: A column is missing, the kind of the scores is unclear, or the contract is
            violated; all faults at once.
    """
    table = read_noted_frame(path, replace(PREDICTIONS_CONTRACT, columns=_expected(columns or {})))
    frame, mapped = _with_values(table.frame, completion, path)
    frame = _renamed(frame, columns or {}, path)
    frame, completed = _completed(frame, completion)
    frame, labelled = _with_labels(frame, labels)
    frame, notes = _with_defaults(frame)
    frame, commas = _with_numbers(frame)
    targets = columns_with(frame, TARGET)
    cells = read_cells(frame, targets, Roles(targets=targets))
    frame, notes = cells.frame, [*mapped, *completed, *notes, *commas, *cells.notes]
    faults = [*cells.faults, *check_columns(frame, OTHER_CONTRACT), *score_faults(frame, scores)]
    faults += [*word_faults(frame), *patient_faults(frame)]
    if not any(name.startswith("target_") for name in frame.columns):
        faults.append("if the target has another name, pass --columns target_<name>=COLUMN")
    if faults:
        raise_faults(
            PREDICTIONS_CONTRACT,
            path,
            [*faults, *duplicates(frame, PREDICTION_KEY), *_cohort_faults(frame)],
        )
    frame = typed(frame, OTHER_CONTRACT)
    single = targets_are_exclusive(frame) if single_label is None else single_label
    faults = _class_faults(frame) if single else []
    frame, converted = _with_logits(frame, scores, single_label=single)
    faults += [*check_predictions(frame), *_cohort_faults(frame), *twin_faults(frame)]
    raise_faults(PREDICTIONS_CONTRACT, path, faults)
    notes = (*table.notes, *notes, *id_notes(frame), *converted)
    return ImportedPredictions(frame.drop(ROW), notes, labelled)


def read_columns(text: Sequence[str]) -> dict[str, str]:
    """Our names to theirs from ``ours=theirs`` entries.

    Raises:
        TableError: An entry is not of that form, or a name is given twice.
    """
    pairs: list[tuple[str, str]] = []
    faults: list[str] = []
    for entry in (entry.strip() for part in text for entry in part.split(",")):
        ours, _, theirs = (part.strip() for part in entry.partition("="))
        if ours and theirs:
            pairs.append((ours, theirs))
        elif entry:
            faults.append(f"'{entry}' is not of the form ours=theirs")
    names = [ours for ours, _ in pairs]
    faults += [f"'{name}' is given twice" for name in sorted(set(names)) if names.count(name) > 1]
    if faults:
        raise TableError(fault_list("--columns cannot be used", faults))
    return dict(pairs)


def _expected(columns: dict[str, str]) -> tuple[Column, ...]:
    """The contract's columns, and those under the names that another framework gave them."""
    pairs = ((OTHER_CONTRACT.column_of(ours), theirs) for ours, theirs in columns.items())
    renamed = (replace(column, name=theirs) for column, theirs in pairs if column is not None)
    return (*OTHER_CONTRACT.columns, *renamed)


def _is_whole(targets: pl.DataFrame) -> pl.Series:
    """True for rows whose targets add up to 1, as one class does or the shares of several; [N]."""
    return (targets.sum_horizontal(ignore_nulls=False) - 1).abs() < ROUNDING


def targets_are_exclusive(frame: pl.DataFrame) -> bool:
    """True if three or more targets add up to 1 in every case without an empty target.

    One of them is 1, or each is the share of readers who chose the class.
    """
    names = [TARGET + name for name in target_names(frame)]
    labelled = frame.select(names).drop_nulls()
    return len(names) > 2 and len(labelled) > 0 and bool(_is_whole(labelled).all())


def _renamed(frame: pl.DataFrame, columns: dict[str, str], path: Path) -> pl.DataFrame:
    """The table with our column names; one source column may serve several of ours."""
    theirs_all = [name for name in frame.columns if name != ROW]
    faults: list[str] = []
    for ours, theirs in columns.items():
        if OTHER_CONTRACT.column_of(ours) is None:
            names = [c.name for c in OTHER_CONTRACT.columns]
            faults.append(f"'{ours}' is not a known column (allowed: {listed(names, 20)})")
        if theirs not in theirs_all:
            hint = suggestion(theirs, theirs_all)
            faults.append(f"column '{theirs}' is not in the table. {hint}".rstrip(". "))
    raise_faults(PREDICTIONS_CONTRACT, path, faults)
    taken = {*columns, *columns.values()}
    beside = [name for name in frame.columns if name not in taken]
    return frame.select(*beside, *(pl.col(theirs).alias(o) for o, theirs in columns.items()))


def _with_values(
    frame: pl.DataFrame, completion: Completion | None, path: Path
) -> tuple[pl.DataFrame, list[str]]:
    """The table with wanted values in place of others, and notes on them."""
    values: ValueMap = {} if completion is None else completion.values
    raise_faults(PREDICTIONS_CONTRACT, path, absent_columns(frame, values))
    return map_values(frame, values)


def _completed(
    frame: pl.DataFrame, completion: Completion | None
) -> tuple[pl.DataFrame, list[str]]:
    """The table with the columns that it lacks, from the cases of a study, and notes on them."""
    if completion is None:
        return frame, []
    notes: list[str] = []
    if "cohort" not in frame.columns and completion.cohort is not None:
        frame = frame.with_columns(cohort=pl.lit(completion.cohort))
        notes.append(f"Column 'cohort' is missing: '{completion.cohort}' was assumed.")
    if completion.cases is None or "case_id" not in frame.columns:
        return frame, notes
    names = [name for name in ("patient_id", "cohort", "split") if name not in frame.columns]
    names += [] if columns_with(frame, TARGET) else columns_with(completion.cases, TARGET)
    if not names:
        return frame, notes
    frame = frame.with_columns(pl.col("case_id").cast(pl.String))
    cases = completion.cases.select("case_id", *names)
    kept = frame.join(cases, on="case_id", how="inner", maintain_order="left")
    notes.append(f"Taken from the study by case_id: {listed(names)}.")
    if unknown := len(frame) - len(kept):
        notes.append(f"{plural(unknown, 'row')} of cases that the study did not predict: left out.")
    return kept, notes


def _with_labels(frame: pl.DataFrame, labels: CaseLabels | None) -> tuple[pl.DataFrame, bool]:
    """The table with the labels beside it, and True if they were taken."""
    targets = columns_with(frame, TARGET)
    if labels is None or "case_id" not in frame.columns or (targets and not labels.first):
        return frame, False
    ids = frame.with_columns(pl.col("case_id").cast(pl.String)).drop(targets)
    return ids.join(labels.frame, on="case_id", how="left", maintain_order="left"), True


def _with_defaults(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The table with defaults for missing optional columns, and notes on them."""
    missing = {name: value for name, value in DEFAULTS.items() if name not in frame.columns}
    notes = [
        f"Column '{name}' is missing: '{value}' was assumed." for name, value in missing.items()
    ]
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in missing.items())
    if "split" not in frame.columns:
        frame = frame.with_columns(split=pl.lit("test"))
        notes.append(
            "Column 'split' is missing: all cases were treated as test cases. Without tuning cases "
            "there are no operating points and no calibration."
        )
    return frame, notes


def _with_numbers(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Numbers with decimal commas as numbers with points, and a note on them."""
    prefixes = (TARGET, LOGIT, PROBABILITY, OOD_PREFIX)
    texts = [n for n in frame.columns if n.startswith(prefixes) and frame.schema[n] == pl.String()]
    frame, decimal = with_points(frame, texts)
    return frame, [f"Decimal commas of {listed(decimal)} were read as points."] if decimal else []


def _class_faults(frame: pl.DataFrame) -> list[str]:
    """Faults of classes that must exclude each other."""
    names = target_names(frame)
    with_probability = [name for name in names if PROBABILITY + name in frame.columns]
    faults: list[str] = []
    if 0 < len(with_probability) < len(names):
        faults.append(
            f"{listed(PROBABILITY + name for name in with_probability)} are probabilities "
            "and the scores of the other classes are logits; a single-label task needs one kind"
        )
    targets = frame.select(TARGET + name for name in names)
    wrong = frame.filter(~_is_whole(targets))
    if not wrong.is_empty():
        faults.append(
            f"the classes do not add up to 1 in {plural(len(wrong), 'row')}, first in row "
            f"{wrong[ROW][0]}, but the task is single-label"
        )
    return faults


def _with_logits(
    frame: pl.DataFrame, scores: Scores | None, *, single_label: bool
) -> tuple[pl.DataFrame, list[str]]:
    """The table with logits in place of probabilities, and notes on the conversion."""
    given = columns_with(frame, PROBABILITY)
    given += columns_with(frame, LOGIT) if scores == "probabilities" else []
    if not given:
        return frame, []
    probabilities = frame.select(given).to_numpy().astype(np.float64)
    notes = ["Probabilities were converted to logits."]
    kept = _inside_bounds(probabilities)
    moved = int((kept != probabilities).any(axis=1).sum())
    if moved:
        notes.append(
            f"{plural(moved, 'row')} with a probability of exactly 0 or 1: moved just inside."
        )
    if single_label and (off := int((np.abs(probabilities.sum(axis=1) - 1) > 1e-3).sum())):
        notes.append(f"Probabilities of {plural(off, 'row')} do not sum to 1; they were rescaled.")
    # with exclusive classes the softmax of log p is p again
    logits = np.log(kept) if single_label else np.log(kept) - np.log1p(-kept)
    columns = [
        pl.Series(LOGIT + name.removeprefix(PROBABILITY).removeprefix(LOGIT), logits[:, i])
        for i, name in enumerate(given)
    ]
    return frame.drop(given).with_columns(columns), notes


def _inside_bounds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities with 0 and 1 moved inside, their order unchanged. [N, T]"""
    between = probabilities[(probabilities > 0) & (probabilities < 1)]
    smallest = float(np.finfo(np.float64).smallest_subnormal)  # half of it is 0
    low = max(smallest, min(MIN_PROBABILITY, between.min(initial=1.0) / 2))
    high = max(1 - MIN_PROBABILITY, between.max(initial=0.0))
    return np.where(probabilities <= 0, low, np.where(probabilities >= 1, high, probabilities))


def _cohort_faults(frame: pl.DataFrame) -> list[str]:
    """Patients in several cohorts, who would be resampled as several."""
    if "patient_id" not in frame.columns:
        return []
    conflicting = frame.filter(pl.col("cohort").n_unique().over("run_id", "patient_id") > 1)
    if conflicting.is_empty():
        return []
    count = plural(conflicting["patient_id"].n_unique(), "patient")
    return [f"{count} in more than one cohort, first in row {conflicting[ROW][0]}"]
