"""Rungs of many studies side by side: one row per study, test cohort and rung."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.errors import WHOLE_NAME, StudyError, fault_list, listed, plural
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.evaluation.comparison.task_ranks import RankedRungs, rank, ranked_metric
from medtransfer.files import write_text
from medtransfer.report.beside.hospital_matrix import TITLE, of_studies
from medtransfer.report.components import Component, Facts, Note, ReportTable, Section
from medtransfer.report.content import ReportData, Row
from medtransfer.report.page import PageHead, page_text
from medtransfer.report.reading import EVALUATION, load_evaluation_data, load_study_data
from medtransfer.report.recommendation import recommendation_of
from medtransfer.report.small_counts import count_text
from medtransfer.report.text import interval_text
from medtransfer.runs.folders import MARK, StudyFolder
from medtransfer.tables.schema import write_frame, write_spreadsheet

PAGE = "leaderboard.html"
SCHEMA = {
    "study": pl.String,
    "cohort": pl.String,
    "internal": pl.Boolean,
    "place": pl.Int64,
    "rung": pl.String,
    "pretraining": pl.String,
    "pretraining_images": pl.Int64,
    "parameters": pl.Int64,
    "seeds": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "num_cases": pl.Int64,
    "num_patients": pl.Int64,
    "num_positive": pl.Int64,
    "leader": pl.Boolean,
    "reason": pl.String,
}
"""Columns of the table. `leader`: not shown worse than another rung of its study; null where the
study says nothing of it."""


@dataclass(frozen=True)
class Leaderboard:
    """A table of the rungs of many studies.

    Attributes:
        page: ``leaderboard.html``.
        table: Its rows, also in ``leaderboard.csv`` and ``leaderboard.parquet``.
        ranked: Average ranks over the studies; None where fewer than two have two rungs in common.
    """

    page: Path
    table: pl.DataFrame
    ranked: RankedRungs | None


def leaderboard(folders: Sequence[Path], out: Path, *, metric: str = HEADLINE) -> Leaderboard:
    """List the rungs of finished studies and evaluations, best first at every test cohort.

    Studies have cases and tasks of their own: a place counts inside one study and cohort alone.

    Args:
        folders: Of studies, evaluations or comparisons.
        out: Folder for the table and its page.
        metric: Its name in the results tables.

    Returns:
        The table, the page's path, and average ranks over the studies.

    Raises:
        StudyError: A folder is neither, lacks the metric, or the metric has no better side; `out`
            is a file.
    """
    better = ranked_metric(metric)
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    boards = _named_apart([_data_of(folder) for folder in folders])
    rows = [row for data in boards for row in _rows(data, metric, better)]
    missing = [data.name for data in boards if data.name not in {row["study"] for row in rows}]
    if missing:
        raise StudyError(
            fault_list("No leaderboard can be made", [f"{n} has no '{metric}'" for n in missing])
        )
    table = pl.DataFrame(rows, schema=SCHEMA)
    ranked = _ranked(folders, metric)
    write_spreadsheet(table, out / "leaderboard.csv")
    write_frame(table, out / "leaderboard.parquet")
    least = max(data.evaluation.minimum_group for data in boards)
    matrix = of_studies(boards) if metric == HEADLINE else []
    write_text(out / PAGE, _page(table, ranked, metric, least, matrix))
    return Leaderboard(out / PAGE, table, ranked)


def _data_of(folder: Path) -> ReportData:
    """Report data of a study or an evaluation.

    Raises:
        StudyError: The folder is neither.
    """
    if (folder / EVALUATION).is_file():
        return load_evaluation_data(folder)
    if (folder / MARK).is_file():
        return load_study_data(StudyFolder(folder))
    raise StudyError(
        f'"{folder}" is the folder of neither a study nor an evaluation: it has no {MARK} and no '
        f"{EVALUATION}."
    )


def _named_apart(boards: Sequence[ReportData]) -> list[ReportData]:
    names = [data.name for data in boards]
    return [
        replace(data, name=f"{data.name} {names[: i + 1].count(data.name)}")
        if names.count(data.name) > 1
        else data
        for i, data in enumerate(boards)
    ]


def _rows(data: ReportData, metric: str, better: str) -> Iterator[Row]:
    """Rows of a study, its internal test set first, the best rung of every cohort first."""
    infos = {info.name: info for info in data.rung_infos}
    seeds = dict(
        data.results.filter(pl.col("run_id").is_not_null())
        .group_by("rung")
        .agg(pl.col("seed").n_unique())
        .iter_rows()
    )
    leaders = () if data.pairs is None else recommendation_of(data).rests_on.leaders
    for cohort in data.cohorts:
        name = data.headline(cohort) if metric == HEADLINE else metric
        pairs = [(rung, data.result_row(rung, cohort, name)) for rung in data.rungs]
        rows = [(rung, row) for rung, row in pairs if row is not None]
        sign = -1 if better == "higher" else 1
        values = sorted(sign * row["value"] for _, row in rows if row["value"] is not None)
        for rung, row in sorted(
            rows, key=lambda pair: (pair[1]["value"] is None, sign * (pair[1]["value"] or 0.0))
        ):
            value, internal = row["value"], cohort == data.internal_name
            yield {
                "study": data.name,
                "cohort": cohort,
                "internal": internal,
                "place": None if value is None else values.index(sign * value) + 1,
                "rung": rung,
                "pretraining": infos[rung].pretraining,
                "pretraining_images": infos[rung].images,
                "parameters": infos[rung].parameters,
                "seeds": seeds.get(rung),
                "metric": name,
                "leader": rung in leaders if leaders and internal else None,
                **{k: row[k] for k in ("value", "low", "high", "reason")},
                **{k: row[k] for k in ("num_cases", "num_patients", "num_positive")},
            }


def _ranked(folders: Sequence[Path], metric: str) -> RankedRungs | None:
    """Average ranks over the studies; None where they cannot be formed."""
    if len(folders) < 2:
        return None
    try:
        return rank(folders, metric)
    except StudyError:  # fewer than two rungs in all
        return None


def _page(
    table: pl.DataFrame,
    ranked: RankedRungs | None,
    metric: str,
    least: int,
    matrix: list[Component],
) -> str:
    studies = table["study"].unique(maintain_order=True).to_list()
    rungs = table["rung"].n_unique()
    head = PageHead(
        title=f"Leaderboard: {metric}",
        data_line=f"{plural(rungs, 'rung')} of {_studies(len(studies))}.",
        made_line="A place counts inside one study and cohort: other studies have other cases.",
    )
    sections = [
        _section(table.filter(pl.col("study") == name), f"study-{number}", least)
        for number, name in enumerate(studies, start=1)
    ]
    if matrix:
        sections.insert(0, Section("hospitals", TITLE, "", matrix))
    if ranked is not None:
        sections.insert(0, _ranks(ranked))
    return page_text(head, sections)


def _section(rows: pl.DataFrame, anchor: str, least: int) -> Section:
    """The rungs of one study."""
    study = str(rows["study"][0])
    marked = rows["leader"].is_not_null().any()
    head = ["Cohort", "Place", "Rung", *(["Not shown worse"] if marked else [])]
    head += ["Value", "Seeds", "Cases", "Patients", "Positive"]
    cells = [
        [
            f"{row['cohort']}{' (internal)' if row['internal'] else ''}",
            "–" if row["place"] is None else str(row["place"]),
            row["rung"],
            *([{True: "yes", False: "no", None: "–"}[row["leader"]]] if marked else []),
            interval_text(row),
            "–" if row["seeds"] is None else str(row["seeds"]),
            *(_count(row[name], least) for name in ("num_cases", "num_patients", "num_positive")),
        ]
        for row in rows.iter_rows(named=True)
    ]
    first = 3 + int(marked)
    numeric = frozenset({1, *range(first, first + 5)})
    parts: list[Component] = [ReportTable(head, cells, "", numeric)]
    parts.append(
        Note(
            "Brackets are 95% intervals over patients and, of several seeds, over seeds. Rungs "
            "with neighbouring places need not differ: the study's own report has their "
            "differences."
        )
    )
    return Section(anchor, study, "", parts)


def _studies(number: int) -> str:
    return "1 study" if number == 1 else f"{number} studies"


def _count(count: int | None, least: int) -> str:
    return "–" if count is None else count_text(count, least)


def _ranks(ranked: RankedRungs) -> Section:
    """Average ranks over the studies' internal test sets."""
    ranking = ranked.ranking
    order = sorted(range(len(ranked.rungs)), key=lambda k: ranking.ranks[k])
    groups = [
        listed((ranked.rungs[k] for k in group), width=WHOLE_NAME)
        for group in ranking.groups
        if len(group) > 1
    ]
    facts = [(ranked.rungs[k], f"{ranking.ranks[k]:.2f}") for k in order]
    parts: list[Component] = [Facts(facts)]
    parts += [Note(f"No significant difference: {group}.") for group in groups]
    if ranking.reason:
        parts.append(Note(f"{ranking.reason.capitalize()}."))
    if ranked.left_out:
        parts.append(Note(f"Left out, not in every study: {listed(ranked.left_out)}."))
    lead = (
        f"Average ranks over {_studies(ranking.tasks)} (1 is best). Critical difference: "
        f"{ranking.critical_difference:.2f} (Nemenyi, 5%)."
    )
    return Section("ranks", "Average ranks", lead, parts)
