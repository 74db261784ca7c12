"""Command that plans a study: runs, time, memory, disk, questions, savings."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import AsJson, Out, StudyFile, app
from medtransfer.cli.studies.worker_option import WorkersOption, worker_count

if TYPE_CHECKING:
    from medtransfer.study.planning.rules import Amount
    from medtransfer.study.planning.speeds import Seconds
    from medtransfer.study.planning.study_plan import StudyPlan

MaxHours = Annotated[
    float | None,
    typer.Option(
        "--max-hours",
        min=0,
        help="Refuse a study that takes longer than so many hours.",
        show_default=False,
    ),
]


@app.command()
def plan(
    study: StudyFile,
    out: Out = None,
    workers: WorkersOption = "auto",
    max_hours: MaxHours = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Measure first: train the first run of each network for a few steps, which count.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a study would run, how long it takes, and what could be saved."""
    from medtransfer.cli.display import display
    from medtransfer.runs.events import ignore_progress
    from medtransfer.study.planning.plan_study import plan_study
    from medtransfer.study.schedule import probe_study
    from medtransfer.study.yaml_file import read_study

    asked, config = worker_count(workers), read_study(study)
    with display(as_json=False) as on_event:
        heard = ignore_progress if as_json else on_event
        if probe:
            probe_study(config, out, heard, workers=asked)
        study_plan = plan_study(config, out, heard, workers=asked)
    if as_json:
        print(json.dumps(study_plan.plain()))
    else:
        print_plan(study_plan)
    if max_hours is not None:
        study_plan.require_hours(max_hours)


def print_plan(study_plan: "StudyPlan") -> None:
    """Print a plan: counts, time, kinds of runs, questions, disk, savings."""
    from medtransfer.cli.display import print_table

    print(size_line(study_plan))
    print_table(
        ("network", "runs", "to run", "hours", "range", "memory GiB", "known by"),
        [
            (
                kind.kind,
                f"{kind.runs:,}",
                f"{kind.to_run:,}",
                *_hours(kind.seconds, study_plan.at_once),
                _memory(kind.memory),
                kind.source if kind.to_run else "–",
            )
            for kind in study_plan.kinds
        ],
        right=(1, 2, 3, 4, 5),
    )
    print_table(
        ("question", "runs", "to run", "hours", "range"),
        [
            (
                question.question,
                f"{question.runs:,}",
                f"{question.to_run:,}",
                *_hours(question.seconds, study_plan.at_once),
            )
            for question in study_plan.questions
        ],
        right=(1, 2, 3, 4),
    )
    print(_disk(study_plan))
    _print_lines([saving.sentence for saving in study_plan.savings])


def size_line(study_plan: "StudyPlan") -> str:
    """Runs by state, and the time that is left, on one line."""
    from medtransfer.errors import plural

    states = ", ".join(
        f"{number:,} {'to run' if state == 'waiting' else state}"
        for state, number in study_plan.states.items()
    )
    shared = f"; {plural(study_plan.shared, 'linear probe')} share features" * (
        study_plan.shared > 0
    )
    return f"{plural(study_plan.num_runs, 'run')}: {states}{shared}. {time_line(study_plan)}"


def time_line(study_plan: "StudyPlan") -> str:
    """Time until a study is done, in words."""
    from medtransfer.errors import plural
    from medtransfer.study.planning.speeds import rough_time

    at_once = f"{plural(study_plan.at_once, 'run')} at once"
    if not study_plan.to_run:
        return "Nothing is left to run."
    if study_plan.seconds is None:
        return f"Time unknown, {at_once}: `medtransfer plan --probe` measures a few steps."
    low, middle, high = (
        rough_time(value)
        for value in (
            study_plan.seconds.low,
            study_plan.seconds.middle,
            study_plan.seconds.high,
        )
    )
    left = f"About {middle} left" if study_plan.is_begun else f"It will take about {middle}"
    return f"{left} ({low} to {high}), {at_once}."


def _hours(seconds: "Seconds | None", at_once: int) -> tuple[str, str]:
    """Hours of runs of which so many are carried out at once, and their range."""
    if seconds is None:
        return "unknown", "–"
    low, middle, high = (
        value / at_once / 3600 for value in (seconds.low, seconds.middle, seconds.high)
    )
    return f"{middle:,.2f}", f"{low:,.2f}–{high:,.2f}"


def _memory(amount: "Amount") -> str:
    low, high = amount.low / 2**30, amount.high / 2**30
    return f"{high:.1f}" if amount.is_measured else f"{low:.1f}–{high:.1f}"


def _disk(study_plan: "StudyPlan") -> str:
    from medtransfer.disk import size_text

    parts = [
        f"{size_text(study_plan.cache_bytes)} for prepared images",
        f"{size_text(study_plan.weights_bytes)} for weights",
        f"{size_text(study_plan.working_bytes)} while runs train",
    ]
    text = f"Disk: up to {size_text(study_plan.disk_bytes)} more ({', '.join(parts)}); "
    text += f"{size_text(study_plan.free_bytes)} free."
    if study_plan.disk_bytes > study_plan.free_bytes:
        text += " That does not suffice: `keep: predictions` deletes the weights of finished runs."
    return text


def _print_lines(lines: Sequence[str]) -> None:
    if lines:
        print("Largest savings:")
    for line in lines:
        print(f"  {line}")
