"""Scan of every image of a manifest: header facts, digest, faults.

Images are read one by one, from files or from the manifest's `image` column, so memory does not
grow with the data set.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from heapq import nsmallest
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.images.decode import DICOM, inspect
from medtransfer.data.images.dicom.transfer_syntaxes import DICOM_RULES
from medtransfer.data.images.pictures import read_file
from medtransfer.errors import MAX_LISTED, ImageError, fault_list, plural
from medtransfer.files import file_stamp
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW, rows_of, write_frame

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with (done, total)."""

MISSING = "is missing"
THREADS = 4
"""Threads help: Pillow releases the interpreter lock, and other processes read DICOM."""
SLOW_THREADS, SLOW_SECONDS = 16, 2e-4
"""Files that are looked for at once where one takes longer than so many seconds, as on a network
drive; on a disk of this machine threads only wait for each other."""
AT_ONCE = 500
"""Files that are looked for before the next progress is told."""
LOOKED_AT = 1_000
"""Rows whose files are looked for before all are read; a network drive takes a second for them."""
NEARLY_ALL = 0.95
"""Share of missing files in a sample from which the others are not looked for."""
ELSEWHERE = "If they are in another folder, set data.image_root or --image-root."
CHUNK_BYTES = 64 * 2**20
"""Most bytes of an `image` column that are held at once."""
FACTS = {
    "image_id": pl.String,
    "width": pl.Int64,
    "height": pl.Int64,
    "channels": pl.Int64,
    "bits": pl.Int64,
    "sha256": pl.String,
    "format": pl.String,
    "rule": pl.String,
    "syntax": pl.String,
    "modality": pl.String,
    "burned_in": pl.String,
    "size": pl.Int64,
    "modified": pl.Int64,
    "changed": pl.Int64,
    "inode": pl.Int64,
    "path": pl.String,
    "frame": pl.Int64,
}
STAMP = ("size", "modified", "changed", "inode")
"""Columns that say, without reading a file, whether it is still the one that was read."""


def no_progress(_done: int, _total: int) -> None:
    """Ignore progress."""


def scan_images(
    manifest: Manifest,
    pixel_limit: int,
    facts_file: Path,
    progress: Progress = no_progress,
    *,
    looking: Progress = no_progress,
    deep: bool = False,
) -> pl.DataFrame:
    """Facts of every image, in the manifest's order.

    Files whose path, size, times and inode have not changed are not read again. Where nearly all
    files of a large manifest are missing, no more of them are looked for.

    Args:
        manifest: The images.
        pixel_limit: Most pixels an image may claim.
        facts_file: Parquet file that keeps facts between calls.
        progress: Called as images are done.
        looking: Called as the files of a large manifest are looked for, before any is read.
        deep: Read every image again, whatever its stamp says.

    Returns:
        One row per image with the columns of `FACTS`; empty but for the ids if the manifest names
        no images.

    Raises:
        ImageError: Images are missing or unusable; all of them are listed by row.
    """
    if not manifest.has_images:
        return pl.DataFrame({"image_id": manifest.frame["image_id"]}).match_to_schema(
            FACTS, missing_columns="insert"
        )
    require_files(manifest)
    stamps = _stamps(manifest, looking if len(manifest) > LOOKED_AT else no_progress)
    remembered = {} if deep else _remembered(facts_file, stamps, pixel_limit)
    fresh = [i for i, image in enumerate(manifest.frame["image_id"]) if image not in remembered]
    absent = _absent(stamps, fresh)
    faults = [(int(manifest.frame[ROW][index]), MISSING) for index in absent]
    fresh = fresh if not absent else [index for index in fresh if index not in absent]
    rows = dict(remembered)
    results = map_images(manifest, fresh, lambda data, frame: inspect(data, pixel_limit, frame))
    for done, (index, facts) in enumerate(results, start=1):
        image_id, *stamp = stamps.row(index)
        if isinstance(facts, ImageError):
            faults.append((manifest.frame[ROW][index], str(facts)))
        else:
            rows[image_id] = (image_id, *vars(facts).values(), *stamp)
        progress(done, len(fresh))
    ordered = [rows[image] for image in manifest.frame["image_id"] if image in rows]
    frame = pl.DataFrame(ordered, schema=FACTS, orient="row")
    if fresh:
        write_frame(frame, facts_file)
    check_images(manifest, faults)
    return frame


def _absent(stamps: pl.DataFrame, fresh: list[int]) -> frozenset[int]:
    """Positions of missing files beyond the first `LOOKED_AT`, which are opened to say why."""
    sizes = stamps["size"].gather(fresh)
    missing = pl.Series(fresh, dtype=pl.Int64).filter(sizes == -1)
    return frozenset(missing.slice(LOOKED_AT).to_list())


def absent_files(manifest: Manifest) -> pl.DataFrame:
    """Rows whose path names no file, of at most `LOOKED_AT` rows, evenly over the table.

    Empty for a manifest that holds its images.
    """
    if manifest.embedded:
        return manifest.frame.head(0)
    rows = manifest.frame.gather_every(max(1, -(-len(manifest) // LOOKED_AT)))
    return rows.filter([not (manifest.root / path).is_file() for path in rows["path"]])


def looked_at(manifest: Manifest) -> int:
    """Number of rows whose files `absent_files` looks for."""
    return -(-len(manifest) // max(1, -(-len(manifest) // LOOKED_AT)))


def absence_text(manifest: Manifest, absent: pl.DataFrame) -> str:
    """``64 of 64 rows looked at name no file below "images", first in row 2``."""
    if not manifest.root.is_dir():
        return f'"{manifest.root}" is not a folder'
    name = "names" if len(absent) == 1 else "name"
    return (
        f"{len(absent):,} of {plural(looked_at(manifest), 'row')} looked at {name} no file below "
        f'"{manifest.root}", {rows_of(absent)}'
    )


def require_files(manifest: Manifest) -> None:
    """Refuse a large manifest whose files are nearly all missing, by a sample of its rows.

    A network drive takes hours to say so of each of millions of files. The files of a smaller
    manifest are all looked for, and the missing ones listed.

    Raises:
        ImageError: They are.
    """
    if manifest.embedded or len(manifest) <= LOOKED_AT:
        return
    absent = absent_files(manifest)
    if len(absent) >= NEARLY_ALL * looked_at(manifest):
        raise ImageError(
            f'"{manifest.path.name}" cannot be used: {absence_text(manifest, absent)}. {ELSEWHERE}'
        )


def remembered_contents(facts_file: Path) -> pl.DataFrame:
    """`image_id` and `sha256` of the images that were scanned before, whatever changed since."""
    nothing = pl.DataFrame(schema={"image_id": pl.String, "sha256": pl.String})
    if not facts_file.is_file():
        return nothing
    try:
        return pl.read_parquet(facts_file, columns=["image_id", "sha256"])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return nothing


def decoding_of(facts: pl.DataFrame) -> dict[str, int]:
    """Count images by format and, for DICOM, by the rule that shows them.

    Args:
        facts: From `scan_images`.
    """
    format_and_rule = pl.concat_str(
        "format", pl.when(pl.col("rule") != "").then("rule"), separator=", ", ignore_nulls=True
    )
    counts = (
        facts.drop_nulls("format")
        .group_by(format_and_rule.alias("decoding"))
        .len()
        .sort("decoding")
    )
    return dict(counts.iter_rows())


def map_images(
    manifest: Manifest, indices: Sequence[int], work: Callable[[bytes, int | None], T]
) -> Iterator[tuple[int, T | ImageError]]:
    """Apply `work` to the encoded bytes of some images, several at a time.

    Args:
        manifest: The images.
        indices: Positions in the manifest's frame.
        work: Takes the bytes and the number of the frame (None if the manifest names none); an
            `ImageError` it raises becomes its result.

    Yields:
        Position and result; files in the order asked for, embedded images by their row.
    """
    frames = manifest.frame["frame"] if "frame" in manifest.frame.columns else None
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[tuple[int, Future[T | ImageError]]] = deque()
        for index, read in image_readers(manifest, indices):
            frame = None if frames is None else frames[index]
            waiting.append((index, pool.submit(_attempt, read, work, frame)))
            if len(waiting) > 4 * THREADS:
                first, future = waiting.popleft()
                yield first, future.result()
        for index, future in waiting:
            yield index, future.result()


def check_images(manifest: Manifest, faults: Sequence[tuple[int, str]]) -> None:
    """Raise one error for all unusable images, by row of the manifest.

    Raises:
        ImageError: There are faults.
    """
    if faults:
        first = nsmallest(MAX_LISTED, faults)
        sentences = [f"row {row}: the image {reason}" for row, reason in first]
        title = f'{plural(len(faults), "image")} of "{manifest.path.name}" cannot be used'
        advice = "Repair or replace the files, or remove their rows from the manifest."
        if len(faults) == len(manifest) and {reason for _, reason in faults} == {MISSING}:
            advice = ELSEWHERE
        raise ImageError(fault_list(title, sentences, advice, count=len(faults)))


def _attempt(
    read: Callable[[], bytes], work: Callable[[bytes, int | None], T], frame: int | None
) -> T | ImageError:
    try:
        return work(read(), frame)
    except ImageError as error:
        return error


def image_readers(
    manifest: Manifest, indices: Sequence[int]
) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Positions with a function that reads the bytes; embedded images are read in chunks.

    Args:
        manifest: The images.
        indices: Positions in the manifest's frame.

    Yields:
        Files in the order asked for, embedded images by their row. The function raises an
        `ImageError` if the file cannot be read.
    """
    if not manifest.embedded:
        paths = manifest.frame["path"]
        spans = _spans(manifest)
        for index in indices:
            path = manifest.root / str(paths[index])
            span = None if spans is None else spans.row(index)
            yield index, lambda path=path, span=span: read_file(path, manifest.root, span)
        return
    rows = manifest.frame[ROW]
    total = pl.scan_parquet(manifest.path).select(pl.len()).collect().item()
    chunk = max(1, CHUNK_BYTES * total // max(1, manifest.path.stat().st_size))
    by_chunk: dict[int, list[int]] = {}
    for index in indices:
        by_chunk.setdefault((rows[index] - 1) // chunk, []).append(index)
    order = {index: rank for rank, index in enumerate(indices)}
    for number in sorted(by_chunk):
        start = number * chunk
        lazy = pl.scan_parquet(manifest.path).select("image").slice(start, chunk)
        images = lazy.collect()["image"]
        for index in sorted(by_chunk[number], key=order.__getitem__):
            data = images[rows[index] - 1 - start] or b""
            yield index, lambda data=data: data


def _spans(manifest: Manifest) -> pl.DataFrame | None:
    """Offset and length, in bytes, of images in files that hold many, e.g. tar shards."""
    columns = ["offset", "length"]
    return manifest.frame.select(columns) if set(columns) <= set(manifest.frame.columns) else None


def _stamps(manifest: Manifest, looking: Progress = no_progress) -> pl.DataFrame:
    """`image_id`, size, modification time, path and frame; of the manifest if embedded."""
    ids = manifest.frame["image_id"]
    if "frame" in manifest.frame.columns:
        frames = manifest.frame["frame"]
    else:
        frames = pl.Series("frame", [None] * len(ids), pl.Int64)
    if manifest.embedded:
        stamp = dict(zip(STAMP, file_stamp(manifest.path), strict=True))
        return pl.DataFrame({"image_id": ids}).with_columns(
            *(pl.lit(value, dtype=pl.Int64).alias(name) for name, value in stamp.items()),
            path=pl.lit(manifest.path.name),
            frame=frames,
        )
    paths = manifest.frame["path"]
    stamps = _file_stamps(str(manifest.root), paths, looking)
    columns = {name: stamps[:, place] for place, name in enumerate(STAMP)}
    return pl.DataFrame({"image_id": ids, **columns, "path": paths, "frame": frames})


def _file_stamps(root: str, paths: pl.Series, looking: Progress) -> NDArray[np.int64]:
    """Stamps of files; several are looked for at once where the disk takes its time. [N, 4]"""
    stamps = np.empty((len(paths), len(STAMP)), np.int64)

    def look(start: int) -> None:
        part = paths[start : start + AT_ONCE]
        stamps[start : start + len(part)] = [file_stamp(f"{root}/{path}") for path in part]

    starts = deque(range(0, len(paths), AT_ONCE))
    begun, done = time.monotonic(), 0
    while starts and (not done or time.monotonic() - begun < SLOW_SECONDS * done):
        look(starts.popleft())
        done = min(len(paths), done + AT_ONCE)
        looking(done, len(paths))
    with ThreadPoolExecutor(SLOW_THREADS) as pool:
        for _ in pool.map(look, starts):
            done = min(len(paths), done + AT_ONCE)
            looking(done, len(paths))
    return stamps


def _remembered(
    facts_file: Path, stamps: pl.DataFrame, pixel_limit: int
) -> dict[str, tuple[object, ...]]:
    """Facts of the images whose path, size, times and inode have not changed."""
    if not facts_file.is_file():
        return {}
    try:
        frame = _with_whole_stamps(pl.read_parquet(facts_file), stamps)
        if dict(frame.schema) != {name: kind() for name, kind in FACTS.items()}:
            return {}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return {}
    stamp = ["image_id", *STAMP, "path", "frame"]
    same = frame.join(stamps, on=stamp, how="semi", nulls_equal=True)
    current = pl.col("rule").str.starts_with(f"{DICOM_RULES}: ")
    same = same.filter((pl.col("format") != DICOM) | current)
    same = same.filter(pl.col("width") * pl.col("height") <= pixel_limit)
    return {row[0]: row for row in same.iter_rows()}


def _with_whole_stamps(facts: pl.DataFrame, stamps: pl.DataFrame) -> pl.DataFrame:
    """Facts that version 0.1 kept, with today's change times and inodes, which it did not note."""
    if set(FACTS) - set(facts.columns) != {"changed", "inode"}:
        return facts
    today = stamps.select("image_id", "changed", "inode")
    return facts.join(today, on="image_id", how="left", maintain_order="left").select(*FACTS)
