"""Test cases that runs answered: those they share, and cross-validation folds among them.

A vendor rejects images, a folder lacks some. Two runs are compared on the cases that both answered;
on any others the harder cases of one would count as its own fault.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import TableError, plural
from medtransfer.evaluation.comparison.grid_key import GridKey

TEST = pl.col("split") == "test"


@dataclass(frozen=True)
class Answered:
    """Test cases of a run.

    Attributes:
        cases: `cohort` and `case_id`, in order and without repeats.
    """

    cases: pl.DataFrame

    def __len__(self) -> int:
        return len(self.cases)


def answered(predictions: pl.DataFrame) -> Answered:
    """Test cases that a run has predictions of."""
    return Answered(
        predictions.filter(TEST).select("cohort", "case_id").unique().sort("cohort", "case_id")
    )


class AnsweredSets:
    """The same as `answered`, one object for all runs that answered the same."""

    def __init__(self) -> None:
        self._sets: list[Answered] = []
        self._latest: tuple[pl.DataFrame, Answered] | None = None

    def of(self, predictions: pl.DataFrame) -> Answered:
        """Test cases that a run has predictions of."""
        rows = predictions[["cohort", "case_id", "split"]]
        if self._latest is not None and self._latest[0].equals(rows):  # as most runs of a study
            return self._latest[1]
        cases = answered(predictions)
        same = next((earlier for earlier in self._sets if earlier.cases.equals(cases.cases)), None)
        if same is None:
            self._sets.append(cases)
        self._latest = rows, same or cases
        return same or cases


def shared_cases(sides: Sequence[Answered]) -> Answered | None:
    """Test cases that all sides answered; None where all answered the same."""
    first = sides[0]
    if all(side is first or side.cases.equals(first.cases) for side in sides[1:]):
        return None
    shared = first.cases
    for side in sides[1:]:
        shared = shared.join(side.cases, on=["cohort", "case_id"], how="semi")
    return Answered(shared.sort("cohort", "case_id"))


def others(side: Answered, shared: Answered) -> Answered:
    """Test cases of one side that are not shared."""
    rest = side.cases.join(shared.cases, on=["cohort", "case_id"], how="anti")
    return Answered(rest.sort("cohort", "case_id"))


def restricted(predictions: pl.DataFrame, cases: Answered) -> pl.DataFrame:
    """A run's predictions with these test cases alone; its other splits stay."""
    kept = predictions.filter(TEST).join(cases.cases, on=["cohort", "case_id"], how="semi")
    return pl.concat([predictions.filter(~TEST), kept])


def pool_folds(
    predictions: pl.DataFrame, runs: Iterable[tuple[str, GridKey]]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Predictions with the folds of cross-validations pooled into one out-of-fold run each.

    Folds are runs of one rung and training set whose test cases are disjoint: a mean over them
    would be of as many patients as one fold has.

    Args:
        predictions: The table.
        runs: Run ids of the table with rung and training set.

    Returns:
        The table, and a sentence for each rung whose folds were pooled.

    Raises:
        TableError: Disjoint runs have a tuning split, or several runs of one rung share no test
            case though two of them do.
    """
    by_key: dict[GridKey, list[str]] = {}
    for run_id, key in runs:
        by_key.setdefault(key, []).append(run_id)
    notes: list[str] = []
    for key, run_ids in by_key.items():
        if len(run_ids) < 2:
            continue
        rows = predictions.filter(pl.col("run_id").is_in(run_ids))
        tests = [answered(rows.filter(pl.col("run_id") == run_id)) for run_id in run_ids]
        if _share_a_case(tests):
            continue
        if not _are_disjoint(tests):
            raise TableError(
                f"The {len(run_ids)} runs of rung '{key.rung}' have no test case that all of them "
                "answered, though some runs share test cases: they look like a repeated "
                "cross-validation. Pool the folds of each repeat into one run with a seed of its "
                "own, and evaluate again."
            )
        if not rows.filter(~TEST).is_empty():
            raise TableError(
                f"The {len(run_ids)} runs of rung '{key.rung}' share no test case: they look like "
                "the folds of a cross-validation, but they have a tuning split, and a fold's "
                "threshold does not hold for another fold's network. Leave out all rows but "
                "those of split 'test' to pool the folds, or give each fold a rung of its own to "
                "see them apart."
            )
        predictions = _pooled(predictions, run_ids)
        cases = sum(len(test) for test in tests)
        notes.append(
            f"The {len(run_ids)} runs of rung '{key.rung}' are folds of a cross-validation (no "
            f"test case in common) and were pooled into one out-of-fold run of "
            f"{plural(cases, 'case')}. Scores of different networks are ranked together there."
        )
        notes += _in_several_folds(rows.filter(TEST), key.rung)
    return predictions, tuple(notes)


def _in_several_folds(rows: pl.DataFrame, rung: str) -> list[str]:
    """Sentence on patients that several folds tested: each fold's network was trained on them."""
    folds = rows.group_by("patient_id").agg(pl.col("run_id").n_unique())
    split = folds.filter(pl.col("run_id") > 1)
    if split.is_empty():
        return []
    sentence = (
        f"Rung '{rung}' was tested on {len(split):,} of {plural(len(folds), 'patient')} in several "
        "folds: if the other folds were its training cases, each network saw these patients in "
        "training, and all its numbers are too good. Divide folds by patient."
    )
    return [sentence]


def _share_a_case(tests: Sequence[Answered]) -> bool:
    shared = shared_cases(tests)
    return shared is None or len(shared) > 0


def _are_disjoint(tests: Sequence[Answered]) -> bool:
    together = pl.concat([test.cases for test in tests])
    return not together.is_duplicated().any()


def _pooled(predictions: pl.DataFrame, run_ids: Sequence[str]) -> pl.DataFrame:
    """Some runs as one, under the name of the first."""
    mine = pl.col("run_id").is_in(run_ids)
    first = predictions.filter(pl.col("run_id") == run_ids[0])
    renamed = {"run_id": pl.when(mine).then(pl.lit(run_ids[0])).otherwise(pl.col("run_id"))}
    if "seed" in predictions.columns:
        seed = pl.lit(first["seed"][0], dtype=predictions.schema["seed"])
        renamed["seed"] = pl.when(mine).then(seed).otherwise(pl.col("seed"))
    return predictions.with_columns(**renamed)
