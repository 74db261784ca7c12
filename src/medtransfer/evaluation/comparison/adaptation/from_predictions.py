"""Adaptation curves of a predictions table, ours or another framework's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import ConfigError, TableError, listed
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.probed_run import PROBE
from medtransfer.evaluation.comparison.adaptation.reading import (
    AdaptationReading,
    read_adaptation,
)
from medtransfer.evaluation.comparison.adaptation.summary import adapt_table
from medtransfer.evaluation.comparison.evaluate_table import infer_task, ladder_runs
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.posthoc.adaptation.arms import ARMS, TRAINED_ARMS
from medtransfer.tables.imported.score_cells import Scores
from medtransfer.tables.other_predictions import Completion, read_other_predictions
from medtransfer.tables.values.value_map import ValueMap

WHY = {
    PROBE: "needs the features of the network",
    **dict.fromkeys(TRAINED_ARMS, "needs a network to train"),
}
"""Needs of the arms that predictions alone cannot have."""


@dataclass(frozen=True)
class AdaptationCurves:
    """Adaptation curves with their reading.

    Attributes:
        table: An arm, a number of patients and a metric a row.
        readings: One sentence for each rung and hospital.
        notes: Assumptions made about the table, in sentences.
    """

    table: pl.DataFrame
    readings: tuple[AdaptationReading, ...]
    notes: tuple[str, ...]


def adaptation_curves(
    predictions: Path,
    *,
    adapt: AdaptConfig | None = None,
    config: EvaluationConfig | None = None,
    columns: Mapping[str, str] | None = None,
    scores: Scores | None = None,
    task: Task | None = None,
    values: ValueMap | None = None,
    on_run: Callable[[int, int], None] = lambda _done, _total: None,
) -> AdaptationCurves:
    """Measure what a few patients of each shifted hospital are worth without training.

    Args:
        predictions: ``.csv`` or ``.parquet``, one row per case and run; the tuning split is of the
            home hospital, test cases of other cohorts are adapted to.
        adapt: Arms, numbers of patients, draws.
        config: Operating points, decision thresholds, replicates.
        columns: Our column names to theirs.
        scores: Content of the score columns, if their names do not say it.
        task: Relation of the targets; inferred from the table by default.
        values: Values to read in place of others, by column of the table.
        on_run: Called with the number of runs measured, and of all runs.

    Returns:
        The curves of every arm, and what was assumed on the way.

    Raises:
        ConfigError: An arm needs more of the network than its predictions.
        TableError: The table cannot be read or breaks its contract, has no tuning split, or no
            hospital but those of the tuning split.
    """
    beyond = [] if adapt is None else [arm for arm in adapt.arms if arm not in ARMS]
    if beyond:
        raise ConfigError(
            f"adapt.arms names {listed(map(repr, beyond))}, which {WHY[beyond[0]]}, and a table of "
            "predictions has none. Leave it out, or set it in a study (adapt: in study.yaml)."
        )
    single = None if task is None else task == "single-label"
    read = read_other_predictions(
        predictions,
        dict(columns or {}),
        scores,
        single_label=single,
        completion=Completion(values=values or {}),
    )
    require_shifted(read.frame)
    inferred, reason = infer_task(read.frame)
    table = adapt_table(
        ladder_runs(read.frame),
        task or inferred,
        config or EvaluationConfig(),
        adapt or AdaptConfig(),
        on_run=on_run,
    )
    notes = (*read.notes, *([] if task else [reason]))
    return AdaptationCurves(table, tuple(read_adaptation(table)), notes)


def require_shifted(predictions: pl.DataFrame) -> None:
    """Check that a table has a tuning split and a hospital without one.

    Raises:
        TableError: One of the two is missing.
    """
    home = predictions.filter(pl.col("split") == "tune")["cohort"].unique().sort().to_list()
    if not home:
        raise TableError(
            "No case is in the split 'tune', so there is nothing to carry: thresholds and "
            "calibrators are fitted on it. Add the tuning cases of the home hospital."
        )
    tested = predictions.filter(pl.col("split") == "test", ~pl.col("cohort").is_in(home))
    if tested.is_empty():
        raise TableError(
            f"Every test case is of a cohort with a tuning split ({listed(home)}), so there is no "
            "hospital to adapt to. Add test cases of another cohort."
        )
