"""Commands for public data sets: sources, import, join."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtransfer.cli.app import AsJson, Values, app
from medtransfer.cli.completion.names import complete_sources
from medtransfer.errors import shown

if TYPE_CHECKING:
    from medtransfer.data.sources.import_source import WrittenManifest

Out = Annotated[Path, typer.Option("--out", "-o", help="Manifest to write, .csv or .parquet.")]


@app.command("import")
def import_data(
    source: Annotated[
        str,
        typer.Argument(
            help="Name of the source; `sources` lists them.", autocompletion=complete_sources
        ),
    ],
    folder: Annotated[
        str,
        typer.Argument(help="Folder the download was unpacked to; of dicomweb the archive's URL."),
    ],
    out: Out = Path("manifest.parquet"),
    view: Annotated[
        list[str] | None, typer.Option(help="Keep only this view; repeat for several.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Column mapping of a csv: ours=theirs,… or ours:=constant."),
    ] = None,
    values: Values = None,
    option: Annotated[
        list[str] | None, typer.Option(help="name=value; `sources NAME` lists its options.")
    ] = None,
    harmonise: Annotated[
        bool, typer.Option("--harmonise", help="Rename targets to the shared vocabulary.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(help="dicom: table of labels.", metavar="TABLE", show_default=False),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            help="dicom: AccessionNumber, StudyInstanceUID or PatientID; KEY=COLUMN for another "
            "name in the table.",
            metavar="KEY",
            show_default=False,
        ),
    ] = None,
    secret: Annotated[
        Path | None,
        typer.Option(
            help="dicom: file with the secret of pseudonyms.", metavar="FILE", show_default=False
        ),
    ] = None,
) -> None:
    """Write a manifest from a downloaded public data set, or from your own folder or table."""
    from medtransfer.cli.display import display
    from medtransfer.data.sources.import_source import import_source
    from medtransfer.runs.events import Preparing
    from medtransfer.tables.values.value_map import read_value_map

    options = _options(option or [])
    options |= {"columns": ",".join(columns)} if columns else {}
    flags = {"labels": labels, "on": on, "secret": secret}
    options |= {name: str(flag) for name, flag in flags.items() if flag is not None}
    with display(as_json=False) as on_event:
        written = import_source(
            source,
            folder,
            out,
            options=options,
            views=view or [],
            values=read_value_map(values or []),
            harmonise=harmonise,
            progress=lambda done, total: on_event(Preparing("importing", done, total)),
        )
    _print_manifest(written)


@app.command()
def sources(
    name: Annotated[
        str | None,
        typer.Argument(help="Show one source in full.", autocompletion=complete_sources),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the public data sets that `import` reads, or describe one."""
    from medtransfer.cli.display import print_table
    from medtransfer.data.sources.catalog import SOURCES, find_source
    from medtransfer.data.sources.describe import details, facts_of

    if name is not None:
        source = find_source(name)
        print(json.dumps(facts_of(source)) if as_json else details(source))
        return
    if as_json:
        print(json.dumps([facts_of(source) for source in SOURCES.values()]))
        return
    rows = [
        [
            source.name,
            source.domain,
            *(f"{count:,}" if count else "–" for count in (source.images, source.patients)),
            source.access if source.images else "–",
            source.title,
        ]
        for source in SOURCES.values()
    ]
    print_table(("source", "domain", "images", "patients", "access", "title"), rows, right=(2, 3))
    print("More about one source: medtransfer sources NAME")


@app.command()
def join(
    manifests: Annotated[list[Path], typer.Argument(help="Two or more manifests.")],
    out: Out = Path("joined.parquet"),
    image_root: Annotated[
        list[Path] | None,
        typer.Option(
            help="Image folder of each manifest, in order; by default the manifest's own folder."
        ),
    ] = None,
    values: Values = None,
) -> None:
    """Concatenate manifests."""
    from medtransfer.data.sources.combine_manifests import join_manifests
    from medtransfer.tables.values.value_map import read_value_map

    mapped = read_value_map(values or [])
    _print_manifest(join_manifests(manifests, out, image_root or [], mapped))


def _print_manifest(written: "WrittenManifest") -> None:
    """Print the notes on a manifest, and the command that comes next."""
    for sentence in written.notes:
        print(shown(sentence))
    if written.coverage is not None and len(written.coverage):
        from medtransfer.cli.display import print_coverage

        print_coverage(written.coverage)
    root = ["--image-root", str(written.image_root)] if written.image_root else []
    command = shlex.join(["medtransfer", "init", str(written.path), *root])
    print(f"Wrote {written.path}. Next: {command}")


def _options(entries: list[str]) -> dict[str, str]:
    """Options by name, from ``name=value`` words.

    Raises:
        ConfigError: A word is not ``name=value``, or a name is given twice; all of them.
    """
    from medtransfer.errors import ConfigError, fault_list

    pairs = [entry.partition("=") for entry in entries]
    faults = [f"'{entry}' is not name=value" for entry in entries if "=" not in entry]
    names = [name.strip() for name, _, _ in pairs]
    faults += [f"'{n}' is given twice" for n in sorted(set(names)) if names.count(n) > 1]
    if faults:
        raise ConfigError(fault_list("--option cannot be used", faults))
    return {name.strip(): value for name, _, value in pairs}
