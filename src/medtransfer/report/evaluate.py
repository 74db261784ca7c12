"""One predictions table, ours or another framework's, to a folder of tables and a report.

It lies above `evaluation`, because it ends in a page.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import StudyError
from medtransfer.evaluation.comparison.attributes.attribute_table import join_attributes
from medtransfer.evaluation.comparison.evaluate_table import (
    evaluate_table,
    infer_task,
    rung_names,
    write_evaluation,
)
from medtransfer.evaluation.comparison.readers.scored_cases import (
    by_reading,
    read_by_several,
    write_readers,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.language.translation import ENGLISH, Language, require_language
from medtransfer.report.hints import reversed_scores, saturated_scores, soft_labels
from medtransfer.report.identifiers import identifiers_of, readable_rows
from medtransfer.report.page import write_evaluation_report
from medtransfer.study.rungs.facts import known_facts
from medtransfer.tables.imported.score_cells import TARGET, Scores
from medtransfer.tables.other_predictions import Completion, read_other_predictions
from medtransfer.tables.values.value_map import ValueMap


@dataclass(frozen=True)
class Evaluation:
    """Tables and report of an evaluated predictions table.

    Attributes:
        folder: Folder that holds all of it.
        report: The page, ``report.html`` in the folder.
        results: The results table.
        comparisons: Differences from the reference rung.
        notes: Assumptions made about the table, in sentences.
    """

    folder: Path
    report: Path
    results: pl.DataFrame
    comparisons: pl.DataFrame
    notes: tuple[str, ...]


def _ignore_runs(_done: int, _total: int) -> None:
    """Report no progress."""


def divided_values(
    values: ValueMap, columns: Mapping[str, str], manifest: Path | None
) -> tuple[ValueMap, ValueMap]:
    """Divide values to write between the tables of predictions and a manifest beside them.

    Args:
        values: By column.
        columns: Our column names to those of the predictions.
        manifest: The manifest; None if there is none, and all values are of the predictions.

    Returns:
        Values of the predictions, which are those of its targets, and those of the manifest.
    """
    if manifest is None:
        return values, {}
    theirs = {name for ours, name in columns.items() if ours.startswith(TARGET)}
    targets = {name for name in values if name in theirs or name.startswith(TARGET)}
    return (
        {name: pairs for name, pairs in values.items() if name in targets},
        {name: pairs for name, pairs in values.items() if name not in targets},
    )


def evaluate(
    predictions: Path,
    out: Path,
    *,
    manifest: Path | None = None,
    columns: Mapping[str, str] | None = None,
    scores: Scores | None = None,
    task: Task | None = None,
    attributes: Sequence[str] | None = None,
    values: ValueMap | None = None,
    reference: str | None = None,
    config: EvaluationConfig | None = None,
    readings: Path | None = None,
    truth: str | None = None,
    internal: str | None = None,
    on_run: Callable[[int, int], None] = _ignore_runs,
    language: Language = ENGLISH,
) -> Evaluation:
    """Evaluate a predictions table: metrics, intervals, comparisons and a report.

    Args:
        predictions: ``.csv`` or ``.parquet``, one row per case and run.
        out: Folder for tables and report; files of an earlier evaluation are replaced.
        manifest: Table with `case_id` and attributes such as sex, one row per image or case.
        columns: Our column names to theirs, e.g. ``{"case_id": "study", "prob_x": "score"}``.
        scores: Content of the score columns, if their names do not say it.
        task: Relation of the targets; inferred from the table by default.
        attributes: Columns of `manifest` to report by; by default every column with few values.
        values: Values to read in place of others, by column of `manifest`, or of `predictions`
            without one and for its targets: ``{"sex": {"w": "F"}, "target_x": {"yes": "1"}}``.
        reference: Rung that others are compared with; the first by default.
        config: Intervals, operating points and minimum group size.
        readings: Table of what several readers said: `case_id`, `reader` and a column
            ``target_<name>`` for each target. Readers are compared with each other and with the
            predictions in ``readers.parquet`` and in the report.
        truth: Truth of a case that several have read: `majority`, `each` (every reading is a
            case), or a reader's name. By default the targets of `predictions`, and the majority
            where it has none.
        internal: Cohort of the rows, if the table has no column `cohort`.
        on_run: Called with the number of runs scored and the number of runs.
        language: Of the first page and the clinic's pages: `en`, `de`, `fr`, `es` or `pt`. All
            other text stays English.

    Returns:
        The tables, the report's path, and notes on what was assumed.

    Raises:
        TableError: A table cannot be read or does not keep its contract, an attribute or the
            reference does not exist, or the memory is too small.
        StudyError: `out` is a file.
        ConfigError: The language is unknown.
    """
    require_language(language)
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    config = config or EvaluationConfig()
    single_label = None if task is None else task == "single-label"
    of_predictions, of_manifest = divided_values(values or {}, columns or {}, manifest)
    read = read_by_several(readings, truth, single_label=single_label)
    table = read_other_predictions(
        predictions,
        dict(columns or {}),
        scores,
        single_label=single_label,
        labels=None if read is None else read.labels,
        completion=Completion(None, internal, of_predictions),
    )
    inferred, reason = infer_task(table.frame)
    joined = join_attributes(table.frame, manifest, attributes, of_manifest, config.minimum_group)
    scored = by_reading(read, table, joined.frame)
    tables = evaluate_table(
        scored.frame,
        scored.attributes,
        task or inferred,
        config,
        reference=reference,
        facts=known_facts(rung_names(table.frame)),
        on_run=on_run,
    )
    notes = (*table.notes, *([] if task else [reason]), *joined.said)
    notes = (*notes, *scored.notes, *tables.notes)
    notes = (*notes, *soft_labels(scored.frame), *reversed_scores(tables.results))
    notes = (*notes, *saturated_scores(scored.frame, task or inferred))
    write_evaluation(
        out,
        tables,
        scored.frame,
        source=predictions,
        task=task or inferred,
        config=config,
        reference=reference or tables.means[0].key.rung,
        attributes=joined.frame.columns[1:],
        said=notes,
    )
    write_readers(out, read, table.frame, task or inferred, config)
    ids = identifiers_of(table.frame, readable_rows(manifest), config.minimum_group)
    report = write_evaluation_report(out, ids, language=language)
    return Evaluation(out, report, tables.results, tables.comparisons, notes)
