"""Commands that run a study and read it back: demo, run, status, report, recommend."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from medtransfer.cli.app import (
    EXIT_STOPPED,
    EXIT_USER,
    AsJson,
    AsJsonLines,
    Out,
    PageLanguage,
    StudyFile,
    app,
)
from medtransfer.cli.completion.names import complete_studies
from medtransfer.cli.studies.plan import MaxHours
from medtransfer.cli.studies.worker_option import WorkersOption, worker_count
from medtransfer.report.components import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from medtransfer.report.formats.export import ReportFiles
    from medtransfer.runs.events import OnEvent
    from medtransfer.runs.folders import StudyFolder
    from medtransfer.study.status import RungStatus, StudyStatus

Where = Annotated[
    Path | None,
    typer.Argument(
        help="A study's folder or file; by default the only study in ./studies.",
        autocompletion=complete_studies,
    ),
]
StudyOrRung = Annotated[
    Path | None,
    typer.Argument(
        help="A study's folder or file, or a rung's folder; by default the only study in "
        "./studies.",
        autocompletion=complete_studies,
    ),
]


@app.command()
def run(
    study: StudyFile,
    out: Out = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Compare the content of every finished file with its seal, not only size and "
            "times.",
        ),
    ] = False,
    workers: WorkersOption = "auto",
    max_hours: MaxHours = None,
    on: Annotated[
        str,
        typer.Option(
            help="Where runs are trained: local, slurm for job arrays, ray for a private Ray "
            "cluster on this machine, or HOST:PORT or ray://HOST:PORT of a Ray cluster.",
        ),
    ] = "local",
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            help="Options for sbatch: --sbatch=--partition=gpu; repeat for more.",
            show_default=False,
        ),
    ] = None,
    one: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID",
            help="Carry out one run, as jobs of a cluster do; exit code 75 if it was stopped.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Run a study, or resume it: finished runs are kept."""
    from medtransfer.study.schedule import run_study
    from medtransfer.study.yaml_file import read_study

    config, asked = read_study(study), worker_count(workers)
    if one is not None:
        if on != "local":
            from medtransfer.errors import ConfigError, printable

            raise ConfigError(f"--one carries out a run here: leave out --on {printable(on)}.")
        _run_one(out or Path("studies") / config.name, one, as_json=as_json)
        return
    _run(
        lambda on_event: run_study(
            config,
            out,
            on_event,
            verify=verify,
            workers=asked,
            max_hours=max_hours,
            on=on,
            sbatch=sbatch or (),
        ),
        as_json=as_json,
    )


@app.command()
def demo(
    out: Out = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed instead of five: less certain, in a minute.")
    ] = False,
    as_json: AsJsonLines = False,
) -> None:
    """Run a small study on synthetic images of known truth: 2 rungs × 2 label fractions × 5 seeds.

    Prints what was planted in the images beside what the study found.
    """
    from medtransfer.cli.summary import print_truths
    from medtransfer.recipes.demo import PHANTOM, demo_study
    from medtransfer.recipes.planted import planted_truths
    from medtransfer.study.schedule import run_study

    folder = out or Path("medtransfer-demo")
    config = demo_study(folder, quick=quick)
    study = _run(lambda on_event: run_study(config, folder, on_event), as_json=as_json)
    print_truths(planted_truths(PHANTOM, study), as_json=as_json)
    if not as_json:
        print("Next:   medtransfer init your-manifest.csv")


@app.command()
def status(where: StudyOrRung = None, as_json: AsJson = False) -> None:
    """Show the progress of a study or a pre-training run: the state of each run, and time left."""
    from medtransfer.study.status import find_study, read_rung_status, read_status

    folder = find_study(where)
    is_study = (folder.path / "plan.json").is_file()
    rung = None if is_study else read_rung_status(folder.path)
    progress = read_status(folder) if rung is None else rung
    if as_json:
        print(json.dumps(progress.plain()))
    elif rung is not None:
        _print_rung(rung, folder.path)
    else:
        _print_study(read_status(folder), folder)


@app.command()
def report(
    where: Where = None,
    reader: Annotated[
        str,
        typer.Option(
            "--for",
            help="Reader whose pages are open at first, and are printed: clinic or methods. The "
            "report holds both.",
        ),
    ] = "methods",
    language: PageLanguage = "en",
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print report.pdf beside it; needs Chromium.")
    ] = False,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder for every figure as SVG, PNG and CSV."),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option("--tables", help="Folder for the main tables as LaTeX and Word."),
    ] = None,
    slides: Annotated[
        Path | None, typer.Option("--slides", help="PowerPoint file of tables and figures.")
    ] = None,
    checklists: Annotated[
        Path | None,
        typer.Option(
            "--checklists",
            help="Checklists as Markdown: CLAIM, TRIPOD+AI, STARD-AI, FUTURE-AI, FDA, Annex IV.",
        ),
    ] = None,
    about: Annotated[
        Path | None,
        typer.Option(
            "--about",
            help="YAML file of statements that only people can make, for --checklists and cards; "
            "written to be filled in if it does not exist.",
        ),
    ] = None,
    model_card: Annotated[
        Path | None,
        typer.Option(
            "--model-card",
            help="Markdown file of the recommended network's card; JSON is written beside it.",
        ),
    ] = None,
    croissant: Annotated[
        Path | None,
        typer.Option(
            "--croissant", help="JSON file that describes the manifest (Croissant 1.1), no ids."
        ),
    ] = None,
) -> None:
    """Write a study's report again from its folder, also as PDF, slides, tables and figures."""
    from medtransfer.language.translation import require_language
    from medtransfer.report.formats.export import ReportFormats, export_report
    from medtransfer.report.page import write_report
    from medtransfer.study.status import find_study

    if reader not in get_args(Reader):
        raise typer.BadParameter(f"--for '{reader}' (allowed: {', '.join(get_args(Reader))})")
    spoken = require_language(language)
    folder = find_study(where)
    path = write_report(folder, cast("Reader", reader), spoken)
    print(f"Report: {path}")
    formats = ReportFormats(
        pdf=path.with_suffix(".pdf") if pdf else None,
        slides=slides,
        figures=figures,
        tables=tables,
        checklists=checklists,
        about=about,
        model_card=model_card,
        croissant=croissant,
        reader=cast("Reader", reader),
        language=spoken,
    )
    print_export(export_report(folder, formats))


@app.command()
def recommend(where: Where = None, as_json: AsJson = False) -> None:
    """Recommend a rung of a finished study, or say why none can be recommended over another."""
    from medtransfer.cli.display import wrapped
    from medtransfer.report.recommendation import recommend
    from medtransfer.study.status import find_study

    recommendation = recommend(find_study(where))
    print(json.dumps(recommendation.plain()) if as_json else wrapped(recommendation.sentence))


def print_export(files: "ReportFiles") -> None:
    """Print the files of an export, and what could not be written."""
    for path in files.paths:
        print(path)
    for sentence in files.missing:
        print(sentence, file=sys.stderr)


def _run_one(path: Path, run_id: str, *, as_json: bool) -> None:
    """Carry out one run, and end with the exit code that a cluster's job needs."""
    from medtransfer.cli.display import display
    from medtransfer.runs.folders import StudyFolder
    from medtransfer.study.execution.one import run_one
    from medtransfer.study.execution.stopped import StudyStopped

    try:
        with display(as_json=as_json) as on_event:
            state = run_one(StudyFolder(path), run_id, on_event)
    except StudyStopped:
        print(f"Stopped; run {run_id} resumes with the same command.", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    if not as_json:
        print(f"{run_id} {state}")
    if state == "failed":
        raise typer.Exit(EXIT_USER)


def _run(carry_out: "Callable[[OnEvent], StudyFolder]", *, as_json: bool) -> "StudyFolder":
    """Run a study, write its report, and end with the exit code that its runs deserve.

    Returns:
        Its folder, if no run failed.
    """
    from medtransfer.cli.display import display
    from medtransfer.report.page import write_report
    from medtransfer.study.execution.stopped import StudyStopped
    from medtransfer.study.status import read_status

    try:
        with display(as_json=as_json) as on_event:
            folder = carry_out(on_event)
    except StudyStopped as stopped:
        print(f"Stopped; {stopped}", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to resume.", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    counts = read_status(folder).counts()
    path = write_report(folder) if "done" in counts else None
    if not as_json:
        _print_outcome(folder, path)
    total = sum(counts.values())
    if (missing := total - counts.get("done", 0)) > 0:
        print(
            f"No results: {missing} of {total} runs. `medtransfer status {folder.path}` shows the "
            "reasons. Run the same command again to retry failed runs.",
            file=sys.stderr,
        )
    if "failed" in counts:
        raise typer.Exit(EXIT_USER)
    return folder


def _print_outcome(folder: "StudyFolder", report_path: Path | None) -> None:
    """Print the table of rungs and the report's path."""
    from medtransfer.cli.display import wrapped
    from medtransfer.cli.summary import print_rungs
    from medtransfer.report.reading import load_study_data
    from medtransfer.report.recommendation import recommendation_line

    if report_path is not None:
        data = load_study_data(folder)
        print_rungs(data)
        if recommendation := recommendation_line(data):
            print(wrapped(recommendation))
        print(f"Report: {report_path}   (open it in a browser)")


def _print_study(progress: "StudyStatus", folder: "StudyFolder") -> None:
    """Print a row per run, counts, the time left, and why runs failed."""
    from medtransfer.cli.display import duration, print_table, with_whole
    from medtransfer.errors import plural
    from medtransfer.study.planning.slowness import slow_sentence

    head = ("run", "rung", "labels", "seed", "state", "steps", "tune AUROC", "minutes")
    rows = [
        [
            run.run_id,
            run.rung,
            f"{100 * run.label_fraction:.3g}%",
            str(run.seed),
            run.state,
            f"{run.step}/{run.steps}",
            "–" if run.tune_auroc is None else f"{run.tune_auroc:.3f}",
            "–" if run.seconds is None else f"{run.seconds / 60:.1f}",
        ]
        for run in progress.runs
    ]
    print_table(head, rows, right=(2, 3, 5, 6, 7))
    counts = ", ".join(f"{count} {state}" for state, count in progress.counts().items())
    print(f"{counts}; {duration(progress.seconds_left)} left")
    for cohort, number in progress.unpredicted().items():
        print(f"{cohort}: {plural(number, 'finished run')} still to predict it")
    for run in progress.runs:
        if run.state == "running" and run.share_of_measured is not None:
            print(f"{run.run_id} running {slow_sentence(run.share_of_measured)}")
        if run.message:
            message = with_whole(run.message, folder.run(run.run_id).path / "error.json")
            print(f"{run.run_id} {run.state}: {message}")


def _print_rung(progress: "RungStatus", folder: Path) -> None:
    """Print the progress of a pre-training run."""
    from medtransfer.cli.display import duration, pretraining, with_whole

    parts: list[str] = []
    if progress.preparing is not None:
        images = f"{progress.preparing.done:,} of {progress.preparing.total:,}"
        parts.append(f"{progress.preparing.what}, {images}")
    if progress.training is not None:
        parts.append(pretraining(progress.training))
    if progress.seconds is not None:
        parts.append(f"took {duration(progress.seconds)}")
    print(f"{progress.rung} {progress.state}: {'; '.join(parts)}")
    if progress.message:
        print(with_whole(progress.message, folder / "error.json"))
    if progress.state == "waiting":
        print("Run `medtransfer pretrain` with its recipe again to resume.")
