"""Commands that score predictions without running anything: evaluate, metrics."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medtransfer.cli.app import app
from medtransfer.errors import StudyError, listed, plural

Scores = Literal["logits", "probabilities"]
TaskName = Literal["binary", "multi-label", "single-label"]


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="The predictions, .csv or .parquet.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and report.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Table with case_id and attributes such as sex.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Other column names: case_id=study,prob_x=score,target_x=truth"),
    ] = None,
    scores: Annotated[
        Scores | None, typer.Option(help="What score columns hold, if their names do not say it.")
    ] = None,
    task: Annotated[
        TaskName | None, typer.Option(help="What the targets are to each other.")
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Report by these, comma-separated; else all that look so.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The rung others are compared with; the first by default.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with evaluation settings, as in study.yaml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Answer the five questions for any predictions table, with intervals."""
    from medtransfer.cli.display import runs_display
    from medtransfer.evaluation.comparison.evaluate_table import (
        evaluate_table,
        infer_task,
        join_attributes,
        rung_names,
        write_evaluation,
    )
    from medtransfer.report.page import write_evaluation_report
    from medtransfer.study.tables import known_facts
    from medtransfer.study.yaml_file import read_evaluation_config
    from medtransfer.tables.other_predictions import read_columns, read_other_predictions

    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    settings = read_evaluation_config(config)
    single = None if task is None else task == "single-label"
    names = read_columns(columns or [])
    table = read_other_predictions(predictions, names, scores, single_label=single)
    found, why = infer_task(table.frame)
    chosen = None if attributes is None else [a.strip() for a in attributes.split(",") if a.strip()]
    joined = join_attributes(table.frame, manifest, chosen)
    said = [*table.notes, *([] if task else [why]), *joined.said]
    with runs_display(as_json=as_json) as watch:
        tables = evaluate_table(
            table.frame,
            joined.frame,
            task or found,
            settings,
            reference=reference,
            facts=known_facts(rung_names(table.frame)),
            on_run=watch,
        )
    rungs = [mean.key.rung for mean in tables.means]
    write_evaluation(
        out,
        tables,
        table.frame,
        source=predictions,
        task=task or found,
        config=settings,
        reference=reference or rungs[0],
        attributes=joined.frame.columns[1:],
        said=said,
    )
    report = write_evaluation_report(out)
    if as_json:
        print(json.dumps({"said": said, "report": str(report), "rows": len(tables.results)}))
        return
    for sentence in said:
        print(sentence)
    _print_headline(tables.results)
    print(f"Report: {report}   (open it in a browser)")


@app.command()
def rank(
    folders: Annotated[list[Path], typer.Argument(help="Folders of studies or evaluations.")],
    metric: Annotated[str, typer.Option(help="As in the results table.")] = "auroc",
    cohort: Annotated[
        str | None, typer.Option(help="Whose test cases; by default where each task was trained.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Which rung is best over several tasks, and which are not told apart."""
    from medtransfer.evaluation.comparison.task_ranks import rank_tasks
    from medtransfer.tables.results import read_results

    tables: dict[str, Any] = {}
    for folder in folders:
        name = folder.resolve().name
        tables[name if name not in tables else str(folder)] = read_results(
            folder / "results.parquet"
        )
    found = rank_tasks(tables, metric, cohort)
    if as_json:
        print(json.dumps(asdict(found), default=list))
        return
    _print_ranking(found)


@app.command()
def savings(
    curves: Annotated[
        Path, typer.Argument(help="Table with rung, label_fraction, value; seed if there are any.")
    ],
    reference: Annotated[str, typer.Option(help="Its value with all labels is to be reached.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Labels saved, from a table of learning curves such as a paper prints."""
    from medtransfer.cli.display import print_table
    from medtransfer.evaluation.comparison.label_savings import read_curves, saved_labels

    found = saved_labels(read_curves(curves), reference)
    if as_json:
        print(json.dumps([asdict(row) for row in found]))
        return
    print_table(
        ("rung", f"labels saved against {reference}", "mean height of the curve"),
        [[row.rung, _saved(row), f"{row.area:.3f}"] for row in found],
    )


@app.command()
def metrics(
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Every metric: what it is, which way is better, where it comes from."""
    from medtransfer.cli.display import print_table
    from medtransfer.metrics.catalog import CATALOG, OOD_METRICS

    known = [*CATALOG.values(), *OOD_METRICS.values()]
    if as_json:
        print(json.dumps([_plain(metric) for metric in known]))
        return
    rows = [[m.name, m.title, m.better, m.formula, m.reference] for m in known]
    print_table(("metric", "what", "better", "definition", "reference"), rows)


def _print_ranking(found: Any) -> None:
    from medtransfer.cli.display import print_table

    order = sorted(range(len(found.rungs)), key=lambda k: found.ranking.ranks[k])
    rows = [
        [found.rungs[k], f"{found.ranking.ranks[k]:.2f}", *(f"{v:.3f}" for v in found.values[:, k])]
        for k in order
    ]
    print_table(("rung", "average rank", *found.tasks), rows)
    ranking = found.ranking
    print(
        f"{plural(ranking.tasks, 'task')}. All rungs alike: p = {ranking.f_p:.3f} (Iman and "
        f"Davenport). Average ranks {ranking.critical_difference:.2f} apart differ (Nemenyi, 5 %)."
    )
    for group in (group for group in ranking.groups if len(group) > 1):
        print(f"Not told apart: {listed(found.rungs[k] for k in group)}.")
    if ranking.reason:
        print(f"{ranking.reason.capitalize()}.")
    if found.left_out:
        print(f"Left out, not in every task: {listed(found.left_out)}.")


def _saved(row: Any) -> str:
    if row.saved is None:
        return "never reaches it"
    ends = ["not bounded" if end is None else f"{end:.0%}" for end in (row.low, row.high)]
    interval = "" if row.low is None and row.high is None else f" [{ends[0]}, {ends[1]}]"
    return f"{'at least ' * row.at_least}{row.saved:.0%}{interval}"


def _plain(metric: Any) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": metric.title,
        "better": metric.better,
        "low": _end(metric.low),
        "high": _end(metric.high),
        "needs": metric.needs,
        "formula": metric.formula,
        "reference": metric.reference,
    }


def _end(value: float) -> float | None:
    return value if abs(value) != float("inf") else None


def _print_headline(results: Any) -> None:
    """A row per rung and training set: AUROC at every cohort."""
    import polars as pl

    from medtransfer.cli.display import print_table
    from medtransfer.report.text import interval_text
    from medtransfer.tables.results import ALL

    rows = results.filter(
        pl.col("run_id").is_null()
        & (pl.col("metric") == "auroc")
        & (pl.col("attribute") == ALL)
        & ~pl.col("target").is_in(["micro"])
    )
    cohorts = rows["cohort"].unique(maintain_order=True).to_list()
    lines: list[list[str]] = []
    for (rung, fraction), own in rows.group_by("rung", "label_fraction", maintain_order=True):
        cells = {row["cohort"]: interval_text(row) for row in own.iter_rows(named=True)}
        lines.append([str(rung), f"{fraction:.0%}", *(cells.get(c, "–") for c in cohorts)])
    print_table(("rung", "labels", *(f"AUROC {c}" for c in cohorts)), lines, right=(1,))
