"""Tar shards in WebDataset's layout: members of one sample share a name up to the first point.

``n01440764_10026.jpg`` and ``n01440764_10026.cls`` are the picture and the label of one sample.
A shard is read through once for its table of contents; pictures are then read where they lie.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from medtransfer.errors import TableError, fault_list, plural
from medtransfer.pretraining.config import UpstreamConfig
from medtransfer.pretraining.listing import LABEL_BREAK, SUFFIXES, Listing, manifest_of
from medtransfer.pretraining.sparse_targets import targets_of_names
from medtransfer.tables.schema import ROW

PICTURES = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)
PLAIN = ("cls", "txt")
"""Endings of members that hold a label as text, or several with ``|`` between them."""
COLUMNS = {
    "path": pl.String,
    "image_id": pl.String,
    "offset": pl.Int64,
    "length": pl.Int64,
    "labels": pl.List(pl.String),
}


def read_shards(root: Path, shards: Sequence[Path], config: UpstreamConfig) -> Listing:
    """The samples of some tar shards.

    Args:
        root: Folder of the shards; a sub-folder called ``train``, ``val`` or ``test`` above a
            shard is the split of its samples.
        shards: The files.
        config: Its `label` names the field of ``.json`` members.

    Raises:
        TableError: Shards are damaged, or hold no sample with a picture; all are named.
    """
    parts: list[pl.DataFrame] = []
    faults: list[str] = []
    for shard in shards:
        place = shard.relative_to(root).as_posix()
        try:
            rows = list(_samples(shard, place, config.label))
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            faults.append(f'"{place}" is damaged ({type(error).__name__})')
            continue
        parts.append(pl.DataFrame(rows, schema=COLUMNS, orient="row"))
    if faults:
        raise TableError(fault_list(f'Shards below "{root.name}" cannot be used', faults))
    frame = pl.concat(parts).sort("image_id")
    if frame.is_empty():
        raise TableError(
            f'{plural(len(shards), "shard")} below "{root.name}" hold no picture (expected members '
            f"like NAME.jpg beside NAME.cls or NAME.json)."
        )
    top = pl.col("path").str.extract(r"^(train|val|test)/")
    if frame.select(top.is_not_null().all()).item():
        frame = frame.with_columns(split=top)
    frame = frame.with_row_index(ROW, 1)
    manifest = manifest_of(frame, root, root.resolve(), embedded=False)
    names = targets_of_names(frame["labels"], one_of_many=config.one_of_many)
    return Listing(manifest, *names)


def _samples(shard: Path, place: str, field: str) -> Iterator[tuple[Any, ...]]:
    """One row per picture of a shard."""
    pictures: dict[str, tuple[int, int]] = {}
    labels: dict[str, list[str]] = {}
    with tarfile.open(shard, "r:") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            stem, _, ending = name.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if not member.isfile():
                continue
            if ending.lower() in PICTURES:
                pictures[key] = (member.offset_data, member.size)
            elif ending in (*PLAIN, "json"):
                stream = archive.extractfile(member)
                text = stream.read().decode() if stream is not None else ""
                names = _of_json(text, field) if ending == "json" else text.split(LABEL_BREAK)
                labels.setdefault(key, [name for label in names if (name := label.strip())])
    for key, (offset, length) in pictures.items():
        yield place, f"{place}/{key}", offset, length, labels.get(key, [])


def _of_json(text: str, field: str) -> list[str]:
    """The labels of a ``.json`` member."""
    content = json.loads(text)
    value = cast("dict[str, Any]", content).get(field) if isinstance(content, dict) else None
    if value is None:
        return []
    return (
        [str(item) for item in cast("list[Any]", value)]
        if isinstance(value, list)
        else [str(value)]
    )
