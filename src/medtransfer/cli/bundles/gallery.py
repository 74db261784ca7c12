"""The command that shows cases to whoever may see them: gallery."""

from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import app
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
    group: Annotated[
        str | None, typer.Option(help="Cases of one group, as sex=F.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option("-n", help="Cases of each target.")] = 50,
    target: Annotated[str | None, typer.Option(help="One target.", show_default=False)] = None,
    cohort: Annotated[str | None, typer.Option(help="One hospital.", show_default=False)] = None,
    rung: Annotated[
        str | None,
        typer.Option(help="Rung, in place of the recommended one.", show_default=False),
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
    from medtransfer.deploy.gallery.gallery import gallery_choice, make_gallery
    from medtransfer.errors import plural
    from medtransfer.study.status import find_study

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
    shown = plural(written.cases, "case")
    print(f"{shown} with images of patients: {written.page}   (do not pass it on)")
