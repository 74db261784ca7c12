"""Commands on bundles: export, show."""

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from medtransfer.cli.app import AsJson, app
from medtransfer.cli.completion.names import complete_rungs, complete_studies_and_bundles

Trusted = Annotated[
    list[Path] | None,
    typer.Option(
        help="Public key that must have signed the bundle (extra sign); repeat for several.",
        show_default=False,
    ),
]
EnsembleOption = Literal["seeds"]
LayoutOption = Literal["huggingface", "monai"]
BundleFile = Annotated[Path, typer.Argument(help="The bundle.", metavar="BUNDLE.medt")]


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()


@app.command()
def export(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="The study's folder, or a bundle to make another of. The only study in studies/ "
            "by default.",
            metavar="[STUDY|BUNDLE.medt]",
            show_default=False,
            autocompletion=complete_studies_and_bundles,
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Bundle to write, its name ends in .medt; with --layout a folder."
        ),
    ],
    rung: Annotated[
        str | None,
        typer.Option(
            help="Rung to take, in place of the recommended one.",
            show_default=False,
            autocompletion=complete_rungs,
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Run to take, in place of a rung.", show_default=False)
    ] = None,
    ensemble: Annotated[
        EnsembleOption | None,
        typer.Option(help="seeds: take all seeds of the rung, as an ensemble.", show_default=False),
    ] = None,
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
    layout: Annotated[
        LayoutOption | None,
        typer.Option(
            help="Write a folder for another library in place of a bundle: huggingface (timm) or "
            "monai.",
            show_default=False,
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            help="Private Ed25519 key, PEM or OpenSSH, that signs the bundle (extra sign).",
            show_default=False,
        ),
    ] = None,
    supersedes: Annotated[
        Path | None,
        typer.Option(help="Older bundle that this one takes the place of.", show_default=False),
    ] = None,
    patient_digests: Annotated[
        bool,
        typer.Option(
            "--patient-digests/--no-patient-digests",
            help="Keep salted digests of the training patients' ids, to find an overlap.",
        ),
    ] = True,
) -> None:
    """Make a bundle of a study's network, with all between a file and a decision.

    Of a bundle it makes another one with --onnx, --sign, --expires or --supersedes, or a folder
    for another library with --layout.
    """
    from medtransfer.deploy.bundle.card import bundle_page
    from medtransfer.deploy.bundle.export import export_options
    from medtransfer.deploy.exchange.export_source import bundle_or_study, export_source

    options = export_options(
        name=name,
        detectors=detector,
        calibrator=calibrator,
        margin=margin,
        licence=licence,
        patient_digests=patient_digests,
        expires=_day(expires),
        onnx=onnx,
        sign=sign,
        supersedes=supersedes,
    )
    bundle = export_source(
        bundle_or_study(source),
        out,
        rung=rung,
        run_id=run,
        ensemble=ensemble is not None,
        options=options,
        layout=layout,
        on_stage=lambda stage: print(stage, file=sys.stderr),
    )
    print(bundle_page(bundle, trusted=sign is not None))
    print(written_text(out))


@app.command()
def show(bundle: BundleFile, trusted: Trusted = None, as_json: AsJson = False) -> None:
    """Show what a bundle holds and promises."""
    from medtransfer.deploy.bundle.card import bundle_page
    from medtransfer.deploy.bundle.reader import facts_text, read_bundle

    opened = read_bundle(bundle, trusted=trusted or ())
    text = bundle_page(opened, trusted=bool(trusted))
    print(json.dumps(json.loads(facts_text(opened.facts))) if as_json else text)


def written_text(out: Path) -> str:
    """File or folder that was written, with its size."""
    from medtransfer.disk import size_text

    if out.is_dir():
        return f"{out}: a folder of {size_text(sum(p.stat().st_size for p in out.rglob('*')))}"
    return f"{out}: {size_text(out.stat().st_size)}"
