"""Command that deletes runs, or what was made from a patient's data: forget."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import AsJson, app
from medtransfer.cli.studies.care import StudyPlace

if TYPE_CHECKING:
    from medtransfer.deploy.forgetting.forget_patient import ForgottenPatient
    from medtransfer.study.care.forget import ForgottenRuns

ONE_OF_TWO = "name runs, or a patient with --patient, and not both; the study's folder is --study"
NOT_DELETED = "Nothing was deleted. --yes deletes what lies in the study's folder."


@app.command()
def forget(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Ids of runs.", show_default=False)
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(
            help="Id of a patient as in the manifest; - reads it from standard input, so that it "
            "is in no history of commands. It is never printed.",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder or file to look for bundles, tables and unfinished adaptations in; repeat "
            "for more. Without a study these alone are looked through.",
            show_default=False,
        ),
    ] = None,
    study: StudyPlace = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Name runs or everything made from a patient's data, and delete it with --yes."""
    from medtransfer.deploy.forgetting.forget_patient import forget_patient
    from medtransfer.study.care.forget import forget_runs
    from medtransfer.study.status import find_study, find_study_if_any

    if bool(runs) == (patient is not None):
        raise typer.BadParameter(ONE_OF_TWO, param_hint="RUNS")
    if patient is None:
        forgotten = forget_runs(find_study(study), runs or (), delete=yes)
        print(json.dumps(forgotten.plain())) if as_json else _print_runs(forgotten, is_deleted=yes)
        return
    name = sys.stdin.readline().rstrip("\r\n") if patient == "-" else patient
    folder = find_study_if_any(study) if search else find_study(study)
    outcome = forget_patient(folder, name, search=search or (), delete=yes)
    print(json.dumps(outcome.plain())) if as_json else _print_patient(outcome)


def _print_runs(forgotten: "ForgottenRuns", *, is_deleted: bool) -> None:
    """Print the runs and tables that are or would be deleted."""
    for run_id in forgotten.run_ids:
        print(f"runs/{run_id}")
    for name in forgotten.tables:
        print(f"{name}   (made again by `medtransfer run` and `medtransfer report`)")
    if forgotten.planned:
        print(
            f"The study file plans {len(forgotten.planned)} of these runs: the next "
            "`medtransfer run` trains them again, unless they are taken out of it."
        )
    print("Deleted." if is_deleted else "Nothing was deleted. --yes deletes these.")


def _print_patient(outcome: "ForgottenPatient") -> None:
    """Print every file with the patient's data, and what a person has to do."""
    from medtransfer.cli.display import print_table, wrapped
    from medtransfer.deploy.forgetting.forget_patient import CERTAINTIES, forgotten_text
    from medtransfer.study.care.patient_traces import TRACE_REASONS

    traces = outcome.study
    rows = [
        (trace.path, "" if trace.rows is None else f"{trace.rows:,}", TRACE_REASONS[trace.kind])
        for trace in (() if traces is None else traces.traces)
    ]
    if rows:
        print_table(("file or folder of the study", "rows", "reason"), rows, right=(1,))
    for bundle in outcome.bundles:
        print(f"{bundle.path} {CERTAINTIES[bundle.by]}. It is left; delete every copy of it.")
    for path, count in outcome.tables:
        print(f"{path} has {count:,} rows of this patient. It is left.")
    for path in outcome.unfinished:
        print(
            f"{path} holds prepared images of this patient, for an adaptation that was not "
            "finished. It is left; delete it."
        )
    for note in (*(() if traces is None else traces.notes), *outcome.notes):
        print(wrapped(note))
    print(forgotten_text(outcome))
    if traces is None:
        return
    if not rows:
        print("There is no trace of this patient in the study's folder.")
    else:
        print("Deleted in the study's folder." if outcome.is_deleted else NOT_DELETED)
