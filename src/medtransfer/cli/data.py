"""Commands about data: init, check."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from medtransfer.cli.app import EXIT_USER, app
from medtransfer.errors import plural

SHOWN_ROWS = 6


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
    from medtransfer.errors import StudyError
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
    print(  # noqa: T201
        f"Wrote {target} (commented; {text.count('DECIDE')} decisions are marked DECIDE). "
        f"Check it with: medtransfer check {target}"
    )


@app.command()
def check(
    study: Annotated[Path, typer.Argument(help="The study file.", metavar="STUDY.yaml")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for machines.")] = False,
) -> None:
    """Read a study's data and list what is wrong with them, before anything is run."""
    from medtransfer.errors import MedTransferError
    from medtransfer.study.document import read_study
    from medtransfer.study.plan import PlannedRun, plan_runs, read_data
    from medtransfer.study.progress import Preparing
    from medtransfer.study.store import StudyFolder

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
            _unpack(folder, data, planned, watch)
        except MedTransferError as error:
            fault = error  # the findings are worth saying all the same
    rows = _write_rows(folder.path / "findings.csv", data.findings)
    if as_json:
        print(json.dumps([_plain(finding) for finding in data.findings]))  # noqa: T201
    else:
        _print_findings(data.findings, config.waive, rows)
    if fault is not None:
        raise fault
    if any(f.level == "error" and f.code not in config.waive for f in data.findings):
        raise typer.Exit(EXIT_USER)
    if not as_json:
        images = sum(run.num_images for run in planned)
        steps = f"{plural(len(planned), 'run')}, {images:,} training images in all"
        print(f"{steps}. Run it with: medtransfer run {study}")  # noqa: T201


@contextmanager
def reading(*, as_json: bool) -> Generator[Any]:
    """How far reading is; nothing beside the JSON."""
    from medtransfer.cli.display import display
    from medtransfer.study.progress import nobody

    if as_json:
        yield nobody
        return
    with display(as_json=False) as watch:
        yield watch


def _unpack(folder: Any, data: Any, planned: Any, watch: Any) -> None:
    """Find images whose header is whole and whose pixels are not, as `run` would."""
    from medtransfer.study.caches import cache_states, make_caches, unmet_needs
    from medtransfer.study.store import Lease

    lease = Lease(folder)
    if lease.holder() is not None:
        return  # the run that is at work has unpacked them already
    lease.take()
    try:
        states = cache_states(folder, data, unmet_needs(folder, planned))
        make_caches(folder, data, states, watch)
    finally:
        lease.drop()


def _print_findings(findings: Any, waived: dict[str, str], rows: Path | None) -> None:
    from medtransfer.data.audit import CHECKS
    from medtransfer.errors import listed

    for finding in findings:
        level = "waived" if finding.code in waived else finding.level
        where = f"   rows {listed(finding.rows, SHOWN_ROWS)}" if finding.rows else ""
        print(f"{finding.code} {level:<8} {finding.sentence}{where}")  # noqa: T201
        print(f"     {CHECKS[finding.code][1]}.")  # noqa: T201
    levels = [f.level for f in findings if f.code not in waived]
    counts = [plural(levels.count("error"), "error"), plural(levels.count("warning"), "warning")]
    listing = f" All rows: {rows}" if rows else ""
    print(f"{', '.join(counts)}.{listing}")  # noqa: T201
    if "error" in levels:
        print('`run` stops on errors; waive one with a reason: waive: {A001: "…"}')  # noqa: T201


def _write_rows(path: Path, findings: Any) -> Path | None:
    """Every row of every finding, by number; no identifiers."""
    import polars as pl

    from medtransfer.tables.schema import write_frame

    rows = [(f.code, f.level, row) for f in findings for row in f.rows]
    if not rows:
        return None
    schema = {"code": pl.String, "level": pl.String, "row": pl.Int64}
    write_frame(pl.DataFrame(rows, schema=schema, orient="row"), path)
    return path


def _plain(finding: Any) -> dict[str, Any]:
    return {
        "code": finding.code,
        "level": finding.level,
        "sentence": finding.sentence,
        "rows": list(finding.rows),
    }
