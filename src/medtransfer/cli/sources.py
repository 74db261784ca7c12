"""Commands about public data sets: sources, import, join."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from medtransfer.cli.app import app

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for machines.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Manifest to write, .csv or .parquet.")]


@app.command("import")
def import_data(
    source: Annotated[str, typer.Argument(help="Name of the source; `sources` lists them.")],
    folder: Annotated[Path, typer.Argument(help="Folder the download was unpacked to.")],
    out: Out = Path("manifest.parquet"),
    view: Annotated[
        list[str] | None, typer.Option(help="Keep only this view; again for more.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="For csv: ours=theirs,… and ours:=text.")
    ] = None,
    values: Annotated[
        list[str] | None, typer.Option(help="For csv: what label cells mean, yes=1,no=0.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="name=value; `sources NAME` lists its options.")
    ] = None,
    harmonise: Annotated[
        bool, typer.Option("--harmonise", help="Targets under shared names.")
    ] = False,
) -> None:
    """Make a manifest from a public data set as it was downloaded, or from an own folder."""
    from medtransfer.data.sources.catalog import find_source
    from medtransfer.data.sources.import_source import read_source, write_manifest
    from medtransfer.data.sources.source import summary

    found = find_source(source)
    given = _options(option or [])
    given |= {"columns": ",".join(columns)} if columns else {}
    given |= {"values": ",".join(values)} if values else {}
    imported = read_source(found, folder, given, view or [], shared_names=harmonise)
    written = write_manifest(imported.frame, folder, out)
    for sentence in _said(found.title, summary(imported), imported):
        print(sentence)
    place = ["--image-root", str(folder)] if written.image_root else []
    print(f"Wrote {out}. Next: {shlex.join(['medtransfer', 'init', str(out), *place])}")


@app.command()
def sources(
    name: Annotated[str | None, typer.Argument(help="One source, in full.")] = None,
    as_json: AsJson = False,
) -> None:
    """The public data sets that `import` can read, or all that is known of one."""
    from medtransfer.cli.display import print_table
    from medtransfer.data.sources.catalog import SOURCES, find_source
    from medtransfer.data.sources.describe import details, facts_of

    if name is not None:
        found = find_source(name)
        print(json.dumps(facts_of(found)) if as_json else details(found))
        return
    if as_json:
        print(json.dumps([facts_of(known) for known in SOURCES.values()]))
        return
    rows = [
        [
            s.name,
            s.domain,
            *(f"{n:,}" if n else "–" for n in (s.images, s.patients)),
            s.access if s.images else "–",
            s.title,
        ]
        for s in SOURCES.values()
    ]
    print_table(("source", "domain", "images", "patients", "access", "title"), rows, right=(2, 3))
    print("All that is known of one: medtransfer sources NAME")


def _options(entries: list[str]) -> dict[str, str]:
    from medtransfer.errors import ConfigError, fault_list

    pairs = [entry.partition("=") for entry in entries]
    faults = [f"'{entry}' is not name=value" for entry in entries if "=" not in entry]
    names = [name.strip() for name, _, _ in pairs]
    faults += [f"'{n}' is given twice" for n in sorted(set(names)) if names.count(n) > 1]
    if faults:
        raise ConfigError(fault_list("--option cannot be used", faults))
    return {name.strip(): value for name, _, value in pairs}


def _said(title: str, counts: str, imported: Any) -> list[str]:
    return [
        f"{title}: {counts}.",
        *(f"Joined {join.sentence()}." for join in imported.joins),
        *(f"Kept {text}." for text in imported.kept),
        *imported.notes,
    ]


@app.command()
def join(
    manifests: Annotated[list[Path], typer.Argument(help="Two or more manifests.")],
    out: Out = Path("joined.parquet"),
    image_root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of each manifest's images, in order; its own if left out."),
    ] = None,
) -> None:
    """Put the manifests of several cohorts into one."""
    from medtransfer.data.sources.combine_manifests import combine
    from medtransfer.data.sources.import_source import write_manifest

    combined = combine(manifests, image_root or [])
    written = write_manifest(combined.frame, combined.folder, out)
    for sentence in combined.notes:
        print(sentence)
    counts = combined.frame.group_by("cohort").len().sort("cohort")
    print(", ".join(f"{cohort}: {count:,} images" for cohort, count in counts.iter_rows()))
    place = ["--image-root", str(combined.folder)] if written.image_root else []
    print(f"Wrote {out}. Next: {shlex.join(['medtransfer', 'init', str(out), *place])}")
