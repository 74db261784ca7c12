"""Commands that come before a study: init, check, prepare."""

import json
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import EXIT_USER, AsJson, Out, StudyFile, Values, app
from medtransfer.errors import ConfigError, plural, shown

if TYPE_CHECKING:
    from medtransfer.runs.events import OnEvent
    from medtransfer.study.caches import CachePlan
    from medtransfer.study.check import CheckReport

MAX_ROWS = 6
"""Rows of a finding on the terminal; ``findings.csv`` has all of them."""


@app.command()
def init(
    manifest: Annotated[Path, typer.Argument(help="The manifest, .csv or .parquet.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Study file to write; study.yaml beside the manifest by default.",
            show_default=False,
        ),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `path` cells are relative to; the manifest's own folder by default.",
            show_default=False,
        ),
    ] = None,
    values: Values = None,
) -> None:
    """Write a commented study.yaml for a manifest."""
    from medtransfer.cli.display import print_coverage
    from medtransfer.study.template import init_study
    from medtransfer.tables.values.value_map import read_value_map

    written = init_study(manifest, out, image_root, read_value_map(values or []))
    print(shown("\n".join(written.notes)))
    print_coverage(written.coverage)
    verb = "is" if written.decisions == 1 else "are"
    print(
        f"Wrote {written.path} (commented; {plural(written.decisions, 'decision')} {verb} marked "
        f"DECIDE). Check it with: medtransfer check {written.path}"
    )


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
            help="Manifests only: folder that `path` cells are relative to.", show_default=False
        ),
    ] = None,
    values: Values = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Studies only: read every image again, also where size and times are unchanged.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Audit the data of a study, or a manifest, before anything is run."""
    from medtransfer.study.check import check_manifest, check_study
    from medtransfer.study.yaml_file import read_study
    from medtransfer.tables.schema import ENDINGS
    from medtransfer.tables.values.value_map import read_value_map

    if study.suffix.lower() in ENDINGS:
        mapped = read_value_map(values or [])
        with _reading(as_json=as_json) as on_event:
            report = check_manifest(study, out, image_root, on_event, values=mapped)
        root = ["--image-root", str(image_root)] if image_root is not None else []
        options = [word for text in values or [] for word in ("--values", text)]
        command = shlex.join(["medtransfer", "init", str(study), *root, *options])
        next_step = f"Write a study for it with: {command}"
    elif image_root is not None or values:
        option = "--image-root is" if image_root is not None else "--values is"
        setting = "data.image_root" if image_root is not None else "data.values"
        raise ConfigError(f"{option} for manifests; a study sets {setting} itself.")
    else:
        with _reading(as_json=as_json) as on_event:
            report = check_study(read_study(study), out, on_event, deep=deep)
        next_step = f"{_size(report)}. {_time(report)}Run it with: medtransfer run {study}"
    _print_check(report, next_step, as_json=as_json)
    if report.fault is not None:
        raise report.fault
    if not report.passed:
        raise typer.Exit(EXIT_USER)


@app.command()
def prepare(
    study: StudyFile,
    out: Out = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read every image again, and compare prepared images with their SHA-256.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decode and resize all images of a study ahead of its runs, for machines with slow disks."""
    from medtransfer.study.caches import prepare_study
    from medtransfer.study.yaml_file import read_study

    on_plan = _ignore_plan if as_json else _print_plan
    with _reading(as_json=as_json) as on_event:
        plan = prepare_study(read_study(study), out, on_event, on_plan=on_plan, verify=verify)
    if as_json:
        print(json.dumps(_plan_records(plan)))
    else:
        print(f"All images are prepared. Run the study with: medtransfer run {study}")


@contextmanager
def _reading(*, as_json: bool) -> "Generator[OnEvent]":
    """Progress display; none beside JSON."""
    from medtransfer.cli.display import display
    from medtransfer.runs.events import ignore_progress

    if as_json:
        yield ignore_progress
        return
    with display(as_json=False) as on_event:
        yield on_event


def _print_check(report: "CheckReport", next_step: str, *, as_json: bool) -> None:
    """Print notes, findings with their first rows, counts, and the next step if it passed."""
    from medtransfer.data.audit.findings import CHECKS
    from medtransfer.errors import listed

    if as_json:
        keys = ("code", "level", "sentence", "rows")
        findings = [{key: getattr(finding, key) for key in keys} for finding in report.findings]
        print(json.dumps(findings))
        return
    for sentence in report.notes:
        print(shown(sentence))
    for number, finding in enumerate(report.findings, start=1):
        level = "waived" if finding.code in report.waived else finding.level
        word = "row" if len(finding.rows) == 1 else "rows"
        rows = f"   {word} {listed(finding.rows, MAX_ROWS)}" if finding.rows else ""
        print(shown(f"{finding.code} {level:<8} {finding.sentence}{rows}"))
        if number == len(report.findings) or report.findings[number].code != finding.code:
            print(f"     {CHECKS[finding.code][1]}.")
    errors = len(report.open_findings("error"))
    warnings = len(report.open_findings("warning"))
    rows_file = f" All rows: {report.rows_file}" if report.rows_file else ""
    pairs_file = f" All pairs: {report.pairs_file}" if report.pairs_file else ""
    print(f"{plural(errors, 'error')}, {plural(warnings, 'warning')}.{rows_file}{pairs_file}")
    if errors:
        print('`run` stops on errors; waive one with a reason: waive: {A001: "…"}')
    if report.passed:
        print(next_step)


def _size(report: "CheckReport") -> str:
    """``8 runs (6 finished, 2 new), 198 training images left``."""
    new = [run for run in report.runs if run.run_id not in report.finished]
    images = sum(run.num_images for run in new)
    runs = plural(len(report.runs), "run")
    if len(new) == len(report.runs):
        return f"{runs}, all new, {images:,} training images in all"
    finished = len(report.runs) - len(new)
    text = f"{runs} ({finished} finished, {len(new)} new), {images:,} training images left"
    for cohort, number in report.unpredicted.items():
        text += f"; {plural(number, 'finished run')} still to predict {cohort}"
    return text


def _time(report: "CheckReport") -> str:
    """Sentence on the time that the runs take; empty if none is left or the data have a fault."""
    from medtransfer.cli.studies.plan import time_line

    if report.plan is None or not report.plan.to_run:
        return ""
    return f"{time_line(report.plan)} "


def _ignore_plan(_plan: "CachePlan") -> None:
    """Print nothing."""


def _print_plan(plan: "CachePlan") -> None:
    """Print images to make and disk to use, before anything is made."""
    from medtransfer.disk import size_text
    from medtransfer.sizes.image_size import size_words

    for cache in plan.caches:
        images = plural(len(cache.need.indices), "image")
        todo = f"{cache.missing:,} to make ({size_text(cache.nbytes)})"
        print(
            f"{size_words(cache.need.recipe.size)}: {images}, {todo if cache.missing else 'ready'}"
        )
    if plan.nbytes:
        print(f"Disk: {size_text(plan.nbytes)} needed, {size_text(plan.free_bytes)} free.")


def _plan_records(plan: "CachePlan") -> list[dict[str, str | int | tuple[int, int]]]:
    return [
        {
            "size": cache.need.recipe.size,
            "interpolation": cache.need.recipe.interpolation,
            "codec": cache.need.recipe.codec.coding,
            "images": len(cache.need.indices),
            "made": cache.missing,
            "bytes": cache.nbytes,
            "folder": cache.need.recipe.folder(plan.folder).name,
        }
        for cache in plan.caches
    ]
