"""The command that makes a study's image caches ahead of its runs: prepare."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from medtransfer.cli.app import EXIT_USER, app
from medtransfer.errors import ConfigError, plural

SHOWN_ROWS = 6
TABLES = (".csv", ".parquet")


@app.command()
def check(
    study: Annotated[
        Path, typer.Argument(help="The study file, or a manifest.", metavar="STUDY.yaml")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the study, or of the check.", show_default=False
        ),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Of a manifest: the folder its paths are relative to.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Read a study's data, or a manifest, and list what is wrong before anything is run."""
    if study.suffix.lower() in TABLES:
        _check_manifest(study, out, image_root, as_json=as_json)
    elif image_root is not None:
        raise ConfigError(
            "--image-root is for a manifest; a study names the folder itself: data.image_root."
        )
    else:
        _check_study(study, out, as_json=as_json)


def _check_study(study: Path, out: Path | None, *, as_json: bool) -> None:
    from medtransfer.errors import MedTransferError
    from medtransfer.runs.events import Preparing
    from medtransfer.runs.folders import StudyFolder
    from medtransfer.study.plan import PlannedRun, plan_runs, read_data
    from medtransfer.study.yaml_file import read_study

    planned: list[PlannedRun] = []
    fault: MedTransferError | None = None
    config = read_study(study)
    folder = StudyFolder(out or Path("studies") / config.name)
    folder.claim(config.name)
    with reading(as_json=as_json) as watch:

        def hear(done: int, total: int) -> None:
            watch(Preparing("reading images", done, total))

        data = read_data(config, folder.images, hear)
        try:
            planned = plan_runs(config, data)
            data = _unpack(config, folder, data, planned, watch)
        except MedTransferError as error:
            fault = error  # the findings are worth saying all the same
    _say(folder, data, config.waive, as_json=as_json)
    if fault is not None:
        raise fault
    _stop_on_errors(data.findings, config.waive)
    if not as_json:
        images = sum(run.num_images for run in planned)
        steps = f"{plural(len(planned), 'run')}, {images:,} training images in all"
        print(f"{steps}. Run it with: medtransfer run {study}")


def _check_manifest(
    path: Path, out: Path | None, image_root: Path | None, *, as_json: bool
) -> None:
    from medtransfer.runs.folders import StudyFolder
    from medtransfer.study.image_checks import check_manifest
    from medtransfer.study.template import other_spellings

    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in path.stem).strip(".-_")
    folder = StudyFolder(out or Path("checks") / (name or "manifest"))
    if path.is_file():
        folder.claim(name or "manifest")
    with reading(as_json=as_json) as watch:
        data, draft = check_manifest(path, folder, watch, image_root)
    if not as_json:
        found = ["No column looks like a target."] if draft is None else draft.found()
        print("\n".join([*found, *other_spellings(data.manifest)]))
    _say(folder, data, {}, as_json=as_json)
    _stop_on_errors(data.findings, {})
    if not as_json:
        root = f" --image-root {image_root}" if image_root is not None else ""
        print(f"Ask something of it with: medtransfer init {path}{root}")


def _stop_on_errors(findings: Any, waived: dict[str, str]) -> None:
    if any(f.level == "error" and f.code not in waived for f in findings):
        raise typer.Exit(EXIT_USER)


@contextmanager
def reading(*, as_json: bool) -> Generator[Any]:
    """How far reading is; nothing beside the JSON."""
    from medtransfer.cli.display import display
    from medtransfer.runs.events import ignore_progress

    if as_json:
        yield ignore_progress
        return
    with display(as_json=False) as watch:
        yield watch


def _unpack(config: Any, folder: Any, data: Any, planned: Any, watch: Any) -> Any:
    """Find images whose header is whole and whose pixels are not, and look at the others."""
    from medtransfer.runs.folders import Lease
    from medtransfer.study.caches import cache_states, make_caches, unmet_needs
    from medtransfer.study.image_checks import look_at_pictures

    lease = Lease(folder)
    if lease.holder() is not None:
        return data  # the run that is at work has looked at them already
    lease.take()
    try:
        states = cache_states(folder, data, unmet_needs(folder, planned))
        make_caches(folder, data, states, watch)
        return look_at_pictures(config, folder, data, planned, watch)
    finally:
        lease.drop()


def _say(folder: Any, data: Any, waived: dict[str, str], *, as_json: bool) -> None:
    """The findings, and files of every row and every pair."""
    rows = _write_rows(folder.path / "findings.csv", data.findings)
    pairs = _write_pairs(folder.path / "pairs.csv", data.pairs)
    if as_json:
        print(json.dumps([_plain(finding) for finding in data.findings]))
        return
    from medtransfer.data.audit.run import CHECKS
    from medtransfer.errors import listed

    for finding in data.findings:
        level = "waived" if finding.code in waived else finding.level
        word = "row" if len(finding.rows) == 1 else "rows"
        where = f"   {word} {listed(finding.rows, SHOWN_ROWS)}" if finding.rows else ""
        print(f"{finding.code} {level:<8} {finding.sentence}{where}")
        print(f"     {CHECKS[finding.code][1]}.")
    levels = [f.level for f in data.findings if f.code not in waived]
    counts = [plural(levels.count("error"), "error"), plural(levels.count("warning"), "warning")]
    files = (f" All rows: {rows}" if rows else "") + (f" All pairs: {pairs}" if pairs else "")
    print(f"{', '.join(counts)}.{files}")
    if "error" in levels:
        print('`run` stops on errors; waive one with a reason: waive: {A001: "…"}')


def _write_rows(path: Path, findings: Any) -> Path | None:
    """Every row of every finding, by number; no identifiers."""
    import polars as pl

    from medtransfer.files import remove
    from medtransfer.tables.schema import write_frame

    rows = [(f.code, f.level, row) for f in findings for row in f.rows]
    if not rows:
        remove(path)
        return None
    schema = {"code": pl.String, "level": pl.String, "row": pl.Int64}
    write_frame(pl.DataFrame(rows, schema=schema, orient="row"), path)
    return path


def _write_pairs(path: Path, pairs: Any) -> Path | None:
    """Every pair of rows that look the same; no identifiers."""
    from medtransfer.files import remove
    from medtransfer.tables.schema import write_frame

    if pairs is None or pairs.is_empty():
        remove(path)
        return None
    write_frame(pairs, path)
    return path


def _plain(finding: Any) -> dict[str, Any]:
    return {
        "code": finding.code,
        "level": finding.level,
        "sentence": finding.sentence,
        "rows": list(finding.rows),
    }


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
    from medtransfer.runs.events import Preparing
    from medtransfer.runs.folders import Lease, StudyFolder
    from medtransfer.study.caches import cache_states, make_caches, study_needs
    from medtransfer.study.plan import read_data
    from medtransfer.study.yaml_file import read_study

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
        print(json.dumps([_plain_state(folder, state) for state in states]))
    else:
        print(f"All images are prepared. Run the study with: medtransfer run {study}")


def _print_states(folder: Any, states: Any) -> None:
    """What there is to do, and the disk it takes, before it is done."""
    from medtransfer.files import free_bytes, size_text

    for state in states:
        images = plural(len(state.need.indices), "image")
        todo = f"{state.missing:,} to make ({size_text(state.nbytes)})"
        print(f"{state.need.recipe.size} px: {images}, {todo if state.missing else 'ready'}")
    need = sum(state.nbytes for state in states)
    if need:
        free = size_text(free_bytes(folder.cache))
        print(f"{size_text(need)} of disk are needed, {free} are free.")


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
    from medtransfer.study.template import draft_study

    draft = draft_study(manifest, image_root)
    target = out or manifest.parent / "study.yaml"
    if target.exists():
        raise StudyError(f'"{target}" exists already. Move it away, or write elsewhere with --out.')
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in manifest.stem).strip(".-_")
    text = draft.text(name or "study", target.parent)
    write_text(target, text)
    for sentence in draft.found():
        print(sentence)
    count = text.count("DECIDE")
    decisions = f"{plural(count, 'decision')} {'is' if count == 1 else 'are'}"
    print(
        f"Wrote {target} (commented; {decisions} marked DECIDE). "
        f"Check it with: medtransfer check {target}"
    )
