"""Commands on bundles: export, show."""

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import AsJson, app
from medtransfer.cli.study import Where

BundleFile = Annotated[Path, typer.Argument(help="The bundle.", metavar="BUNDLE.medt")]


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()


@app.command()
def export(
    study: Where = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Bundle to write; its name ends in .medt.")
    ],
    rung: Annotated[
        str | None,
        typer.Option(help="Rung to take, in place of the recommended one.", show_default=False),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Run to take, in place of a rung.", show_default=False)
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Take all seeds of the rung, as an ensemble.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the bundle; the study's by default.", show_default=False),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            help="Detector of OOD cases; repeat for several. [default: mahalanobis]",
            show_default=False,
        ),
    ] = None,
    calibrator: Annotated[
        str, typer.Option(help="Calibrator whose probabilities are reported.")
    ] = "temperature",
    margin: Annotated[
        float | None,
        typer.Option(
            help="Loss at another hospital that still counts as holding.", show_default=False
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the data, for the card.", show_default=False)
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(
            help="Last day on which the bundle predicts.", formats=["%Y-%m-%d"], show_default=False
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Add the networks in ONNX (extra onnx).")
    ] = False,
    patient_digests: Annotated[
        bool,
        typer.Option(
            "--patient-digests/--no-patient-digests",
            help="Keep salted digests of the training patients' ids, to find an overlap.",
        ),
    ] = True,
) -> None:
    """Make a bundle of a study's network, with all between a file and a decision."""
    from medtransfer.deploy.bundle.card import bundle_page
    from medtransfer.deploy.bundle.export import export_bundle, export_options
    from medtransfer.files import size_text
    from medtransfer.study.status import find_study

    options = export_options(
        name=name,
        detectors=detector,
        calibrator=calibrator,
        margin=margin,
        licence=licence,
        patient_digests=patient_digests,
        expires=_day(expires),
        onnx=onnx,
    )
    bundle = export_bundle(
        find_study(study),
        out,
        rung=rung,
        run_id=run,
        ensemble=ensemble,
        options=options,
        on_stage=lambda stage: print(stage, file=sys.stderr),
    )
    print(bundle_page(bundle))
    print(f"{out}: {size_text(out.stat().st_size)}")


@app.command()
def show(bundle: BundleFile, as_json: AsJson = False) -> None:
    """Show what a bundle holds and promises."""
    from medtransfer.deploy.bundle.card import bundle_page
    from medtransfer.deploy.bundle.reader import facts_text, read_bundle

    opened = read_bundle(bundle)
    print(json.dumps(json.loads(facts_text(opened.facts))) if as_json else bundle_page(opened))
