"""Cells of a predictions table that another framework wrote: labels, scores, patients.

Nothing that could change a number is guessed: what is unclear is refused with a remedy.
"""

from typing import Literal

import polars as pl

from medtransfer.errors import listed, plural
from medtransfer.tables.guessed_targets import spelled_target, values_option
from medtransfer.tables.predictions import target_names
from medtransfer.tables.schema import ROW, rows_of
from medtransfer.tables.values.missing_words import missing_words
from medtransfer.tables.values.value_map import cell_text

Scores = Literal["logits", "probabilities"]
PROBABILITY, LOGIT, TARGET = "prob_", "logit_", "target_"


def columns_with(frame: pl.DataFrame, prefix: str) -> list[str]:
    """Names of the columns that start with a prefix, in column order."""
    return [name for name in frame.columns if name.startswith(prefix)]


def _numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column as numbers; null for cells that are not numbers."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return frame.select(text.cast(pl.Float64, strict=False)).to_series()


def word_faults(frame: pl.DataFrame) -> list[str]:
    """The option that reads labels in words, and what a cell without a score means."""
    spelled = [name for name in columns_with(frame, TARGET) if spelled_target(frame, name)]
    options = [values_option(frame, name).replace(":-1", ":empty") for name in spelled]
    faults = [f"labels in words are read with {option}" for option in options]
    for name in columns_with(frame, TARGET):
        uncertain = frame.filter(_numbers(frame, name) == -1)[name]
        if len(uncertain) and name not in spelled:
            words = ",".join(f"{word}:empty" for word in cell_text(uncertain).unique().sort())
            faults.append(
                f"'{name}' holds -1: no number here counts uncertain cases. Leave their cells "
                f"empty with --values {name}={words}"
            )
    scores = [*columns_with(frame, LOGIT), *columns_with(frame, PROBABILITY)]
    texts = [name for name in scores if frame.schema[name] == pl.String()]
    if any(missing_words(frame[name]) for name in texts) or any(
        frame[name].null_count() for name in scores
    ):
        faults.append("a case without a score is counted as not answered: leave its row out")
    return faults


def score_faults(frame: pl.DataFrame, scores: Scores | None) -> list[str]:
    """Scores that do not match their column name, detected by their range."""
    logits, probabilities = columns_with(frame, LOGIT), columns_with(frame, PROBABILITY)
    faults = [
        f"'{name}' is not finite in {rows_of(not_finite)}"
        for name in [*logits, *probabilities]
        if not (not_finite := frame.filter(~_numbers(frame, name).is_finite())).is_empty()
    ]
    values = [_numbers(frame, name).drop_nulls() for name in logits]
    if logits and scores is None and all(len(v) and v.is_between(0, 1).all() for v in values):
        faults.append(
            f"{listed(logits)} are between 0 and 1 in all rows and look like probabilities. If "
            "they are, name them prob_<name> or pass --scores probabilities; if they are not, pass "
            "--scores logits"
        )
    advice = dict.fromkeys(probabilities, "If they are logits, name it logit_<name>")
    if scores == "probabilities":
        advice |= dict.fromkeys(logits, "If they are logits, leave out --scores probabilities")
    for name, todo in advice.items():
        values = _numbers(frame, name)
        outside = frame.filter(values.is_finite() & ~values.is_between(0, 1))
        if not outside.is_empty():
            faults.append(
                f"'{name}' is outside 0 to 1 in {plural(len(outside), 'row')}, first in row "
                f"{outside[ROW][0]}: these are not probabilities. {todo}"
            )
    for name in target_names(frame):
        score_columns = [p + name for p in (LOGIT, PROBABILITY) if p + name in frame.columns]
        if len(score_columns) != 1:
            what = "both of" if score_columns else "neither of"
            faults.append(f"'{TARGET}{name}' has {what} '{LOGIT}{name}' and '{PROBABILITY}{name}'")
    return faults
