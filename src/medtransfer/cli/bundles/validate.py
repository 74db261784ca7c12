"""Commands on a bundle at another hospital: validate, adapt."""

from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import Values, app
from medtransfer.cli.bundles.export import BundleFile, Trusted
from medtransfer.cli.bundles.predict import ClinicalTable, counts_display, images_display

ManifestFile = Annotated[
    Path, typer.Argument(help="Manifest of the hospital's images, with the bundle's targets.")
]
Cohort = Annotated[
    str | None,
    typer.Option(help="Hospital to take, if the manifest has several.", show_default=False),
]
ImageRoot = Annotated[
    Path | None,
    typer.Option(
        help="Folder that paths are relative to; the manifest's own by default.",
        show_default=False,
    ),
]


@app.command()
def validate(
    bundle: BundleFile,
    manifest: ManifestFile,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and page.")],
    cohort: Cohort = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Loss against the promise that still counts as holding; the bundle's by default.",
            show_default=False,
        ),
    ] = None,
    arm: Annotated[str, typer.Option(help="Recalibration to judge.")] = "selected",
    attributes: Annotated[
        str | None,
        typer.Option(help="Attributes to report by, comma-separated.", show_default=False),
    ] = None,
    image_root: ImageRoot = None,
    clinical: ClinicalTable = None,
    values: Values = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with evaluation settings, as in study.yaml.")
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            help="Language of the verdict, page one and the clinic's pages: en, de, fr, es or pt. "
            "All else stays English.",
        ),
    ] = "en",
    trusted: Trusted = None,
) -> None:
    """Tell a hospital whether to trust a bundle, from its own labelled cases."""
    from medtransfer.deploy.inference.model import load_bundle
    from medtransfer.deploy.validation.validate import (
        validate_bundle,
        validation_config,
        validation_text,
    )
    from medtransfer.language.translation import require_language
    from medtransfer.study.yaml_file import read_evaluation_config
    from medtransfer.tables.values.value_map import read_value_map

    spoken = require_language(language)
    model = load_bundle(bundle, trusted=trusted or (), clinical=clinical)
    with images_display() as on_progress:
        validation = validate_bundle(
            model,
            manifest,
            out,
            cohort=cohort,
            attributes=None if attributes is None else attributes.split(","),
            image_root=image_root,
            values=read_value_map(values or []),
            config=validation_config(model.facts, margin=margin, arm=arm),
            evaluation=read_evaluation_config(config),
            on_progress=on_progress,
            language=spoken,
        )
    print(validation_text(validation, bundle, manifest))


@app.command()
def adapt(
    bundle: BundleFile,
    manifest: ManifestFile,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Bundle to write; its name ends in .medt.")
    ],
    arm: Annotated[
        str,
        typer.Option(
            help="Way to adapt: threshold, intercept, platt, temperature, isotonic, prevalence, or "
            "the one of these that cross-validation selects; or probe, a new linear head; or "
            "sequential, further training of the network."
        ),
    ] = "selected",
    patients: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Labelled patients for probe and sequential; half by default. The others judge.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="YAML with settings of sequential: learning_rate, steps, frozen_stages, "
            "batch_norm, held_share, seed.",
            show_default=False,
        ),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(
            help="Table to write: every way by number of patients, as a study's adapt.parquet.",
            show_default=False,
        ),
    ] = None,
    cohort: Cohort = None,
    image_root: ImageRoot = None,
    clinical: ClinicalTable = None,
    values: Values = None,
    trusted: Trusted = None,
) -> None:
    """Adapt a bundle to a hospital, into a new bundle that names its parent.

    With --arm sequential the exit code is 75 after Ctrl-C, and the same command goes on.
    """
    from medtransfer.deploy.adaptation.adapt import adapt_bundle
    from medtransfer.deploy.adaptation.adapted_bundle import adaptation_text
    from medtransfer.deploy.adaptation.tuning.config import read_sequential_config
    from medtransfer.deploy.inference.model import load_bundle
    from medtransfer.tables.values.value_map import read_value_map

    sequential = None if settings is None else read_sequential_config(settings)
    with (
        images_display() as on_progress,
        counts_display("training steps", resumes=True) as on_training,
    ):
        adapted = adapt_bundle(
            load_bundle(bundle, trusted=trusted or (), clinical=clinical),
            manifest,
            out,
            arm=arm,
            patients=patients,
            sequential=sequential,
            curves=curves,
            cohort=cohort,
            image_root=image_root,
            values=read_value_map(values or []),
            on_progress=on_progress,
            on_training=on_training,
        )
    print(adaptation_text(adapted))
