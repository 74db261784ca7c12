"""Checks of decoded images: copies, blank and inverted ones, sizes, text, decoders."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.audit.duplicates import FLAT
from medtransfer.data.audit.findings import Finding, enumerated, finding_for_rows
from medtransfer.data.audit.hashing.perceptual_hash import BLOCK, TURNS, normalised
from medtransfer.data.audit.privacy import TEXT_MODALITIES
from medtransfer.data.config import DataConfig
from medtransfer.data.images.decode import decode
from medtransfer.data.images.dicom.decoder_pool import ask_comparison
from medtransfer.data.images.scan import map_images
from medtransfer.data.labels import label_columns, raw_labels
from medtransfer.errors import ImageError, plural
from medtransfer.seeds import text_keys, uniforms
from medtransfer.settings import rows_digest
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW

MAX_ASPECT = 3.0
"""Ratio of the sides above which an image is no ordinary view but a strip or a screenshot."""
MIN_STROKES = 0.002
"""Share of corner pixels that are strokes: about one letter at 256 px."""
ALIKE_COHORT, OPPOSED = 0.3, -0.4
"""Correlation with the cohort's mean image: of ordinary images, and of inverted ones."""
MIN_COHORT = 20
MAX_BITS_IN_USE = 14
"""Images of 16 bits that use more are taken as they are."""
MAX_RESIZED_HIGH = 1.02 * 2**MAX_BITS_IN_USE
"""Largest value of resized images of so many bits; resizing may overshoot a little."""
FILES_COMPARED = 8
"""Files of each transfer syntax that a second decoder unpacks too."""
USUAL_SIDE = 0.8
"""Share of a cohort's images of one laterality from which their side of the chest wall is usual."""
PAIR_COLUMNS = {
    "code": pl.String,
    "row": pl.Int64,
    "other_row": pl.Int64,
    "distance": pl.Int64,
    "likeness": pl.Float64,
    "turn": pl.String,
    "manifest": pl.String,
}
"""Columns of ``pairs.csv``; it has no identifiers."""
MARK_LETTERS = 12


@dataclass(frozen=True)
class ImageCopies:
    """Pairs of images that look the same.

    Attributes:
        pairs: From `duplicates.row_pairs`.
        exact: True for pairs of the same pixels. [P]
    """

    pairs: pl.DataFrame
    exact: pl.Series


def copied_images(
    placed: pl.DataFrame, copies: ImageCopies, data: DataConfig | None
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
    across = pl.col("usage") != pl.col("usage_2")
    other_patient = pl.col("patient_id") != pl.col("patient_id_2")
    chosen = {
        "A008": (pairs.filter(across & pl.col("exact")), "with the same pixels"),
        "A004": (pairs.filter(across & other_patient & ~pl.col("exact")), "that look the same"),
        "A009": (pairs.filter(~across & other_patient), "that look the same"),
    }
    findings: list[Finding] = []
    tables: list[pl.DataFrame] = []
    for code, (chosen_pairs, what) in chosen.items():
        if not chosen_pairs.is_empty():
            findings.append(
                _of_pairs(
                    code, f"{_pairs(chosen_pairs)} {what}: {_usages(chosen_pairs)}", chosen_pairs
                )
            )
            tables.append(_table_of(code, chosen_pairs))
    for name, chosen_pairs in _conflicts(placed, pairs, data):
        findings.append(
            _of_pairs(
                "A010",
                f"{_pairs(chosen_pairs)} that look the same with contradictory labels in '{name}'",
                chosen_pairs,
            )
        )
        tables.append(_table_of("A010", chosen_pairs))
    if not tables:
        return findings, pl.DataFrame(schema=PAIR_COLUMNS)
    return findings, pl.concat(tables).with_columns(manifest=pl.lit(rows_mark(placed)))


def rows_mark(frame: pl.DataFrame) -> str:
    """Mark of a manifest's rows: another one where a number may mean another image.

    Args:
        frame: `row`, `image_id` and, where images lie in files, `path`.
    """
    names = frame.sort(ROW).select(
        name for name in (ROW, "image_id", "path") if name in frame.columns
    )
    return rows_digest(names.columns, [names.rows()])[:MARK_LETTERS]


def suspicious_images(
    placed: pl.DataFrame,
    facts: pl.DataFrame,
    features: pl.DataFrame,
    thumbnails: NDArray[np.uint8],
    side: int | None,
) -> list[Finding]:
    """C001 to C005: images that are blank, inverted, long, small, or contain text.

    Args:
        placed: Rows in the manifest's order. [N rows]
        facts: From `scan_images`. [N rows]
        features: From `image_stats`. [N rows]
        thumbnails: From `image_stats`. [N, SIDE, SIDE]
        side: Of the network's input, if one is known.
    """
    rows = placed.select(ROW, "cohort", *_modality(placed)).hstack(
        facts.select("width", "height", "channels")
    )
    rows = rows.hstack(features)
    flat = rows.filter(pl.col("std") < FLAT)
    width, height = pl.col("width"), pl.col("height")
    long = rows.filter(
        pl.max_horizontal(width, height) > MAX_ASPECT * pl.min_horizontal(width, height)
    )
    findings: list[Finding] = []
    if not flat.is_empty():
        constant = plural(flat.filter(pl.col("low") == pl.col("high")).height, "image")
        sentence = (
            f"{plural(len(flat), 'image')} with almost no contrast, {constant} of a single value"
        )
        findings.append(finding_for_rows("C001", sentence, flat))
    findings += _inverted(rows, thumbnails)
    if not long.is_empty():
        findings.append(finding_for_rows("C003", plural(len(long), "image"), long))
    if side is not None:
        small = rows.filter(pl.max_horizontal(width, height) < side / 2)
        if not small.is_empty():
            sentence = f"{plural(len(small), 'image')} with both sides under half of {side} px"
            findings.append(finding_for_rows("C004", sentence, small))
    return findings + _with_text(rows)


def _inverted(rows: pl.DataFrame, thumbnails: NDArray[np.uint8]) -> list[Finding]:
    """Grey images that are the opposite of their cohort's mean image, if most agree with it."""
    inverted: list[pl.DataFrame] = []
    grey = ((rows["channels"] == 1) & (rows["std"] >= FLAT)).to_numpy()
    for cohort in rows["cohort"].unique().sort():
        positions = np.flatnonzero(grey & (rows["cohort"] == cohort).to_numpy())
        if len(positions) < MIN_COHORT:
            continue
        agree = _agreement(thumbnails, positions)
        opposed = agree <= OPPOSED
        if (agree >= ALIKE_COHORT).mean() >= 0.6 and 0 < opposed.mean() <= 0.3:
            inverted.append(rows[positions[opposed]])
    if not inverted:
        return []
    both = pl.concat(inverted)
    sentence = f"{plural(len(both), 'image')} opposite to the mean image of their cohort"
    return [finding_for_rows("C002", sentence, both)]


def _agreement(thumbnails: NDArray[np.uint8], positions: NDArray[np.intp]) -> NDArray[np.float32]:
    """Correlation of each of some thumbnails with their mean image. [M]"""
    blocks = [positions[start : start + BLOCK] for start in range(0, len(positions), BLOCK)]
    mean = sum(normalised(thumbnails[block]).sum(axis=0) for block in blocks) / np.float32(
        len(positions)
    )
    scale = np.float32(max(float(np.linalg.norm(mean)), 1e-6) * np.sqrt(mean.size))
    return np.concatenate([normalised(thumbnails[block]) @ mean / scale for block in blocks])


def _with_text(rows: pl.DataFrame) -> list[Finding]:
    texts: list[str] = []
    written = rows.filter(pl.col("writing") >= MIN_STROKES)
    if not written.is_empty():
        share = len(written) / len(rows)
        texts.append(f"{plural(len(written), 'image')} ({share:.0%}) with strokes in a corner")
    risky = rows.head(0)
    if "modality" in rows.columns:
        kind = pl.col("modality").cast(pl.String).str.to_uppercase()
        risky = rows.filter(kind.is_in(TEXT_MODALITIES))
    if not risky.is_empty():
        texts.append(f"{plural(len(risky), 'image')} of a modality that often contains text")
    if not texts:
        return []
    return [finding_for_rows("C005", enumerated(texts), written)]


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
    conflicts: list[tuple[str, pl.DataFrame]] = []
    for name in label_columns(data):
        first, second = labels[name].gather(pairs["index"]), labels[name].gather(pairs["index_2"])
        contradictory = pairs.filter((first != second).fill_null(value=False))
        if not contradictory.is_empty():
            conflicts.append((name, contradictory))
    return conflicts


def _pairs(pairs: pl.DataFrame) -> str:
    return f"{plural(len(pairs), 'pair')} of images"


def _usages(pairs: pl.DataFrame) -> str:
    """``test and train (3); train (1)``, the most frequent first."""
    low, high = pl.min_horizontal("usage", "usage_2"), pl.max_horizontal("usage", "usage_2")
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


def _table_of(code: str, pairs: pl.DataFrame) -> pl.DataFrame:
    table = pairs.with_columns(pl.col("likeness").round(4), code=pl.lit(code))
    return table.select(name for name in PAIR_COLUMNS if name != "manifest")


def unused_range(
    manifest: Manifest, facts: pl.DataFrame, features: pl.DataFrame, pixel_limit: int
) -> list[Finding]:
    """C007: PNG files of 16 bits with values of 8 to 14 bits, as 12 bits stored without scaling.

    The made images give a first answer; a few files of each cohort are decoded to be sure.

    Args:
        manifest: The images. [N rows]
        facts: From `scan_images`. [N rows]
        features: From `image_stats`. [N rows]
        pixel_limit: Most pixels an image may claim.
    """
    rows = manifest.frame.select(ROW, "cohort", place=pl.int_range(pl.len()))
    rows = rows.with_columns(facts.select("bits", "format"), high=features["high"] * 257)
    wide = rows.filter(pl.col("bits") == 16, pl.col("format") == "PNG")
    texts: list[str] = []
    dim: list[pl.DataFrame] = []
    for cohort in wide["cohort"].unique().sort():
        of_cohort = wide.filter(pl.col("cohort") == cohort)
        if of_cohort.select(pl.col("high").max()).item() > MAX_RESIZED_HIGH:
            continue
        sample = of_cohort.gather_every(-(-len(of_cohort) // FILES_COMPARED))["place"].to_list()
        largest = _largest_value(manifest, sample, pixel_limit)
        if largest is not None and largest < 2**MAX_BITS_IN_USE:
            bits = f"{int(largest).bit_length()} of 16 bits"
            value = f"largest value of {plural(len(sample), 'decoded file')} {largest:,} of 65,535"
            texts.append(f"{plural(len(of_cohort), 'image')} of {cohort} in {bits} ({value})")
            dim.append(of_cohort)
    return [finding_for_rows("C007", enumerated(texts), pl.concat(dim))] if texts else []


def _largest_value(manifest: Manifest, sample: list[int], pixel_limit: int) -> int | None:
    """Largest value in some images; None if none can be read."""
    values = [
        value
        for _, value in map_images(
            manifest, sample, lambda data, frame: int(decode(data, pixel_limit, frame).max())
        )
        if not isinstance(value, ImageError)
    ]
    return max(values, default=None)


def disagreeing_decoders(
    manifest: Manifest, facts: pl.DataFrame, pixel_limit: int
) -> list[Finding]:
    """C006: files whose pixels differ between the decoder in use and a second one.

    A few files of each transfer syntax are compared, the same every time, if there is a second
    decoder. Files that cannot be decoded are reported elsewhere.

    Args:
        manifest: The images.
        facts: From `scan_images`.
        pixel_limit: Most pixels an image may claim.
    """
    texts: list[str] = []
    rows: list[int] = []
    for name in facts["syntax"].unique().sort():
        sample = _sample(facts, name) if name else []
        differing: list[int] = []
        seconds: set[str] = set()
        for index, comparison in map_images(
            manifest, sample, lambda data, frame: ask_comparison(data, pixel_limit, frame)
        ):
            if not isinstance(comparison, ImageError) and not comparison.agrees:
                differing.append(manifest.frame[ROW][index])
                seconds.add(comparison.second)
        if differing:
            count = f"{len(differing)} of {plural(len(sample), 'compared file')}"
            others = " and ".join(sorted(seconds))
            texts.append(f"{name}: {count} decoded differently by {others}")
            rows += differing
    return [Finding("C006", enumerated(texts), tuple(sorted(rows)))] if texts else []


def _sample(facts: pl.DataFrame, syntax: str) -> list[int]:
    """Positions of a few files of a transfer syntax, drawn by their contents."""
    positions = np.flatnonzero((facts["syntax"] == syntax).to_numpy())
    keys = text_keys(facts["sha256"].gather(positions))
    draws = uniforms(0, "second decoder", np.zeros(len(positions), np.int64), keys)
    return np.sort(positions[np.argsort(draws)[:FILES_COMPARED]]).tolist()


def unclear_regions(manifest: Manifest, found: pl.DataFrame) -> list[Finding]:
    """C008, C009: images without a clear breast, and chest walls on an unusual side.

    The usual side is that of more than `USUAL_SIDE` of the images of one cohort and laterality.

    Args:
        manifest: The images.
        found: `image_id` and `found` of each, from `data.images.cache.found_regions`.
    """
    frame, laterality = manifest.frame, "laterality"
    rows = frame.join(found, on="image_id", how="inner", maintain_order="left")
    whole = rows.filter(pl.col("found") == "whole")
    unclear = rows.filter(pl.col("found") == "unclear")
    findings: list[Finding] = []
    if len(whole) or len(unclear):
        sentence = (
            f"{len(whole):,} of {plural(len(rows), 'image')} without a clear breast, taken whole; "
            f"{len(unclear):,} with a breast whose chest wall is on no clear side, not mirrored"
        )
        findings.append(finding_for_rows("C008", sentence, pl.concat([whole, unclear])))
    if laterality not in frame.columns:
        return findings
    sided = rows.filter(
        pl.col("found").is_in(["left", "right"]) & pl.col(laterality).is_not_null()
    ).with_columns(is_left=pl.col("found") == "left")
    share = pl.col("is_left").mean().over("cohort", laterality)
    odd = sided.with_columns(share=share).filter(
        ((pl.col("share") > USUAL_SIDE) & ~pl.col("is_left"))
        | ((pl.col("share") < 1 - USUAL_SIDE) & pl.col("is_left"))
    )
    if len(odd):
        sentence = (
            f"{len(odd):,} of {plural(len(sided), 'image')} with the chest wall on the other side "
            f"than over {USUAL_SIDE:.0%} of the images of their cohort and 'laterality': the "
            "column may be wrong, or the image is stored mirrored"
        )
        findings.append(finding_for_rows("C009", sentence, odd))
    return findings
