"""Commands about data: init."""

from pathlib import Path
from typing import Annotated

import typer

from medtransfer.cli.app import app


@app.command()
def init(
    manifest: Annotated[Path, typer.Argument(help="The manifest, .csv or .parquet.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Study file to write.", show_default=False)
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `path` cells are relative to; the manifest's own if left out.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a commented study.yaml from what a manifest holds."""
    from medtransfer.errors import StudyError, plural
    from medtransfer.files import write_text
    from medtransfer.study.draft import draft_study

    draft = draft_study(manifest, image_root)
    target = out or manifest.parent / "study.yaml"
    if target.exists():
        raise StudyError(f'"{target}" exists already. Move it away, or write elsewhere with --out.')
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in manifest.stem).strip(".-_")
    text = draft.text(name or "study", target.parent)
    write_text(target, text)
    for sentence in draft.found():
        print(sentence)  # noqa: T201
    count = text.count("DECIDE")
    decisions = f"{plural(count, 'decision')} {'is' if count == 1 else 'are'}"
    print(  # noqa: T201
        f"Wrote {target} (commented; {decisions} marked DECIDE). "
        f"Check it with: medtransfer check {target}"
    )
