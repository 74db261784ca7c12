"""Commands that run a study and look at it: run, demo, status, report."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medtransfer.cli.app import EXIT_STOPPED, EXIT_USER, app

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the study.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line, for machines.")]
StudyFile = Annotated[Path, typer.Argument(help="The study file.", metavar="STUDY.yaml")]
Where = Annotated[
    Path | None,
    typer.Argument(help="A study's folder or file; the only one in ./studies by default."),
]
StudyOrRung = Annotated[
    Path | None,
    typer.Argument(
        help="A study's folder or file, or the folder of a rung; the only study in ./studies by "
        "default.",
    ),
]


@app.command()
def run(study: StudyFile, out: Out = None, as_json: AsJson = False) -> None:
    """Run what is missing of a study; the same command goes on where it stopped."""
    from medtransfer.study.yaml_file import read_study

    _carry_out(read_study(study), out, as_json=as_json)


@app.command()
def demo(out: Out = None, as_json: AsJson = False) -> None:
    """A small study on the phantom data set: 4 rungs × 2 label fractions × 2 seeds."""
    from medtransfer.recipes.demo import demo_study

    folder = out or Path("medtransfer-demo")
    _carry_out(demo_study(folder), folder, as_json=as_json, next_step=True)


@app.command()
def status(where: StudyOrRung = None, as_json: AsJson = False) -> None:
    """How far a study or a pre-training run is: every run's state, and the time left."""
    from medtransfer.cli.display import duration, print_table, with_whole
    from medtransfer.study.status import read_status

    folder = _folder(where)
    if not (folder.path / "plan.json").is_file() and _rung_status(folder.path, as_json=as_json):
        return
    found = read_status(folder)
    if as_json:
        print(json.dumps(found.plain()))
        return
    head = ("run", "rung", "labels", "seed", "state", "steps", "tune AUROC", "minutes")
    rows = [
        [
            row.run_id,
            row.rung,
            f"{100 * row.label_fraction:.3g}%",
            str(row.seed),
            row.state,
            f"{row.step}/{row.steps}",
            "–" if row.tune_auroc is None else f"{row.tune_auroc:.3f}",
            "–" if row.seconds is None else f"{row.seconds / 60:.1f}",
        ]
        for row in found.runs
    ]
    print_table(head, rows, right=(2, 3, 5, 6, 7))
    counts = ", ".join(f"{count} {state}" for state, count in found.counts().items())
    print(f"{counts}; {duration(found.seconds_left)} left")
    for row in found.runs:
        if row.message:
            said = with_whole(row.message, folder.run(row.run_id).path / "error.json")
            print(f"{row.run_id} {row.state}: {said}")


def _rung_status(folder: Path, *, as_json: bool) -> bool:
    """Say how far pre-training is; False where the folder is not that of a rung."""
    from medtransfer.cli.display import duration, pretraining, with_whole
    from medtransfer.study.status import read_rung_status

    found = read_rung_status(folder)
    if found is None:
        return False
    parts: list[str] = []
    if found.preparing is not None:
        parts.append(
            f"{found.preparing.what}, {found.preparing.done:,} of {found.preparing.total:,}"
        )
    if found.training is not None:
        parts.append(pretraining(found.training))
    if found.seconds is not None:
        parts.append(f"it took {duration(found.seconds)}")
    if as_json:
        print(json.dumps(found.plain()))
        return True
    print(f"{found.rung} {found.state}: {'; '.join(parts)}")
    if found.message:
        print(with_whole(found.message, folder / "error.json"))
    if found.state == "waiting":
        print("`medtransfer pretrain` with its recipe goes on from here.")
    return True


@app.command()
def report(where: Where = None) -> None:
    """Write a study's report again from its folder."""
    from medtransfer.report.page import write_report

    print(f"Report: {write_report(_folder(where))}")


def _carry_out(study: Any, out: Path | None, *, as_json: bool, next_step: bool = False) -> None:
    from medtransfer.cli.display import display
    from medtransfer.cli.summary import print_summary
    from medtransfer.report.page import write_report
    from medtransfer.study.schedule import StudyStopped, run_study

    try:
        with display(as_json=as_json) as watch:
            folder = run_study(study, out, watch)
    except StudyStopped as stopped:
        print(f"Stopped; {stopped}", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        raise typer.Exit(EXIT_STOPPED) from None
    states = [folder.run(run["run_id"]).state() for run in folder.read("plan.json")]
    if "done" in states:
        path = write_report(folder)
        if not as_json:
            print_summary(folder)
            print(f"Report: {path}   (open it in a browser)")
    if next_step and not as_json:
        print("Next:   medtransfer init your-manifest.csv")
    lost = [state for state in states if state != "done"]
    if lost:
        print(
            f"Without results: {len(lost)} of {len(states)} runs. `medtransfer status "
            f"{folder.path}` says why. The same command tries failed runs again.",
            file=sys.stderr,
        )
    if "failed" in states:
        raise typer.Exit(EXIT_USER)


def _folder(where: Path | None) -> Any:
    """The study folder that is meant by a folder, a study file, or nothing.

    Raises:
        StudyError: There is none, or several.
    """
    from medtransfer.errors import StudyError, listed
    from medtransfer.runs.folders import MARK, StudyFolder

    if where is not None and where.suffix in (".yaml", ".yml"):
        from medtransfer.study.yaml_file import read_study

        return StudyFolder(Path("studies") / read_study(where).name)
    if where is not None:
        return StudyFolder(where)
    found = sorted(path.parent for path in Path("studies").glob(f"*/{MARK}"))
    if len(found) != 1:
        names = f": {listed(found)}" if found else ""
        raise StudyError(
            f"There are {len(found)} studies in ./studies{names}. Name the folder of one."
        )
    return StudyFolder(found[0])
