"""What the images give away once they are unpacked: copies, empty and inverted ones, writing."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.duplicates import FLAT
from medtransfer.data.audit.findings import Finding, about_rows, enumerated
from medtransfer.data.audit.perceptual_hash import BLOCK, TURNS, normalised
from medtransfer.data.audit.privacy import TEXT_MODALITIES
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import label_columns, raw_labels
from medtransfer.errors import plural
from medtransfer.tables.schema import ROW

LONG = 3.0
"""Ratio of the sides from which an image is no ordinary view: a strip, a screenshot."""
WRITING = 0.002
"""Share of corner pixels that are strokes: about one letter at 256 px."""
ALIKE_COHORT, OPPOSED = 0.3, -0.4
"""Correlation with the mean image of the cohort: of ordinary images, and of inverted ones."""
MIN_COHORT = 20
PAIR_COLUMNS = {
    "code": pl.String,
    "row": pl.Int64,
    "other_row": pl.Int64,
    "distance": pl.Int64,
    "likeness": pl.Float64,
    "turn": pl.String,
}
"""What ``pairs.csv`` holds: no identifiers."""


@dataclass(frozen=True)
class Copies:
    """Pairs of images that look the same.

    Attributes:
        pairs: From `copies.row_pairs`.
        exact: Which are the same pixels. [P]
    """

    pairs: pl.DataFrame
    exact: pl.Series


def copied_images(
    placed: pl.DataFrame, copies: Copies, data: DataConfig | None
) -> tuple[list[Finding], pl.DataFrame]:
    """A004, A008, A009, A010: copies across splits, within one, and with other labels.

    Args:
        placed: Rows in the manifest's order.
        copies: Their pairs.
        data: Names of the label columns, if any are known.

    Returns:
        Findings, and their pairs with the columns of `PAIR_COLUMNS`.
    """
    pairs = copies.pairs.with_columns(exact=copies.exact)
    pairs = pairs.with_columns(
        row=placed[ROW].gather(pairs["index"]), other_row=placed[ROW].gather(pairs["index_2"])
    )
    across = pl.col("place") != pl.col("place_2")
    strangers = pl.col("patient_id") != pl.col("patient_id_2")
    chosen = {
        "A008": (pairs.filter(across & pl.col("exact")), "the same pixels"),
        "A004": (pairs.filter(across & strangers & ~pl.col("exact")), "the same look"),
        "A009": (pairs.filter(~across & strangers), "the same look"),
    }
    findings: list[Finding] = []
    tables: list[pl.DataFrame] = []
    for code, (own, what) in chosen.items():
        if not own.is_empty():
            findings.append(_of_pairs(code, f"{_pairs(own)} of {what} in {_places(own)}", own))
            tables.append(_told(code, own))
    for name, own in _conflicts(placed, pairs, data):
        findings.append(
            _of_pairs("A010", f"{_pairs(own)} of the same look with contradicting '{name}'", own)
        )
        tables.append(_told("A010", own))
    return findings, pl.concat(tables) if tables else pl.DataFrame(schema=PAIR_COLUMNS)


def suspicious_images(
    placed: pl.DataFrame,
    facts: pl.DataFrame,
    looks: pl.DataFrame,
    thumbs: NDArray[np.uint8],
    side: int | None,
) -> list[Finding]:
    """C001 to C005: images that show nothing, are inverted, long, small, or written on.

    Args:
        placed: Rows in the manifest's order. [N rows]
        facts: From `scan_images`. [N rows]
        looks: From `sketch_images`. [N rows]
        thumbs: From `sketch_images`. [N, SIDE, SIDE]
        side: Of the network's input, if one is known.
    """
    rows = placed.select(ROW, "cohort", *_modality(placed)).hstack(
        facts.select("width", "height", "channels")
    )
    rows = rows.hstack(looks)
    flat = rows.filter(pl.col("std") < FLAT)
    width, height = pl.col("width"), pl.col("height")
    long = rows.filter(pl.max_horizontal(width, height) > LONG * pl.min_horizontal(width, height))
    findings: list[Finding] = []
    if not flat.is_empty():
        one = plural(flat.filter(pl.col("low") == pl.col("high")).height, "image")
        sentence = f"{plural(len(flat), 'image')} with nearly no contrast, {one} of one value"
        findings.append(about_rows("C001", sentence, flat))
    findings += _inverted(rows, thumbs)
    if not long.is_empty():
        findings.append(about_rows("C003", plural(len(long), "image"), long))
    if side is not None:
        small = rows.filter(pl.max_horizontal(width, height) < side / 2)
        if not small.is_empty():
            sentence = f"{plural(len(small), 'image')} under half of {side} px on both sides"
            findings.append(about_rows("C004", sentence, small))
    return findings + _written_on(rows)


def _inverted(rows: pl.DataFrame, thumbs: NDArray[np.uint8]) -> list[Finding]:
    """Grey images that are the opposite of their cohort's mean image, where that is telling."""
    found: list[pl.DataFrame] = []
    grey = ((rows["channels"] == 1) & (rows["std"] >= FLAT)).to_numpy()
    for cohort in rows["cohort"].unique().sort():
        own = np.flatnonzero(grey & (rows["cohort"] == cohort).to_numpy())
        if len(own) < MIN_COHORT:
            continue
        agree = _agreement(thumbs, own)
        opposed = agree <= OPPOSED
        if (agree >= ALIKE_COHORT).mean() >= 0.6 and 0 < opposed.mean() <= 0.3:
            found.append(rows[own[opposed]])
    if not found:
        return []
    both = pl.concat(found)
    sentence = f"{plural(len(both), 'image')} the opposite of the mean image of their cohort"
    return [about_rows("C002", sentence, both)]


def _agreement(thumbs: NDArray[np.uint8], own: NDArray[np.intp]) -> NDArray[np.float32]:
    """Correlation of each of some thumbnails with their mean image. [M]"""
    blocks = [own[start : start + BLOCK] for start in range(0, len(own), BLOCK)]
    mean = sum(normalised(thumbs[block]).sum(axis=0) for block in blocks) / np.float32(len(own))
    scale = np.float32(max(float(np.linalg.norm(mean)), 1e-6) * np.sqrt(mean.size))
    return np.concatenate([normalised(thumbs[block]) @ mean / scale for block in blocks])


def _written_on(rows: pl.DataFrame) -> list[Finding]:
    said: list[str] = []
    written = rows.filter(pl.col("writing") >= WRITING)
    if not written.is_empty():
        share = len(written) / len(rows)
        said.append(f"{plural(len(written), 'image')} ({share:.0%}) with strokes in a corner")
    risky = rows.head(0)
    if "modality" in rows.columns:
        kind = pl.col("modality").cast(pl.String).str.to_uppercase()
        risky = rows.filter(kind.is_in(TEXT_MODALITIES))
    if not risky.is_empty():
        said.append(f"{plural(len(risky), 'image')} of a modality that often has writing in it")
    if not said:
        return []
    return [about_rows("C005", enumerated(said), written)]


def _modality(placed: pl.DataFrame) -> list[str]:
    return ["modality"] if "modality" in placed.columns else []


def _conflicts(
    placed: pl.DataFrame, pairs: pl.DataFrame, data: DataConfig | None
) -> list[tuple[str, pl.DataFrame]]:
    """Pairs whose labels differ, by label column.

    The left and the right of a patient are each other's mirror image and may differ.
    """
    if data is None or pairs.is_empty():
        return []
    sides = (pl.col("patient_id") == pl.col("patient_id_2")) & (pl.col("turn") != TURNS[0].name)
    pairs = pairs.filter(~sides)
    labels = raw_labels(placed, data)
    found: list[tuple[str, pl.DataFrame]] = []
    for name in label_columns(data):
        one, other = labels[name].gather(pairs["index"]), labels[name].gather(pairs["index_2"])
        torn = pairs.filter((one != other).fill_null(value=False))
        if not torn.is_empty():
            found.append((name, torn))
    return found


def _pairs(pairs: pl.DataFrame) -> str:
    return f"{plural(len(pairs), 'pair')} of images"


def _places(pairs: pl.DataFrame) -> str:
    """``test and train (3); train (1)``, the most frequent first."""
    low, high = pl.min_horizontal("place", "place_2"), pl.max_horizontal("place", "place_2")
    counts = (
        pairs.group_by(low.alias("low"), high.alias("high"))
        .len()
        .sort(["len", "low", "high"], descending=[True, False, False])
    )
    texts = [
        f"{low} ({n})" if low == high else f"{low} and {high} ({n})"
        for low, high, n in counts.iter_rows()
    ]
    return enumerated(texts, 4)


def _of_pairs(code: str, sentence: str, pairs: pl.DataFrame) -> Finding:
    rows = pl.concat([pairs["row"], pairs["other_row"]]).unique().sort()
    return Finding(code, sentence, tuple(rows.to_list()))


def _told(code: str, pairs: pl.DataFrame) -> pl.DataFrame:
    likeness = pl.col("likeness").round(4)
    return pairs.select(
        pl.lit(code).alias("code"), "row", "other_row", "distance", likeness, "turn"
    )
