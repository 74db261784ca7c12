"""The command that makes a study's image caches ahead of its runs: prepare."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medtransfer.cli.app import app
from medtransfer.cli.check import reading
from medtransfer.errors import plural


@app.command()
def prepare(
    study: Annotated[Path, typer.Argument(help="The study file.", metavar="STUDY.yaml")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study.", show_default=False)
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is there again and compare its SHA-256.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Decode and resize all images of a study ahead of its runs, for machines with slow disks."""
    from medtransfer.study.caches import cache_states, make_caches, study_needs
    from medtransfer.study.document import read_study
    from medtransfer.study.plan import read_data
    from medtransfer.study.progress import Preparing
    from medtransfer.study.store import Lease, StudyFolder

    config = read_study(study)
    folder = StudyFolder(out or Path("studies") / config.name)
    folder.claim(config.name)
    lease = Lease(folder)
    lease.take()
    try:
        with reading(as_json=as_json) as watch:

            def hear(done: int, total: int) -> None:
                watch(Preparing("reading images", done, total))

            data = read_data(config, folder.images, hear)
            states = cache_states(folder, data, study_needs(config, data))
        if not as_json:
            _print_states(folder, states)
        with reading(as_json=as_json) as watch:
            make_caches(folder, data, states, watch, verify=verify)
    finally:
        lease.drop()
    if as_json:
        print(json.dumps([_plain_state(folder, state) for state in states]))  # noqa: T201
    else:
        print(f"All images are prepared. Run the study with: medtransfer run {study}")  # noqa: T201


def _print_states(folder: Any, states: Any) -> None:
    """What there is to do, and the disk it takes, before it is done."""
    from medtransfer.files import free_bytes, size_text

    for state in states:
        images = plural(len(state.need.indices), "image")
        todo = f"{state.missing:,} to make ({size_text(state.nbytes)})"
        print(f"{state.need.recipe.size} px: {images}, {todo if state.missing else 'ready'}")  # noqa: T201
    need = sum(state.nbytes for state in states)
    if need:
        free = size_text(free_bytes(folder.cache))
        print(f"{size_text(need)} of disk are needed, {free} are free.")  # noqa: T201


def _plain_state(folder: Any, state: Any) -> dict[str, Any]:
    recipe = state.need.recipe
    return {
        "size": recipe.size,
        "interpolation": recipe.interpolation,
        "codec": recipe.codec.coding,
        "images": len(state.need.indices),
        "made": state.missing,
        "bytes": state.nbytes,
        "folder": recipe.folder(folder.cache).name,
    }
