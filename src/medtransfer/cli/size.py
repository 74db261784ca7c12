"""Command on planning: the patients that a precision or a difference needs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import AsJson, Values, app
from medtransfer.cli.evaluate import ScoresOption, TaskOption
from medtransfer.errors import shown

if TYPE_CHECKING:
    from medtransfer.evaluation.comparison.size.needed_size import NeededSize, SampleSizes

Share = float | None


@app.command()
def size(
    predictions: Annotated[
        Path | None,
        typer.Argument(help="Predictions to measure performance and design effects on."),
    ] = None,
    prevalence: Annotated[Share, typer.Option(help="Share of positive cases.")] = None,
    auroc: Annotated[Share, typer.Option(help="AUROC to expect.")] = None,
    sensitivity: Annotated[Share, typer.Option(help="Sensitivity to expect.")] = None,
    specificity: Annotated[Share, typer.Option(help="Specificity to expect.")] = None,
    threshold: Annotated[
        Share, typer.Option(help="Probability of a decision, for its net benefit.")
    ] = None,
    correlation: Annotated[
        Share,
        typer.Option(help="Correlation of two rungs' AUROCs; measured on a table, otherwise 0.5."),
    ] = None,
    cases_per_patient: Annotated[
        float | None,
        typer.Option(help="Mean cases of a patient; measured on a table, otherwise 1."),
    ] = None,
    design_effect: Annotated[
        float | None,
        typer.Option(help="Variance inflation by shared patients; measured, otherwise 1."),
    ] = None,
    auroc_within: Annotated[float, typer.Option(help="Half width, AUROC.")] = 0.03,
    recall_within: Annotated[
        float, typer.Option(help="Half width, sensitivity and specificity.")
    ] = 0.05,
    slope_within: Annotated[float, typer.Option(help="Half width, calibration slope.")] = 0.1,
    observed_expected_within: Annotated[
        float, typer.Option(help="Half width, observed over expected positives.")
    ] = 0.1,
    net_benefit_within: Annotated[
        float, typer.Option(help="Half width, standardised net benefit.")
    ] = 0.1,
    difference: Annotated[float, typer.Option(help="Difference in AUROC to show.")] = 0.03,
    power: Annotated[float, typer.Option(help="Probability of showing it.")] = 0.8,
    reference: Annotated[
        str | None, typer.Option(help="Rung to measure; the first by default.")
    ] = None,
    cohort: Annotated[
        str | None, typer.Option(help="Test cohort to measure; the training cohorts' by default.")
    ] = None,
    point: Annotated[
        str | None, typer.Option(help="Operating point to measure; sens90 by default.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Column mapping, as for evaluate.")
    ] = None,
    scores: Annotated[
        ScoresOption | None, typer.Option(help="Content of the score columns.")
    ] = None,
    task: Annotated[
        TaskOption | None, typer.Option(help="Relation of the targets; inferred by default.")
    ] = None,
    values: Values = None,
    as_json: AsJson = False,
) -> None:
    """Compute the patients needed for precise metrics or to show a difference."""
    from medtransfer.evaluation.comparison.size.goals import ExpectedPerformance, SizeGoals
    from medtransfer.evaluation.comparison.size.needed_size import sample_size
    from medtransfer.tables.other_predictions import read_columns
    from medtransfer.tables.values.value_map import read_value_map

    sizes = sample_size(
        predictions,
        expected=ExpectedPerformance(
            prevalence=prevalence,
            auroc=auroc,
            sensitivity=sensitivity,
            specificity=specificity,
            threshold=threshold,
            correlation=correlation,
            cases_per_patient=cases_per_patient,
            design_effect=design_effect,
        ),
        goals=SizeGoals(
            auroc=auroc_within,
            recall=recall_within,
            slope=slope_within,
            observed_expected=observed_expected_within,
            net_benefit=net_benefit_within,
            difference=difference,
            power=power,
        ),
        columns=read_columns(columns or []),
        scores=scores,
        task=task,
        reference=reference,
        cohort=cohort,
        point=point,
        values=read_value_map(values or []),
    )
    if as_json:
        print(json.dumps(asdict(sizes)))
        return
    _print_sizes(sizes)


def _print_sizes(sizes: "SampleSizes") -> None:
    """Print what was assumed, and a row per goal and target."""
    from medtransfer.cli.display import print_table

    for sentence in sizes.notes:
        print(shown(sentence))
    targets = ["target"] if any(row.target for row in sizes.rows) else []
    head = (*targets, "goal", "patients", "cases", "positives", "design effect", "assumed")
    rows = [[*([row.target] if targets else []), *_cells(row)] for row in sizes.rows]
    print_table(head, rows)


def _cells(row: "NeededSize") -> list[str]:
    counts = [row.patients, row.cases, row.positives]
    numbers = ["–" if count is None else f"{count:,}" for count in counts]
    return [row.goal, *numbers, f"{row.design_effect:.2f}", row.reason or row.assumed]
