"""Every picture of a manifest looked at once: header facts, digest, faults.

Pictures are read one by one, from files or from the manifest's `image` column, so memory does not
grow with the data set.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import polars as pl

from medtransfer.data.images.decode import DICOM, inspect
from medtransfer.data.images.dicom.transfer_syntaxes import DICOM_RULES
from medtransfer.data.images.pictures import read_file
from medtransfer.errors import ImageError, fault_list, plural
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW, write_frame

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with (done, total)."""

MISSING = "is missing"
THREADS = 4
"""Pillow lets go of the interpreter while it decodes, and DICOM is read by other processes."""
CHUNK_BYTES = 64 * 2**20
"""How much of an `image` column is held at once."""
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
    "path": pl.String,
    "frame": pl.Int64,
}


def no_progress(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def scan_images(
    manifest: Manifest, pixel_limit: int, memory: Path, progress: Progress = no_progress
) -> pl.DataFrame:
    """Facts of every image, in the manifest's order.

    Files whose place, size and time of change are as remembered are not read again.

    Args:
        manifest: The images.
        pixel_limit: Most pixels an image may claim.
        memory: Parquet file that remembers facts between calls.
        progress: Called as images are done.

    Returns:
        One row per image with the columns of `FACTS`.

    Raises:
        ImageError: Images are missing or unusable; all of them are listed by row.
    """
    stamps = _stamps(manifest)
    known = _remembered(memory, stamps, pixel_limit)
    fresh = [i for i, image in enumerate(manifest.frame["image_id"]) if image not in known]
    faults: list[tuple[int, str]] = []
    rows = dict(known)
    found = map_pictures(manifest, fresh, lambda data, frame: inspect(data, pixel_limit, frame))
    for done, (index, facts) in enumerate(found, start=1):
        image_id, *stamp = stamps.row(index)
        if isinstance(facts, ImageError):
            faults.append((manifest.frame[ROW][index], str(facts)))
        else:
            rows[image_id] = (image_id, *vars(facts).values(), *stamp)
        progress(done, len(fresh))
    ordered = [rows[image] for image in manifest.frame["image_id"] if image in rows]
    frame = pl.DataFrame(ordered, schema=FACTS, orient="row")
    if fresh:
        write_frame(frame, memory)
    check_images(manifest, faults)
    return frame


def decoding_of(facts: pl.DataFrame) -> dict[str, int]:
    """How many images are of each format and, of DICOM, shown by each rule.

    Args:
        facts: From `scan_images`.
    """
    what = pl.concat_str(
        "format", pl.when(pl.col("rule") != "").then("rule"), separator=", ", ignore_nulls=True
    )
    counts = facts.group_by(what.alias("what")).len().sort("what")
    return dict(counts.iter_rows())


def map_pictures(
    manifest: Manifest, indices: Sequence[int], work: Callable[[bytes, int | None], T]
) -> Iterator[tuple[int, T | ImageError]]:
    """Apply `work` to the encoded bytes of some images, several at a time.

    Args:
        manifest: The images.
        indices: Positions in the manifest's frame.
        work: Gets the bytes and the number of the frame, None where the manifest names none; an
            `ImageError` it raises is handed on as its result.

    Yields:
        Position and result; files in the order asked for, embedded images by where they stand.
    """
    frames = manifest.frame["frame"] if "frame" in manifest.frame.columns else None
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[tuple[int, Future[T | ImageError]]] = deque()
        for index, read in _readers(manifest, indices):
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
        sentences = [f"row {row}: the image {reason}" for row, reason in sorted(faults)]
        title = f'{plural(len(faults), "image")} of "{manifest.path.name}" cannot be used'
        advice = "Mend or replace the files, or take their rows out of the manifest."
        if len(faults) == len(manifest) and {reason for _, reason in faults} == {MISSING}:
            advice = "Are they in another folder? data.image_root, or --image-root, names it."
        raise ImageError(fault_list(title, sentences, advice))


def _attempt(
    read: Callable[[], bytes], work: Callable[[bytes, int | None], T], frame: int | None
) -> T | ImageError:
    try:
        return work(read(), frame)
    except ImageError as error:
        return error


def _readers(
    manifest: Manifest, indices: Sequence[int]
) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Positions with a function that gives the bytes; embedded ones are fetched in chunks."""
    if not manifest.embedded:
        paths = manifest.frame["path"]
        stretches = _stretches(manifest)
        for index in indices:
            path = manifest.root / str(paths[index])
            part = None if stretches is None else stretches.row(index)
            yield index, lambda path=path, part=part: read_file(path, manifest.root, part)
        return
    rows = manifest.frame[ROW]
    total = pl.scan_parquet(manifest.path).select(pl.len()).collect().item()
    chunk = max(1, CHUNK_BYTES * total // max(1, manifest.path.stat().st_size))
    by_chunk: dict[int, list[int]] = {}
    for index in indices:
        by_chunk.setdefault((rows[index] - 1) // chunk, []).append(index)
    order = {index: place for place, index in enumerate(indices)}
    for number in sorted(by_chunk):
        start = number * chunk
        lazy = pl.scan_parquet(manifest.path).select("image").slice(start, chunk)
        pictures = lazy.collect()["image"]
        for index in sorted(by_chunk[number], key=order.__getitem__):
            data = pictures[rows[index] - 1 - start] or b""
            yield index, lambda data=data: data


def _stretches(manifest: Manifest) -> pl.DataFrame | None:
    """Where pictures lie in files that hold many, e.g. tar shards: offset and length in bytes."""
    where = ["offset", "length"]
    return manifest.frame.select(where) if set(where) <= set(manifest.frame.columns) else None


def _stamps(manifest: Manifest) -> pl.DataFrame:
    """`image_id`, size, time of change, path and frame of each; the manifest's where embedded."""
    ids = manifest.frame["image_id"]
    if "frame" in manifest.frame.columns:
        frames = manifest.frame["frame"]
    else:
        frames = pl.Series("frame", [None] * len(ids), pl.Int64)
    if manifest.embedded:
        about = manifest.path.stat()
        return pl.DataFrame({"image_id": ids}).with_columns(
            size=pl.lit(about.st_size),
            modified=pl.lit(about.st_mtime_ns),
            path=pl.lit(manifest.path.name),
            frame=frames,
        )
    stats = [_size_and_time(manifest.root / str(path)) for path in manifest.frame["path"]]
    columns = {"size": [size for size, _ in stats], "modified": [time for _, time in stats]}
    return pl.DataFrame(
        {"image_id": ids, **columns, "path": manifest.frame["path"], "frame": frames}
    )


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except (OSError, ValueError):
        return -1, -1
    return about.st_size, about.st_mtime_ns


def _remembered(
    memory: Path, stamps: pl.DataFrame, pixel_limit: int
) -> dict[str, tuple[object, ...]]:
    """Facts of the images whose place, size and time of change are as they were."""
    if not memory.is_file():
        return {}
    try:
        frame = pl.read_parquet(memory)
        if dict(frame.schema) != {name: kind() for name, kind in FACTS.items()}:
            return {}
    except (pl.exceptions.PolarsError, OSError):
        return {}
    stamp = ["image_id", "size", "modified", "path", "frame"]
    same = frame.join(stamps, on=stamp, how="semi", nulls_equal=True)
    current = pl.col("rule").str.starts_with(f"{DICOM_RULES}: ")
    same = same.filter((pl.col("format") != DICOM) | current)
    same = same.filter(pl.col("width") * pl.col("height") <= pixel_limit)
    return {row[0]: row for row in same.iter_rows()}
