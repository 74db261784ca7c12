"""Commands on several studies: a comparison on common cases, and a leaderboard."""

import json
from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import AsJson, PageLanguage, Values, app
from medtransfer.cli.completion.names import (
    complete_metrics,
    complete_studies,
    complete_studies_and_tables,
)
from medtransfer.cli.evaluate import ScoresOption, names_of, print_evaluation


@app.command()
def compare(
    sides: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of studies, and predictions tables.",
            metavar="STUDY...",
            autocompletion=complete_studies_and_tables,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and report.")],
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Column mapping of the tables: case_id=study,prob_x=score"),
    ] = None,
    scores: Annotated[
        ScoresOption | None,
        typer.Option(help="Content of the score columns, if their names do not say it."),
    ] = None,
    internal: Annotated[
        str | None,
        typer.Option(help="Cohort of the tables' rows, if they have no column cohort."),
    ] = None,
    values: Values = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Table with case_id and attributes; by default the first study's."),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="Attributes to report by, comma-separated; by default the study's."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Rung that others are compared with; the first study's by default."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML with evaluation settings; the first study's by default."),
    ] = None,
    language: PageLanguage = "en",
    as_json: AsJson = False,
) -> None:
    """Compare studies, and predictions of any framework beside them, on their common test cases."""
    from medtransfer.cli.display import runs_display
    from medtransfer.language.translation import require_language
    from medtransfer.report.compare.compare import compare_studies
    from medtransfer.study.yaml_file import read_evaluation_config
    from medtransfer.tables.other_predictions import read_columns
    from medtransfer.tables.values.value_map import read_value_map

    spoken = require_language(language)
    with runs_display(as_json=as_json) as on_run:
        compared = compare_studies(
            [side for side in sides if not _is_table(side)],
            out,
            predictions=[side for side in sides if _is_table(side)],
            columns=read_columns(columns or []),
            scores=scores,
            internal=internal,
            values=read_value_map(values or []),
            manifest=manifest,
            attributes=None if attributes is None else names_of(attributes),
            reference=reference,
            config=None if config is None else read_evaluation_config(config),
            on_run=on_run,
            language=spoken,
        )
    print_evaluation(compared, as_json=as_json)


@app.command()
def leaderboard(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of studies or evaluations.", autocompletion=complete_studies),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the table and its page.")],
    metric: Annotated[
        str,
        typer.Option(help="Metric, as in the results table.", autocompletion=complete_metrics),
    ] = "auroc",
    as_json: AsJson = False,
) -> None:
    """List the rungs of many studies and evaluations, best first, as a table and a page."""
    from medtransfer.cli.display import print_table
    from medtransfer.report.compare.leaderboard import leaderboard
    from medtransfer.report.text import interval_text

    board = leaderboard(folders, out, metric=metric)
    rows = board.table.to_dicts()
    if as_json:
        print(json.dumps({"page": str(board.page), "rows": rows}))
        return
    cells = [
        [row["study"], row["cohort"], str(row["place"] or "–"), row["rung"], interval_text(row)]
        for row in rows
    ]
    print_table(("study", "cohort", "place", "rung", metric), cells, right=(2,))
    print(f"Leaderboard: {board.page}   (open it in a browser)")


def _is_table(path: Path) -> bool:
    """True for a file of predictions, there or not; anything else is the folder of a study."""
    from medtransfer.tables.schema import ENDINGS

    return path.suffix.lower() in ENDINGS and not path.is_dir()
