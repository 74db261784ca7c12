"""The command that applies a bundle to files: predict."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medtransfer.cli.app import EXIT_STOPPED, app
from medtransfer.cli.bundles.export import BundleFile, Trusted

if TYPE_CHECKING:
    from medtransfer.data.images.scan import Progress

CaseOption = Literal["auto", "image", "series", "study", "side"]
RuntimeOption = Literal["torch", "onnx"]
ClinicalTable = Annotated[
    Path | None,
    typer.Option(
        help="Table with case_id and the clinical data that the bundle sees. [default: columns "
        "of the table of cases; age and sex of DICOM headers]",
        show_default=False,
    ),
]
PrecisionOption = Annotated[
    Literal["study", "auto", "float32", "bfloat16"],
    typer.Option(
        help="study: as it was tested; auto: the faster of float32 and bfloat16 here, measured."
    ),
]
EXIT_REFUSED = 1
"""Some images could not be used; all others are predicted."""


@contextmanager
def images_display() -> Generator["Progress"]:
    """Callback that shows the number of predicted images, and the time left."""
    with counts_display("images") as report:
        yield report


@contextmanager
def counts_display(unit: str, *, resumes: bool = False) -> Generator["Progress"]:
    """Callback that shows the number of things done, and the time left.

    Args:
        unit: Noun of what is counted.
        resumes: True if the first report tells what an earlier call has done, or comes late.
    """
    import time

    from medtransfer.cli.display import LINE_SECONDS, duration

    begun = last = time.monotonic()
    first = None if resumes else 0
    live, is_open = sys.stderr.isatty(), False

    def report(done: int, total: int) -> None:
        nonlocal begun, first, last, is_open
        now = time.monotonic()
        if first is None:
            begun, first = now, done
        if done < total and now - last < (0.5 if live else LINE_SECONDS):
            return
        last = now
        since = done - first
        left = (now - begun) / since * (total - done) if since > 0 else None
        text = f"{done:,} of {total:,} {unit}; {duration(left)} left"
        is_open = live and done < total
        print(text.ljust(60), end="\r" if is_open else "\n", file=sys.stderr, flush=True)

    yield report
    if is_open:
        print(file=sys.stderr)


def print_batch(table: Path, files: int, refused: int) -> None:
    """Print one line on a batch of a followed folder."""
    from medtransfer.errors import plural

    lost = f", {refused:,} could not be used" if refused else ""
    print(f"{table}: {plural(files, 'file')}{lost}", flush=True)


@app.command()
def predict(
    bundle: BundleFile,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Image files and folders, or one table with a path column."),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Predictions: .csv, .parquet or .jsonl; with --follow a folder for tables. "
            "[default: predictions.csv, or predictions]",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        Path | None,
        typer.Option(
            help="Drop folder: each image is predicted once, as it comes, until Ctrl-C.",
            show_default=False,
        ),
    ] = None,
    still: Annotated[
        float | None,
        typer.Option(
            help="Seconds that a dropped file must rest before it is taken. [default: 2; 30 if "
            "files make cases]",
            show_default=False,
        ),
    ] = None,
    case: Annotated[
        CaseOption,
        typer.Option(
            help="How DICOM files make cases: image, series, study, side (study and laterality), "
            "or auto, as in training."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    runtime: Annotated[
        RuntimeOption,
        typer.Option(help="torch, or onnx for a bundle made with --onnx (extra onnx)."),
    ] = "torch",
    precision: PrecisionOption = "study",
    clinical: ClinicalTable = None,
    any_modality: Annotated[
        bool,
        typer.Option("--any-modality", help="Take DICOM files of modalities not trained on."),
    ] = False,
    after_expiry: Annotated[
        bool, typer.Option("--after-expiry", help="Predict although the bundle has expired.")
    ] = False,
    trusted: Trusted = None,
    dicom_sr: Annotated[
        Path | None,
        typer.Option(
            "--dicom-sr",
            help="Folder for DICOM structured reports on cases of DICOM files (extra dicom-sr).",
            show_default=False,
        ),
    ] = None,
    sr_statement: Annotated[
        str | None,
        typer.Option(
            help="Use that these reports state. [default: Not for diagnosis: for research only]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Predict cases with a bundle: probability, call, prediction set, OOD flag, deferral.

    Images that cannot be read are listed beside the predictions; the exit code is then 1. With
    --follow it is 75 after Ctrl-C, and the same command goes on.
    """
    from medtransfer.deploy.dicom_report.reports import require_extra, write_dicom_reports
    from medtransfer.deploy.inference.follow import (
        follow_folder,
        follow_summary,
        refuse_with_follow,
    )
    from medtransfer.deploy.inference.model import load_bundle
    from medtransfer.deploy.inference.predict_files import predict_files, prediction_summary

    if dicom_sr is not None:
        require_extra()
    model = load_bundle(
        bundle,
        device=device,
        any_modality=any_modality,
        after_expiry=after_expiry,
        trusted=trusted or (),
        runtime=runtime,
        precision=precision,
        clinical=clinical,
    )
    if follow is not None:
        refuse_with_follow(inputs, dicom_sr)
        followed = follow_folder(
            model,
            follow,
            out or Path("predictions"),
            case=case,
            still=still,
            on_batch=print_batch,
        )
        print(follow_summary(followed))
        raise typer.Exit(EXIT_STOPPED)
    out = out or Path("predictions.csv")
    with images_display() as on_progress:
        files = predict_files(model, inputs or [], out, case=case, on_progress=on_progress)
    print(prediction_summary(files))
    if dicom_sr is not None:
        reports = write_dicom_reports(
            model,
            inputs or [],
            files.outcome,
            dicom_sr,
            case=case,
            statement=sr_statement,
        )
        print(reports.sentence())
    if files.refused is not None:
        raise typer.Exit(EXIT_REFUSED)
