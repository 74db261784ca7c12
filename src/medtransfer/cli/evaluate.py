"""Commands on finished predictions and results: evaluate, rank, savings, metrics."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medtransfer.cli.app import AsJson, PageLanguage, Values, app
from medtransfer.cli.completion.names import complete_metrics, complete_studies
from medtransfer.errors import ConfigError, listed, plural, shown

if TYPE_CHECKING:
    from medtransfer.evaluation.comparison.label_savings import LabelSaving
    from medtransfer.evaluation.comparison.task_ranks import RankedRungs
    from medtransfer.metrics.metric import Metric
    from medtransfer.report.evaluate import Evaluation

ScoresOption = Literal["logits", "probabilities"]
TaskOption = Literal["binary", "multi-label", "single-label"]


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="The predictions, .csv or .parquet.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and report.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Table with case_id and attributes such as sex.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Column mapping: case_id=study,prob_x=score,target_x=truth"),
    ] = None,
    scores: Annotated[
        ScoresOption | None,
        typer.Option(help="Content of the score columns, if their names do not say it."),
    ] = None,
    task: Annotated[
        TaskOption | None, typer.Option(help="Relation of the targets; inferred by default.")
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(
            help="Attributes to report by, comma-separated; by default those that `init` proposes."
        ),
    ] = None,
    values: Values = None,
    reference: Annotated[
        str | None, typer.Option(help="Rung that others are compared with; the first by default.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with evaluation settings, as in study.yaml.")
    ] = None,
    readings: Annotated[
        Path | None,
        typer.Option(help="Table of several readers' labels: case_id, reader, target_<name>."),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(help="Truth of read cases: majority, each, or a reader's name."),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a finished study whose rungs stand beside the predictions.",
            autocompletion=complete_studies,
        ),
    ] = None,
    internal: Annotated[
        str | None,
        typer.Option(help="Cohort of the rows, if the table has no column cohort."),
    ] = None,
    language: PageLanguage = "en",
    as_json: AsJson = False,
) -> None:
    """Evaluate a predictions table of any framework: metrics, intervals and a report."""
    from medtransfer.cli.display import runs_display
    from medtransfer.language.translation import require_language
    from medtransfer.report.compare.compare import compare_studies
    from medtransfer.report.evaluate import evaluate
    from medtransfer.study.yaml_file import read_evaluation_config
    from medtransfer.tables.other_predictions import read_columns
    from medtransfer.tables.values.value_map import read_value_map

    spoken = require_language(language)
    refused = {"task": task, "readings": readings, "truth": truth}
    if study is not None and (given := [name for name in refused if refused[name] is not None]):
        names = listed(f"--{name}" for name in given)
        raise ConfigError(f"{names} cannot be used with --study: the study has its task and truth.")
    beside = partial(compare_studies, [] if study is None else [study], predictions=[predictions])
    alone = partial(evaluate, predictions, task=task, readings=readings, truth=truth)
    with runs_display(as_json=as_json) as on_run:
        evaluation = (alone if study is None else beside)(
            out=out,
            manifest=manifest,
            columns=read_columns(columns or []),
            scores=scores,
            attributes=None if attributes is None else names_of(attributes),
            values=read_value_map(values or []),
            reference=reference,
            config=None if config is None else read_evaluation_config(config),
            internal=internal,
            on_run=on_run,
            language=spoken,
        )
    print_evaluation(evaluation, as_json=as_json)


@app.command()
def rank(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of studies or evaluations.", autocompletion=complete_studies),
    ],
    metric: Annotated[
        str,
        typer.Option(help="Metric, as in the results table.", autocompletion=complete_metrics),
    ] = "auroc",
    cohort: Annotated[
        str | None, typer.Option(help="Test cohort; by default each task's training cohort.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank models across tasks and list statistical ties."""
    from medtransfer.evaluation.comparison.task_ranks import rank

    ranked = rank(folders, metric, cohort)
    if as_json:
        print(json.dumps(asdict(ranked), default=list))
    else:
        _print_ranking(ranked)


@app.command()
def savings(
    curves: Annotated[
        Path,
        typer.Argument(help="Table with rung, label_fraction, value, and seed if there are any."),
    ],
    reference: Annotated[
        str, typer.Option(help="Rung whose value with all labels is to be reached.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compute labels saved from a table of learning curves, such as a paper's."""
    from medtransfer.cli.display import print_table
    from medtransfer.evaluation.comparison.label_savings import savings

    rows = savings(curves, reference)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print_table(
        ("rung", f"labels saved against {reference}", "mean height of the curve"),
        [[row.rung, _saving_text(row), f"{row.area:.3f}"] for row in rows],
    )


@app.command()
def metrics(as_json: AsJson = False) -> None:
    """List all metrics with definition, direction and reference."""
    from medtransfer.cli.display import print_table
    from medtransfer.metrics.catalog import CATALOG, SPECIAL_METRICS

    catalog = [*CATALOG.values(), *SPECIAL_METRICS.values()]
    if as_json:
        print(json.dumps([_metric_record(metric) for metric in catalog]))
        return
    rows = [[m.name, m.title, m.better, m.formula, m.reference] for m in catalog]
    print_table(("metric", "what", "better", "definition", "reference"), rows)


def names_of(text: str) -> list[str]:
    """Names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def print_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print what was assumed, a row per rung, and where the report is."""
    from medtransfer.cli.summary import print_rungs
    from medtransfer.report.reading import load_evaluation_data

    if as_json:
        notes, rows = list(evaluation.notes), len(evaluation.results)
        print(json.dumps({"said": notes, "report": str(evaluation.report), "rows": rows}))
        return
    print("\n".join(shown(sentence) for sentence in evaluation.notes))
    print_rungs(load_evaluation_data(evaluation.folder))
    print(f"Report: {evaluation.report}   (open it in a browser)")


def _print_ranking(ranked: "RankedRungs") -> None:
    """Print rungs by average rank, the test, and groups without a significant difference."""
    from medtransfer.cli.display import print_table

    ranking = ranked.ranking
    order = sorted(range(len(ranked.rungs)), key=lambda k: ranking.ranks[k])
    rows = [
        [ranked.rungs[k], f"{ranking.ranks[k]:.2f}", *(f"{v:.3f}" for v in ranked.values[:, k])]
        for k in order
    ]
    print_table(("rung", "average rank", *ranked.tasks), rows)
    print(
        f"{plural(ranking.tasks, 'task')}. All rungs equal: p = {ranking.f_p:.3f} (Iman and "
        f"Davenport). Critical difference of average ranks: {ranking.critical_difference:.2f} "
        "(Nemenyi, 5 %)."
    )
    for group in (group for group in ranking.groups if len(group) > 1):
        print(f"No significant difference: {listed(ranked.rungs[k] for k in group)}.")
    if ranking.reason:
        print(f"{ranking.reason.capitalize()}.")
    if ranked.left_out:
        print(f"Left out, not in every task: {listed(ranked.left_out)}.")


def _saving_text(row: "LabelSaving") -> str:
    if row.saved is None:
        return "never reaches it"
    if row.at_least:
        low = "" if row.low is None else f" [at least {row.low:.0%}]"
        return f"at least {row.saved:.0%}{low}"
    ends = ["not bounded" if end is None else f"{end:.0%}" for end in (row.low, row.high)]
    interval = "" if row.low is None and row.high is None else f" [{ends[0]}, {ends[1]}]"
    return f"{row.saved:.0%}{interval}"


def _metric_record(metric: "Metric") -> dict[str, str | float | None]:
    return {
        "name": metric.name,
        "title": metric.title,
        "better": metric.better,
        "low": _finite(metric.low),
        "high": _finite(metric.high),
        "needs": metric.needs,
        "formula": metric.formula,
        "reference": metric.reference,
    }


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None
