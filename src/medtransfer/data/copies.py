"""Copies among the images of a manifest: pairs of rows that look the same or are the same pixels.

Pairs of pictures are found once and kept beside the sketches; which rows they stand for, and
whether that matters, is asked anew, since patients and splits may change.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.decode import decode
from medtransfer.data.near_duplicates import PAIRS, Progress, find_pairs
from medtransfer.data.scan import map_pictures
from medtransfer.data.sketches import Sketches, pixel_digest
from medtransfer.errors import ImageError
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import write_frame

FLAT = 2.0
"""Standard deviation, on the scale 0 to 255, below which an image shows nothing to compare."""
MOST_OF_PLACE = 20
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
    few = twice.group_by("picture", "place", maintain_order=True).head(MOST_OF_PLACE)
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
    for index, result in map_pictures(
        manifest,
        indices,
        lambda data, frame: pixel_digest(np.asarray(decode(data, pixel_limit, frame))),
    ):
        found[place[index]] = None if isinstance(result, ImageError) else result
    return found
