"""Truth of cases that several readers have read: their majority, or one of them."""

from dataclasses import dataclass

import polars as pl

from medtransfer.errors import TableError, listed, plural, suggestion
from medtransfer.evaluation.comparison.readers.table import CASE_ID, READER, Readings

MAJORITY = "majority"
EACH = "each"
"""Every reading is a case of its own, so that numbers are means over the readers' labels."""
BETWEEN = " · "
"""Between the ids of a case and of its reader, where readings are cases."""


@dataclass(frozen=True)
class Truth:
    """Labels made of readings.

    Attributes:
        frame: `case_id` and the targets' columns, null where there is no majority or no reading.
        notes: How they were made, and of how many cases they could not be, in sentences.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]


def truth_of(readings: Readings, rule: str, *, single_label: bool = False) -> Truth:
    """Make the labels of cases from their readings.

    Args:
        readings: Of two or more readers.
        rule: `majority` (a tie has no label), `each`, or the name of a reader. For `each` the
            labels are those of the majority, until `readings_as_cases` takes every reading.
        single_label: True if the targets are classes that exclude each other: the class that most
            readers chose.

    Raises:
        TableError: There is no such rule or reader.
    """
    if rule not in (MAJORITY, EACH, *readings.readers):
        hint = suggestion(rule, [MAJORITY, EACH, *readings.readers])
        raise TableError(
            f"truth '{rule}' is no rule ({MAJORITY}, {EACH}) and no reader "
            f"({listed(readings.readers, 20)}). {hint}".rstrip()
        )
    names = [f"target_{name}" for name in readings.targets]
    if rule in readings.readers:
        labels = readings.frame.filter(pl.col(READER) == rule).drop(READER)
        return Truth(
            labels, (f"Truth: what reader {rule} said, of {plural(len(labels), 'case')}.",)
        )
    grouped = readings.frame.group_by(CASE_ID, maintain_order=True)
    if single_label:
        votes = grouped.agg(pl.col(names).sum())
        most = pl.max_horizontal(names)
        alone = pl.sum_horizontal((pl.col(name) == most).cast(pl.Int64) for name in names) == 1
        decided = alone & (most > 0)
        labels = votes.with_columns(
            pl.when(decided).then((pl.col(name) == most).cast(pl.Float64)).alias(name)
            for name in names
        )
        ties = {"": int((~votes.select(decided.alias("d"))["d"]).sum())}
    else:
        shares = grouped.agg(pl.col(names).mean())
        ties = {name: int((shares[name] == 0.5).sum()) for name in names}
        labels = shares.with_columns(
            pl.when(pl.col(name) != 0.5).then((pl.col(name) > 0.5).cast(pl.Float64)).alias(name)
            for name in names
        )
    notes = [f"Truth: the majority of {plural(len(readings.readers), 'reader')}."]
    for name, count in ties.items():
        if count and rule == MAJORITY:
            for_target = f" for '{name.removeprefix('target_')}'" if name else ""
            notes.append(f"{plural(count, 'case')} without a majority{for_target}: left out there.")
    return Truth(labels, tuple(notes) if rule == MAJORITY else ())


def readings_as_cases(
    predictions: pl.DataFrame, attributes: pl.DataFrame, readings: Readings
) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """Make every reading a case: the prediction repeated, with that reader's labels.

    Patients stay as they are, so that intervals know that the readings of a case belong together.

    Args:
        predictions: Predictions table.
        attributes: `case_id` and attributes.
        readings: Of its cases; a case that nobody has read is left out.

    Returns:
        Both tables with a row per reading, and a sentence.
    """
    names = [f"target_{name}" for name in readings.targets]
    read = readings.frame.filter(pl.any_horizontal(pl.col(names).is_not_null()))
    given = [name for name in names if name in predictions.columns]
    by_reading = predictions.drop(given).join(read, on=CASE_ID, how="inner", maintain_order="left")
    named = pl.concat_str([CASE_ID, READER], separator=BETWEEN).alias(CASE_ID)
    columns = [*predictions.drop(given).columns, *names]
    repeated = attributes.join(read.select(CASE_ID, READER), on=CASE_ID, how="inner")
    unread = predictions[CASE_ID].n_unique() - by_reading[CASE_ID].n_unique()
    cases = read.join(predictions.select(CASE_ID).unique(), on=CASE_ID, how="semi")
    sentence = f"Truth: each of {plural(len(cases), 'reading')} counts as a case."
    if unread:
        sentence += f" {plural(unread, 'case')} without a reading: left out."
    return (
        by_reading.with_columns(named).select(columns),
        repeated.with_columns(named).drop(READER),
        sentence,
    )
