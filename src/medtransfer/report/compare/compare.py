"""Several studies, and predictions of other frameworks, on the test cases that all have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from medtransfer.data.config import Task
from medtransfer.errors import ConfigError, StudyError, fault_list, listed, plural
from medtransfer.evaluation.comparison.attributes.attribute_table import (
    AttributeTable,
    join_attributes,
)
from medtransfer.evaluation.comparison.choice.rung_pairs import pairs_frame, rung_pairs
from medtransfer.evaluation.comparison.evaluate_table import (
    evaluate_table,
    rung_names,
    write_evaluation,
)
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.language.translation import ENGLISH, Language, require_language
from medtransfer.report.compare.candidates import common_choice
from medtransfer.report.compare.common_cases import CommonCases, align_sides
from medtransfer.report.compare.side import (
    OwnTable,
    Side,
    StudySide,
    known_cases,
    named_apart,
    own_side,
    study_side,
)
from medtransfer.report.evaluate import Evaluation, divided_values
from medtransfer.report.hints import reversed_scores
from medtransfer.report.identifiers import identifiers_of
from medtransfer.report.page import write_evaluation_report
from medtransfer.report.reading import PAIRS
from medtransfer.runs.folders import MARK
from medtransfer.tables.imported.score_cells import Scores
from medtransfer.tables.schema import write_frame
from medtransfer.tables.values.rare_values import merge_rare_groups
from medtransfer.tables.values.value_map import ValueMap

KIND = "comparison of studies"


def _ignore_runs(_done: int, _total: int) -> None:
    """Report no progress."""


def compare_studies(
    studies: Sequence[Path],
    out: Path,
    *,
    predictions: Sequence[Path] = (),
    columns: Mapping[str, str] | None = None,
    scores: Scores | None = None,
    internal: str | None = None,
    values: ValueMap | None = None,
    manifest: Path | None = None,
    attributes: Sequence[str] | None = None,
    reference: str | None = None,
    config: EvaluationConfig | None = None,
    on_run: Callable[[int, int], None] = _ignore_runs,
    language: Language = ENGLISH,
) -> Evaluation:
    """Compare finished studies, and predictions of other frameworks, on their common test cases.

    All networks are measured on the test cases that every side has, of patients that none was
    trained or selected on. Differences are paired by patient, and seeds are a random factor, as in
    one study.

    Args:
        studies: Folders of finished studies, at least one.
        out: Folder for tables and report; files of an earlier comparison are replaced.
        predictions: Tables of other frameworks, with `case_id` and scores. Patient, cohort, split
            and truth are taken from the studies where a table has no column of them.
        columns: Our column names to those of the tables.
        scores: Content of the score columns, if their names do not say it.
        internal: Cohort of the tables' rows, if they have no column `cohort`.
        values: Values to read in place of others, by column of `manifest`, or of the tables
            without one and for their targets.
        manifest: Table with `case_id` and attributes; by default those of the first study.
        attributes: Columns to report by.
        reference: Rung that others are compared with; the first study's by default.
        config: Intervals, operating points and minimum group size; the first study's by default.
        on_run: Called with the number of runs scored and the number of runs.
        language: Of the first page and the clinic's pages: `en`, `de`, `fr`, `es` or `pt`. All
            other text stays English.

    Returns:
        The tables, the report's path, and notes on what was assumed and left out.

    Raises:
        StudyError: A folder holds no finished study, tasks differ, nothing is in common, or `out`
            is a file or a study.
        TableError: A table cannot be read, or sides say different things of one case.
        ConfigError: There are fewer than two sides, or the language is unknown.
    """
    require_language(language)
    _require_sides(studies, predictions, out)
    read = [study_side(path) for path in studies]
    task = _one_task(read)
    first = read[0]
    of_tables, of_manifest = divided_values(values or {}, columns or {}, manifest)
    config = config or first.config
    tables = [
        OwnTable(path, dict(columns or {}), scores, internal, _copied(of_tables))
        for path in predictions
    ]
    cases = known_cases([study.side for study in read])
    tables_read = [own_side(table, cases, single_label=task == "single-label") for table in tables]
    sides = named_apart([*(study.side for study in read), *tables_read])
    common = align_sides(sides, single_label=task == "single-label")
    if manifest is None:
        reported = _reported(read, common, attributes, config)
    else:
        reported = join_attributes(
            common.frame, manifest, attributes, of_manifest, config.minimum_group
        )
    base = reference or _name_of(first, sides[0])
    scored = evaluate_table(
        common.frame, reported.frame, task, config, reference=base, on_run=on_run
    )
    notes = [note for side in sides for note in side.notes]
    notes += [*common.notes, *_exclusion_notes(common), *reported.said, *scored.notes]
    notes += reversed_scores(scored.results)
    rungs = rung_names(common.frame)
    infos = {info.name: info for side in sides for info in side.rungs}
    choice = common_choice(sides)
    candidates = [mean for mean in scored.means if mean.key.rung not in choice.left_out]
    write_frame(pairs_frame(rung_pairs(candidates)), out / PAIRS)
    write_evaluation(
        out,
        scored,
        common.frame,
        source=first.side.source,
        task=task,
        config=config,
        reference=base,
        attributes=reported.frame.columns[1:],
        said=notes,
        beside={
            "name": " and ".join(side.name for side in sides),
            "kind": KIND,
            "rungs": [asdict(infos[rung]) for rung in rungs],
            "facts": [_fact(side, common) for side in sides],
            "choice": asdict(choice),
        },
    )
    identifiers = identifiers_of(common.frame, first.manifest, config.minimum_group)
    report = write_evaluation_report(out, identifiers, language=language)
    return Evaluation(out, report, scored.results, scored.comparisons, tuple(notes))


def _reported(
    studies: Sequence[StudySide],
    common: CommonCases,
    names: Sequence[str] | None,
    config: EvaluationConfig,
) -> AttributeTable:
    """Attributes of the compared cases, of the first study whose manifest is there.

    Raises:
        TableError: An attribute does not exist.
    """
    cases = common.frame.select("case_id").unique(maintain_order=True)
    tables = [study for study in studies if study.attributes is not None]
    if not tables or tables[0].attributes is None:
        text = "The manifest of no study could be read: groups are not reported."
        return AttributeTable(cases, (text,))
    table = tables[0].attributes
    if names is not None:
        missing = [name for name in names if name not in table.columns[1:]]
        if missing:
            raise ConfigError(
                f"{tables[0].side.name} does not report by {listed(missing)} (it does by: "
                f"{listed(table.columns[1:]) or 'nothing'}). Name a --manifest that has it."
            )
        table = table.select("case_id", *names)
    joined = cases.join(table, on="case_id", how="left", maintain_order="left")
    merged, _ = merge_rare_groups(joined, common.frame, config.minimum_group)
    return AttributeTable(merged, (f"Reported by the attributes of {tables[0].side.name}.",))


def _require_sides(studies: Sequence[Path], predictions: Sequence[Path], out: Path) -> None:
    """Check the number of sides and the folder that is written.

    Raises:
        ConfigError: There are too few sides.
        StudyError: The folder is a file or a study.
    """
    faults: list[str] = []
    if not studies:
        faults.append("no study is named; `medtransfer evaluate` judges predictions alone")
    elif len(studies) + len(predictions) < 2:
        faults.append("one study is named; a comparison needs another, or a predictions table")
    repeated = [path for path in studies if studies.count(path) > 1]
    if repeated:
        faults.append(f'"{repeated[0]}" is named twice')
    if faults:
        raise ConfigError(fault_list("Nothing can be compared", faults))
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    if (out / MARK).is_file():
        raise StudyError(f'"{out}" is the folder of a study. Name another with --out.')


def _one_task(studies: Sequence[StudySide]) -> Task:
    """The task of all studies.

    Raises:
        StudyError: They have several.
    """
    task = studies[0].task
    if any(study.task != task for study in studies):
        have = ", ".join(f"{study.side.name}: {study.task}" for study in studies)
        raise StudyError(
            f"The studies have different tasks ({have}): their scores are not of one kind. "
            "`medtransfer leaderboard` shows studies of different tasks side by side."
        )
    return task


def _name_of(study: StudySide, side: Side) -> str:
    """Name in the comparison of a study's reference rung."""
    names = [rung.name for rung in study.side.rungs]
    return side.rungs[names.index(study.reference)].name


def _exclusion_notes(common: CommonCases) -> Iterator[str]:
    """Sentences on cases that are not compared."""
    for name, count in common.only.items():
        if count:
            yield f"{plural(count, 'test case')} of {name} are in no other side: not compared."
    for row in common.excluded:
        yield (
            f"{plural(row.cases, 'test case')} of {row.tested} are of patients that "
            f"{row.trained} was trained or selected on: not compared."
        )


def _fact(side: Side, common: CommonCases) -> tuple[str, str]:
    """A side in words, for the methods."""
    runs = side.frame.group_by("rung").agg(pl.col("run_id").n_unique())["run_id"].to_list()
    text = f"{plural(len(runs), 'rung')}, {plural(sum(runs), 'run')}; "
    text += f"{common.cases:,} of its {plural(common.tested[side.name], 'test case')} are compared"
    return f"Compared: {side.name}", text


def _copied(values: ValueMap | None) -> dict[str, dict[str, str]]:
    return {name: dict(pairs) for name, pairs in (values or {}).items()}
