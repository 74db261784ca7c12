"""Check for test images among the images that an own rung was pre-trained on. No torch."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from medtransfer.data.audit.findings import Finding, finding_for_rows
from medtransfer.errors import plural
from medtransfer.models.own_rungs import OWN, find_own
from medtransfer.models.rungs.start import START_MARK

CODE = "A017"
TRAINED_ON = "trained_on.parquet"
"""Beside the weights of a rung of one's own: which files it was trained on."""
DIGEST = "digest"


def pretrained_on(
    rungs: Iterable[str], frames: Iterable[pl.DataFrame], facts: pl.DataFrame
) -> Iterator[Finding]:
    """Images that a study tests on and that its own rungs were pre-trained on.

    Files are compared by their SHA-256: a picture that was stored again is not found. A rung whose
    ``trained_on.parquet`` was left behind tells nothing.

    Args:
        rungs: Names; only those of one's own are looked at.
        frames: Rows of the manifest with their splits, for each way in which the study divides
            them.
        facts: `image_id` and `sha256` of the study's images, from `scan_images`.
    """
    tables = ((name, pretrained_files(name)) for name in rungs)
    seen = {name: files for name, files in tables if files is not None}
    if not seen:
        return
    shown = facts.select("image_id", short_digests(facts["sha256"]))
    for frame in frames:
        tested = frame.filter(pl.col("split") == "test").join(shown, on="image_id")
        for name, digests in seen.items():
            both = tested.join(digests, on=DIGEST, how="semi")
            if len(both):
                images = plural(both["image_id"].n_unique(), "image")
                sentence = f"{images} tested on, seen by rung '{name}'"
                yield finding_for_rows(CODE, sentence, both)


def pretrained_files(name: str) -> pl.DataFrame | None:
    """`DIGEST` of every file that a rung was trained on; None where nothing is known of it."""
    init, _, own_name = name.partition(START_MARK)[0].partition("/")
    facts = find_own(own_name) if init == OWN else None
    path = None if facts is None else Path(facts["file"]).with_name(TRAINED_ON)
    return pl.read_parquet(path) if path is not None and path.is_file() else None


def short_digests(digests: pl.Series) -> pl.Series:
    """The first eight bytes of SHA-256 in hexadecimal, as numbers: a tenth of the room."""
    return digests.str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64).alias(DIGEST)
