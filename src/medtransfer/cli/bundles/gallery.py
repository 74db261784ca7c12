"""The command that shows cases to whoever may see them: gallery."""

from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import app
from medtransfer.cli.completion.names import complete_rungs
from medtransfer.cli.study import Where


@app.command()
def gallery(
    study: Where = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the gallery, outside the study's.")
    ] = Path("gallery"),
    errors: Annotated[
        bool, typer.Option("--errors", help="Worst errors of each target (the default).")
    ] = False,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Cases nearest to the threshold.")
    ] = False,
    ood: Annotated[
        bool, typer.Option("--ood", help="Cases most unlike the training data.")
    ] = False,
    duplicates: Annotated[
        bool,
        typer.Option("--duplicates", help="Pairs of images that look the same, from check."),
    ] = False,
    group: Annotated[
        str | None, typer.Option(help="Cases of one group, as sex=F.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option("-n", help="Cases of each target.")] = 50,
    target: Annotated[str | None, typer.Option(help="One target.", show_default=False)] = None,
    cohort: Annotated[str | None, typer.Option(help="One hospital.", show_default=False)] = None,
    rung: Annotated[
        str | None,
        typer.Option(
            help="Rung, in place of the recommended one.",
            show_default=False,
            autocompletion=complete_rungs,
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Run, in place of a rung.", show_default=False)
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="OOD detector that --ood ranks by.", show_default=False)
    ] = None,
    point: Annotated[
        str | None,
        typer.Option(help="Operating point that says what is wrong.", show_default=False),
    ] = None,
    heatmap: Annotated[
        bool, typer.Option("--heatmap", help="Lay heat maps over the images.")
    ] = False,
    fiftyone: Annotated[
        bool, typer.Option("--fiftyone", help="Write the same list for FiftyOne.")
    ] = False,
) -> None:
    """Show cases with their images on a local page, which must not be passed on."""
    from medtransfer.deploy.gallery.duplicates import make_duplicates_gallery
    from medtransfer.deploy.gallery.gallery import gallery_choice, make_gallery
    from medtransfer.errors import plural
    from medtransfer.study.status import find_study

    if duplicates:
        _require_alone(
            errors=errors,
            uncertain=uncertain,
            ood=ood,
            group=group,
            target=target,
            cohort=cohort,
            rung=rung,
            run=run,
            detector=detector,
            point=point,
            heatmap=heatmap,
            fiftyone=fiftyone,
        )
        written = make_duplicates_gallery(study, out, count=count)
    else:
        choice = gallery_choice(
            errors=errors,
            uncertain=uncertain,
            ood=ood,
            group=group,
            count=count,
            target=target,
            cohort=cohort,
            detector=detector,
            point=point,
        )
        written = make_gallery(
            find_study(study),
            out,
            choice,
            rung=rung,
            run_id=run,
            heat_maps=heatmap,
            fiftyone=fiftyone,
        )
    print("\n".join(written.lines))
    shown = plural(written.cases, "pair" if duplicates else "case")
    print(f"{shown} with images of patients: {written.page}   (do not pass it on)")


def _require_alone(**options: object) -> None:
    """Refuse options that choose among predictions, which pairs of images have none of."""
    from medtransfer.errors import ConfigError

    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        raise ConfigError(
            f"--duplicates shows pairs of all images and cannot be given with {', '.join(given)}."
        )
