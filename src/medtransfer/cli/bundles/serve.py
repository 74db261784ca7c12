"""The command that answers requests with a bundle: serve."""

from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import app
from medtransfer.cli.bundles.export import BundleFile, Trusted
from medtransfer.cli.bundles.predict import PrecisionOption


@app.command()
def serve(
    bundle: BundleFile,
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token of every request; the variable MEDTRANSFER_TOKEN by default.",
            show_default=False,
        ),
    ] = None,
    max_megabytes: Annotated[int, typer.Option(help="Largest request, in MiB.")] = 64,
    requests_per_minute: Annotated[
        int, typer.Option(help="Requests of one client; 0 for no limit.")
    ] = 600,
    certificate: Annotated[
        Path | None, typer.Option(help="TLS certificate (PEM).", show_default=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: PrecisionOption = "study",
    any_modality: Annotated[
        bool,
        typer.Option("--any-modality", help="Take DICOM files of modalities not trained on."),
    ] = False,
    trusted: Trusted = None,
) -> None:
    """Answer requests with a bundle over HTTP (extra serve): POST /predict, GET /health."""
    from medtransfer.deploy.inference.model import load_bundle
    from medtransfer.deploy.server import serve as serving
    from medtransfer.deploy.server.config import server_config

    config = server_config(
        host=host,
        port=port,
        token_file=token_file,
        max_megabytes=max_megabytes,
        requests_per_minute=requests_per_minute,
        certificate=certificate,
        key=key,
    )
    model = load_bundle(
        bundle,
        device=device,
        precision=precision,
        any_modality=any_modality,
        trusted=trusted or (),
    )
    serving.serve(model, config)
