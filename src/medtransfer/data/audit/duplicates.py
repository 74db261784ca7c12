"""Duplicates: pairs of images that look the same, though their files differ.

Hashes find candidates at scale; a comparison of thumbnails decides. It measures how far two images
agree in what sets them apart from the data set: the mean image and the directions in which all
images vary most are removed first. Two chest films agree in their anatomy; only copies agree in the
rest. Copies are found through another encoding, size, brightness, contrast or gamma, mirroring, and
rotation by right angles, but not through a crop of a few percent or a rotation by another angle.

`find_pairs` compares thumbnails, `similar_images` the distinct images of a data set, `row_pairs`
their rows in the manifest, and `same_pixels` decodes the pairs again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.hashing.perceptual_hash import (
    TURNS,
    Turn,
    close_pairs,
    codes_of,
    frequencies,
    normalised,
    turned,
    turned_frequencies,
)
from medtransfer.data.audit.thumbnails import ImageStats, pixel_digest
from medtransfer.data.images.decode import decode
from medtransfer.data.images.scan import map_images
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import write_frame

Floats = NDArray[np.float32]
Thumbnails = NDArray[np.uint8]
MIN_SIMILARITY = 0.9
"""Least likeness of a pair. On ten real sets nearly all pairs above it are copies: see
docs/explanation/what-the-audit-found.md."""
MIN_SIMILARITY_ALONE = 0.98
"""The same if there are too few images to learn what they share."""
TWIN_BITS = 5
"""Images that differ in at most so many bits are not both used to learn what images share."""
MAX_DIRECTIONS = 10
"""Directions of variation that are removed: what all images of a body part share."""
IMAGES_PER_DIRECTION = 25
"""Images needed for each direction."""
MAX_FIT_IMAGES = 4_096
"""Images from which the directions are computed, evenly over the data set."""
CHUNK = 16_384
"""Candidates that are compared at once."""
PAIRS = {
    "first": pl.Int64,
    "second": pl.Int64,
    "distance": pl.Int64,
    "likeness": pl.Float64,
    "turn": pl.String,
}
FLAT = 2.0
"""Standard deviation, on the scale 0 to 255, below which an image is blank."""
MAX_PER_USAGE = 20
"""Rows of one image that stand for all its rows in a split or cohort."""
IMAGE_PAIRS = {
    "pixels": pl.String,
    "other": pl.String,
    "distance": pl.Int64,
    "likeness": pl.Float64,
    "turn": pl.String,
}
ROW_COLUMNS = ("index", "pixels", "patient_id", "case_id", "usage", "sha256")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SharedLook:
    """Mean and directions that the images of a data set have in common.

    Attributes:
        mean: [SIDE * SIDE]
        directions: Orthonormal. [K, SIDE * SIDE]
        alike: Least likeness of a pair.
    """

    mean: Floats
    directions: Floats
    alike: float

    def rest_of(self, thumbnails: Thumbnails) -> Floats:
        """Each image without what all share, with length 1. [N, SIDE * SIDE]"""
        rest = normalised(thumbnails) - self.mean
        rest -= (rest @ self.directions.T) @ self.directions
        return rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), np.float32(1e-6))


def find_pairs(thumbs: Thumbnails, progress: Progress = lambda _done, _total: None) -> pl.DataFrame:
    """Pairs of thumbnails that look the same, turned or mirrored if need be.

    Args:
        thumbs: Not of one value all over. [N, SIDE, SIDE]
        progress: Called with (done, total) images, over all eight orientations.

    Returns:
        One row per pair with the columns of `PAIRS`: positions (first < second), bits in which the
        hashes differ, likeness up to 1, and the turn that makes the first look like the second.
    """
    if len(thumbs) < 2:
        return pl.DataFrame(schema=PAIRS)
    values = frequencies(thumbs)
    single = _without_twins(values)
    thresholds = np.asarray(np.median(values[single], axis=0), dtype=np.float32)
    codes = codes_of(values, thresholds)
    shared = _fit(thumbs[single])
    tables: list[pl.DataFrame] = []
    total = len(TURNS) * len(thumbs)
    for number, turn in enumerate(TURNS):
        before = number * len(thumbs)
        queries = codes_of(turned_frequencies(values, turn), thresholds)

        def report(done: int, _total: int, before: int = before) -> None:
            progress(before + done, total)

        for candidates in close_pairs(queries, codes, progress=report):
            tables += _confirmed(thumbs, candidates, turn, shared)
    pairs = pl.concat(tables) if tables else pl.DataFrame(schema=PAIRS)
    best = pairs.sort("first", "second", "likeness", descending=[False, False, True])
    return best.unique(["first", "second"], keep="first", maintain_order=True)


def _without_twins(values: Floats) -> NDArray[np.int64]:
    """Images to learn from, evenly over the data set, without copies of each other.

    An image that occurs a thousand times would be taken for what all images share. Plain signs of
    the frequencies identify it, since they do not depend on the data set.
    """
    sample = np.arange(0, len(values), -(-len(values) // MAX_FIT_IMAGES))
    signs = codes_of(values[sample], np.zeros_like(values[0]))
    twins = np.concatenate([pairs[1] for pairs in close_pairs(signs, signs, TWIN_BITS)])
    return np.delete(sample, np.unique(twins))


def _fit(thumbs: Thumbnails) -> SharedLook:
    """Mean and directions of largest variation."""
    flat = normalised(thumbs)
    count = min(MAX_DIRECTIONS, len(flat) // IMAGES_PER_DIRECTION)
    if count == 0:
        zeros = np.zeros((1, flat.shape[1]), dtype=np.float32)
        return SharedLook(zeros[0], zeros[:0], MIN_SIMILARITY_ALONE)
    mean = np.asarray(flat.mean(axis=0), dtype=np.float32)
    flat -= mean
    from scipy import linalg

    few = len(flat) < flat.shape[1]  # the smaller of the two products has the same directions
    product = flat @ flat.T if few else flat.T @ flat
    solve: Any = linalg.eigh  # its stub does not know that float32 stays float32
    ends = [len(product) - count, len(product) - 1]
    vectors: Floats = solve(product, subset_by_index=ends)[1].T
    directions = vectors @ flat if few else vectors
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.float32(1e-6))
    return SharedLook(mean, np.ascontiguousarray(directions), MIN_SIMILARITY)


def _confirmed(
    thumbs: Thumbnails, candidates: NDArray[np.int32], turn: Turn, shared: SharedLook
) -> list[pl.DataFrame]:
    """The candidates that are alike."""
    tables: list[pl.DataFrame] = []
    for start in range(0, candidates.shape[1], CHUNK):
        first, second, distance = candidates[:, start : start + CHUNK].astype(np.int64)
        firsts, row_of_first = np.unique(first, return_inverse=True)
        seconds, row_of_second = np.unique(second, return_inverse=True)
        mine, theirs = shared.rest_of(turned(thumbs[firsts], turn)), shared.rest_of(thumbs[seconds])
        likeness = np.einsum("ij,ij->i", mine[row_of_first], theirs[row_of_second]).astype(
            np.float64
        )
        table = pl.DataFrame(
            {
                "first": first,
                "second": second,
                "distance": distance,
                "likeness": likeness,
                "turn": pl.Series([turn.name]).extend_constant(turn.name, len(first) - 1),
            },
            schema=PAIRS,
        )
        tables.append(table.filter(pl.col("likeness") >= shared.alike))
    return tables


def similar_images(
    stats: ImageStats, pairs_file: Path, progress: Progress = lambda _done, _total: None
) -> pl.DataFrame:
    """Pairs of different images that look the same; kept in a file.

    Args:
        stats: From `image_stats`.
        pairs_file: Parquet file that keeps them; its folder belongs to these statistics.
        progress: Called with (done, total).

    Returns:
        One row per pair with the columns of `IMAGE_PAIRS`; images by the digest of their pixels.
    """
    if pairs_file.is_file():
        return pl.read_parquet(pairs_file)
    features = stats.features.with_row_index("index").filter(pl.col("std") >= FLAT)
    single = features.unique("pixels", keep="first", maintain_order=True)
    pairs = find_pairs(stats.thumbnails[single["index"].to_numpy()], progress)
    names = single["pixels"]
    image_pairs = pairs.with_columns(
        pixels=names.gather(pairs["first"]), other=names.gather(pairs["second"])
    ).select(*IMAGE_PAIRS)
    write_frame(image_pairs, pairs_file)
    return image_pairs


def row_pairs(rows: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of images whose files differ and that look the same.

    Args:
        rows: `index`, `pixels` (digest of the cached pixels), `patient_id`, `case_id`, `usage` and
            `sha256` of every image that is not blank.
        pairs: From `similar_images`.

    Returns:
        `ROW_COLUMNS` of both, the second's with the suffix ``_2``, `distance`, `likeness` and
        `turn`. Of an image that occurs often, `MAX_PER_USAGE` rows stand for each split or cohort.
    """
    wanted = pl.concat([pairs["pixels"], pairs["other"]])
    twice = rows.filter(pl.col("pixels").is_duplicated() | pl.col("pixels").is_in(wanted.implode()))
    few = twice.group_by("pixels", "usage", maintain_order=True).head(MAX_PER_USAGE)
    few = few.select(ROW_COLUMNS)
    second = few.rename({name: f"{name}_2" for name in ROW_COLUMNS})
    firsts = few.unique("pixels", keep="first", maintain_order=True)
    same = firsts.join(second.with_columns(pixels=pl.col("pixels_2")), on="pixels")
    same = same.filter(
        (pl.col("index") < pl.col("index_2")) & (pl.col("sha256") != pl.col("sha256_2"))
    )
    same = same.with_columns(
        distance=pl.lit(0, pl.Int64), likeness=pl.lit(1.0), turn=pl.lit("as it is")
    )
    alike = pairs.rename({"other": "pixels_2"}).join(few, on="pixels").join(second, on="pixels_2")
    columns = [*ROW_COLUMNS, *(f"{name}_2" for name in ROW_COLUMNS), *list(PAIRS)[2:]]
    both = pl.concat([same.select(columns), alike.select(columns)])
    return both.sort("index", "index_2")


def same_pixels(
    manifest: Manifest, pairs: pl.DataFrame, pixel_limit: int, digests_file: Path
) -> pl.Series:
    """Flag pairs across splits that are the same pixels at full size, decoded again.

    Args:
        manifest: The images.
        pairs: From `row_pairs`.
        pixel_limit: Most pixels an image may claim.
        digests_file: Parquet file that keeps digests between calls.

    Returns:
        One flag per pair.
    """
    across = pl.col("usage") != pl.col("usage_2")
    like = pairs.filter(across & (pl.col("pixels") == pl.col("pixels_2")))
    ones = like.select("index", "sha256")
    others = like.select(index="index_2", sha256="sha256_2")
    needed = pl.concat([ones, others]).unique("sha256", keep="first", maintain_order=True)
    kept = pl.read_parquet(digests_file) if digests_file.is_file() else _no_digests()
    missing = needed.join(kept, on="sha256", how="anti").sort("index")
    if not missing.is_empty():
        digests = _true_digests(manifest, missing["index"].to_list(), pixel_limit)
        fresh = missing.with_columns(digest=pl.Series(digests, dtype=pl.String))
        kept = pl.concat([kept, fresh.select("sha256", "digest")])
        write_frame(kept, digests_file)
    mine = pairs.select("sha256").join(kept, on="sha256", how="left", maintain_order="left")
    theirs = pairs.select(sha256="sha256_2").join(
        kept, on="sha256", how="left", maintain_order="left"
    )
    return (mine["digest"] == theirs["digest"]).fill_null(value=False)


def _no_digests() -> pl.DataFrame:
    return pl.DataFrame(schema={"sha256": pl.String, "digest": pl.String})


def _true_digests(manifest: Manifest, indices: Sequence[int], pixel_limit: int) -> list[str | None]:
    """Digest of the decoded pixels of some images; None if one can no longer be read."""
    positions = {index: number for number, index in enumerate(indices)}
    pixel_digests: list[str | None] = [None] * len(indices)
    for index, result in map_images(
        manifest,
        indices,
        lambda data, frame: pixel_digest(np.asarray(decode(data, pixel_limit, frame))),
    ):
        pixel_digests[positions[index]] = None if isinstance(result, ImageError) else result
    return pixel_digests
