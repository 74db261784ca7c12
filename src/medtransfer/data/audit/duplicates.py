"""Pairs of images that look the same, though their files differ.

Hashes find candidates at scale; a second look at the thumbnails decides. It asks how far two images
agree in what sets them apart from the data set: the mean image and the directions in which all
images vary most are taken out first. Two chest films agree in their anatomy; only copies agree in
the rest. What survives: another encoding, another size, brightness, contrast, gamma, mirroring,
turning by right angles. What does not: a crop of a few percent, a rotation by another angle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.perceptual_hash import (
    TURNS,
    Turn,
    close_pairs,
    codes_of,
    frequencies,
    normalised,
    turned,
    turned_frequencies,
)
from medtransfer.data.audit.thumbnails import Sketches, pixel_digest
from medtransfer.data.images.decode import decode
from medtransfer.data.images.scan import map_images
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import write_frame

Floats = NDArray[np.float32]
Thumbnails = NDArray[np.uint8]
ALIKE = 0.9
"""Least likeness of a pair. On ten real sets the pairs above are copies, but for few: see
docs/explanation/what-the-audit-found.md."""
ALIKE_ALONE = 0.98
"""The same where there are too few images to know what they share."""
TWINS = 5
"""Bits in which images differ at most that are not both learned from."""
SHARED = 10
"""Directions of variation taken out: what all images of a body part share."""
PER_SHARED = 25
"""Images it takes to know a direction."""
FITTED_ON = 4_096
"""Images the directions are found from, evenly over the data set."""
CHUNK = 16_384
"""Candidates that are looked at again at once."""
PAIRS = {
    "first": pl.Int64,
    "second": pl.Int64,
    "distance": pl.Int64,
    "likeness": pl.Float64,
    "turn": pl.String,
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shared:
    """What the images of a data set have in common.

    Attributes:
        mean: [SIDE * SIDE]
        directions: Orthonormal. [K, SIDE * SIDE]
        alike: Least likeness of a pair.
    """

    mean: Floats
    directions: Floats
    alike: float

    def rest_of(self, thumbs: Thumbnails) -> Floats:
        """What is each image's own, with length 1. [N, SIDE * SIDE]"""
        own = normalised(thumbs) - self.mean
        own -= (own @ self.directions.T) @ self.directions
        return own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), np.float32(1e-6))


def find_pairs(thumbs: Thumbnails, progress: Progress = lambda _done, _total: None) -> pl.DataFrame:
    """Pairs of thumbnails that look the same, turned or mirrored if need be.

    Args:
        thumbs: Not of one value all over. [N, SIDE, SIDE]
        progress: Called with (done, total) images, over all eight ways to turn them.

    Returns:
        One row per pair with the columns of `PAIRS`: positions (first < second), bits in which the
        hashes differ, likeness up to 1, and how the first is turned to look like the second.
    """
    if len(thumbs) < 2:
        return pl.DataFrame(schema=PAIRS)
    values = frequencies(thumbs)
    single = _without_twins(values)
    thresholds = np.asarray(np.median(values[single], axis=0), dtype=np.float32)
    codes = codes_of(values, thresholds)
    shared = _fit(thumbs[single])
    found: list[pl.DataFrame] = []
    total = len(TURNS) * len(thumbs)
    for number, turn in enumerate(TURNS):
        before = number * len(thumbs)
        queries = codes_of(turned_frequencies(values, turn), thresholds)

        def hear(done: int, _total: int, before: int = before) -> None:
            progress(before + done, total)

        for candidates in close_pairs(queries, codes, progress=hear):
            found += _confirmed(thumbs, candidates, turn, shared)
    pairs = pl.concat(found) if found else pl.DataFrame(schema=PAIRS)
    best = pairs.sort("first", "second", "likeness", descending=[False, False, True])
    return best.unique(["first", "second"], keep="first", maintain_order=True)


def _without_twins(values: Floats) -> NDArray[np.int64]:
    """Images to learn from, evenly over the data set, without copies of each other.

    A picture that is there a thousand times would be taken for what all images share. Plain signs
    of the frequencies tell it, since they do not depend on the data set.
    """
    sample = np.arange(0, len(values), -(-len(values) // FITTED_ON))
    signs = codes_of(values[sample], np.zeros_like(values[0]))
    twins = np.concatenate([pairs[1] for pairs in close_pairs(signs, signs, TWINS)])
    return np.delete(sample, np.unique(twins))


def _fit(thumbs: Thumbnails) -> Shared:
    """Mean and directions of largest variation."""
    flat = normalised(thumbs)
    count = min(SHARED, len(flat) // PER_SHARED)
    if count == 0:
        nothing = np.zeros((1, flat.shape[1]), dtype=np.float32)
        return Shared(nothing[0], nothing[:0], ALIKE_ALONE)
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
    return Shared(mean, np.ascontiguousarray(directions), ALIKE)


def _confirmed(
    thumbs: Thumbnails, candidates: NDArray[np.int32], turn: Turn, shared: Shared
) -> list[pl.DataFrame]:
    """The candidates that are alike."""
    found: list[pl.DataFrame] = []
    for start in range(0, candidates.shape[1], CHUNK):
        first, second, distance = candidates[:, start : start + CHUNK].astype(np.int64)
        one, place_one = np.unique(first, return_inverse=True)
        other, place_other = np.unique(second, return_inverse=True)
        mine, theirs = shared.rest_of(turned(thumbs[one], turn)), shared.rest_of(thumbs[other])
        likeness = np.einsum("ij,ij->i", mine[place_one], theirs[place_other]).astype(np.float64)
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
        found.append(table.filter(pl.col("likeness") >= shared.alike))
    return found


FLAT = 2.0
"""Standard deviation, on the scale 0 to 255, below which an image shows nothing to compare."""
MAX_PER_USAGE = 20
"""Rows of one picture that stand for all its rows in a split or cohort."""
PICTURE_PAIRS = {
    "picture": pl.String,
    "other": pl.String,
    "distance": pl.Int64,
    "likeness": pl.Float64,
    "turn": pl.String,
}
ABOUT = ("index", "picture", "patient_id", "case_id", "place", "sha256")


def picture_pairs(
    sketches: Sketches, memory: Path, progress: Progress = lambda _done, _total: None
) -> pl.DataFrame:
    """Pairs of different pictures that look the same; kept in a file.

    Args:
        sketches: From `sketch_images`.
        memory: Parquet file that keeps them; its folder belongs to these sketches.
        progress: Called with (done, total).

    Returns:
        One row per pair with the columns of `PICTURE_PAIRS`; pictures by their digest.
    """
    if memory.is_file():
        return pl.read_parquet(memory)
    looks = sketches.looks.with_row_index("index").filter(pl.col("std") >= FLAT)
    single = looks.unique("pixels", keep="first", maintain_order=True)
    pairs = find_pairs(sketches.thumbs[single["index"].to_numpy()], progress)
    names = single["pixels"]
    found = pairs.with_columns(
        picture=names.gather(pairs["first"]), other=names.gather(pairs["second"])
    ).select(*PICTURE_PAIRS)
    write_frame(found, memory)
    return found


def row_pairs(rows: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of images whose files differ and that look the same.

    Args:
        rows: `index`, `picture` (digest of the cached pixels), `patient_id`, `case_id`, `place` and
            `sha256` of every image that shows something.
        pairs: From `picture_pairs`.

    Returns:
        `ABOUT` of both, with ``_2`` behind the second's, `distance`, `likeness` and `turn`. Of a
        picture that is there often, `MOST_OF_PLACE` rows stand for each split or cohort.
    """
    wanted = pl.concat([pairs["picture"], pairs["other"]])
    twice = rows.filter(pl.col("picture").is_duplicated() | pl.col("picture").is_in(wanted))
    few = twice.group_by("picture", "place", maintain_order=True).head(MAX_PER_USAGE)
    few = few.select(ABOUT)
    second = few.rename({name: f"{name}_2" for name in ABOUT})
    firsts = few.unique("picture", keep="first", maintain_order=True)
    same = firsts.join(second.with_columns(picture=pl.col("picture_2")), on="picture")
    same = same.filter(
        (pl.col("index") < pl.col("index_2")) & (pl.col("sha256") != pl.col("sha256_2"))
    )
    same = same.with_columns(
        distance=pl.lit(0, pl.Int64), likeness=pl.lit(1.0), turn=pl.lit("as it is")
    )
    alike = (
        pairs.rename({"other": "picture_2"}).join(few, on="picture").join(second, on="picture_2")
    )
    columns = [*ABOUT, *(f"{name}_2" for name in ABOUT), *list(PAIRS)[2:]]
    both = pl.concat([same.select(columns), alike.select(columns)])
    return both.sort("index", "index_2")


def same_pixels(
    manifest: Manifest, pairs: pl.DataFrame, pixel_limit: int, memory: Path
) -> pl.Series:
    """Which pairs across splits are the same pixels at full size, decoded again and kept.

    Args:
        manifest: The images.
        pairs: From `row_pairs`.
        pixel_limit: Most pixels an image may claim.
        memory: Parquet file that keeps digests between calls.

    Returns:
        One flag per pair.
    """
    across = pl.col("place") != pl.col("place_2")
    like = pairs.filter(across & (pl.col("picture") == pl.col("picture_2")))
    ones = like.select("index", "sha256")
    others = like.select(index="index_2", sha256="sha256_2")
    needed = pl.concat([ones, others]).unique("sha256", keep="first", maintain_order=True)
    known = pl.read_parquet(memory) if memory.is_file() else _nothing_known()
    missing = needed.join(known, on="sha256", how="anti").sort("index")
    if not missing.is_empty():
        digests = _true_digests(manifest, missing["index"].to_list(), pixel_limit)
        fresh = missing.with_columns(digest=pl.Series(digests, dtype=pl.String))
        known = pl.concat([known, fresh.select("sha256", "digest")])
        write_frame(known, memory)
    mine = pairs.select("sha256").join(known, on="sha256", how="left", maintain_order="left")
    theirs = pairs.select(sha256="sha256_2").join(
        known, on="sha256", how="left", maintain_order="left"
    )
    return (mine["digest"] == theirs["digest"]).fill_null(value=False)


def _nothing_known() -> pl.DataFrame:
    return pl.DataFrame(schema={"sha256": pl.String, "digest": pl.String})


def _true_digests(manifest: Manifest, indices: Sequence[int], pixel_limit: int) -> list[str | None]:
    """Digest of the decoded pixels of some images; None where one cannot be read any more."""
    place = {index: number for number, index in enumerate(indices)}
    found: list[str | None] = [None] * len(indices)
    for index, result in map_images(
        manifest,
        indices,
        lambda data, frame: pixel_digest(np.asarray(decode(data, pixel_limit, frame))),
    ):
        found[place[index]] = None if isinstance(result, ImageError) else result
    return found
