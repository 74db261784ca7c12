"""The command that applies a bundle to files: predict."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import app
from medtransfer.cli.bundles.export import BundleFile, Trusted

if TYPE_CHECKING:
    from medtransfer.data.images.scan import Progress

EXIT_REFUSED = 1
"""Some images could not be used; all others are predicted."""


@contextmanager
def images_display() -> Generator["Progress"]:
    """Callback that shows the number of predicted images, and the time left."""
    import time

    from medtransfer.cli.display import LINE_SECONDS, duration

    begun = last = time.monotonic()
    live = sys.stderr.isatty()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < (0.5 if live else LINE_SECONDS):
            return
        last = now
        left = (now - begun) / done * (total - done) if done else None
        text = f"{done:,} of {total:,} images; {duration(left)} left"
        print(text.ljust(60), end="\r" if live else "\n", file=sys.stderr, flush=True)

    yield report
    if live:
        print(file=sys.stderr)


@app.command()
def predict(
    bundle: BundleFile,
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Image files and folders, or one table with a path column."),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Predictions: .csv, .parquet or .jsonl.")
    ] = Path("predictions.csv"),
    case: Annotated[
        str,
        typer.Option(
            help="How DICOM files make cases: image, series, study, side (study and laterality), "
            "or auto, as in training."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    runtime: Annotated[
        str, typer.Option(help="torch, or onnx for a bundle made with --onnx (extra onnx).")
    ] = "torch",
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

    Images that cannot be read are listed beside the predictions; the exit code is then 1.
    """
    from medtransfer.deploy.dicom_report.reports import require_extra, write_dicom_reports
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
        runtime=runtime,  # type: ignore[arg-type] — checked there
    )
    with images_display() as on_progress:
        files = predict_files(model, inputs, out, case=case, on_progress=on_progress)  # type: ignore[arg-type] — checked there
    print(prediction_summary(files))
    if dicom_sr is not None:
        reports = write_dicom_reports(
            model,
            inputs,
            files.outcome,
            dicom_sr,
            case=case,  # type: ignore[arg-type] — checked there
            statement=sr_statement,
        )
        print(reports.sentence())
    if files.refused is not None:
        raise typer.Exit(EXIT_REFUSED)
