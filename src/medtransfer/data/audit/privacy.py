"""Columns that look like personal data, by their names and by what is in them.

Nothing here names a value: sentences hold the column's name and counts.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from medtransfer.data.audit.findings import Finding, about_rows, enumerated
from medtransfer.data.images.dicom.decoder_pool import ask_comparison
from medtransfer.data.images.scan import map_images
from medtransfer.errors import ImageError, plural, printable
from medtransfer.seeds import text_keys, uniforms
from medtransfer.tables.manifest import RESERVED, Manifest
from medtransfer.tables.schema import ROW

NAMES: dict[str, str] = {
    r"(patient|person|subject|first|last|full|family|given|middle|sur|maiden)[_ ]?names?$"
    r"|^names?$": "a name",
    r"birth|(^|[_ ])dob($|[_ ])": "a date of birth",
    r"(^|[_ ])(mrn|ssn|nhs|nino|npi|insurance|passport|medicare|social[_ ]?security)"
    r"|medical[_ ]?record|health[_ ]?(card|plan)": "a number of a person",
    r"(^|[_ ])e?[_ -]?mail": "an e-mail address",
    r"(^|[_ ])(phone|telephone|mobile|fax)": "a telephone number",
    r"(^|[_ ])(street|address|zip|zipcode|postcode|postal[_ ]?code)": "an address",
    r"accession": "an accession number",
    r"physician|doctor|radiologist[_ ]?name|operator|technologist": "a member of staff",
    r"(study|exam|admission|discharge|acquisition|series|content)[_ ]?(date|time|datetime)"
    r"|^dates?$": "a date",
    r"(^|[_ ])(reports?|comments?|notes?|remarks?|impression|free[_ ]?text|clinical[_ ]?history)"
    r"($|[_ ])": "free text",
}
"""What the name of a column says is in it."""
CONTENTS: dict[str, str] = {
    "e-mail addresses": r"^\s*[^@\s]+@[^@\s]+\.[A-Za-z]{2,}\s*$",
    "full dates": (
        r"^\s*((19|20)\d\d[-/.](0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])"
        r"|(0?[1-9]|[12]\d|3[01])[-/.](0?[1-9]|[12]\d|3[01])[-/.](19|20)?\d\d"
        r"|(19[2-9]|20[0-4])\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
        r"|[A-Z][a-z]{2,8}\.? [0-3]?\d,? (19|20)\d\d)([T ].*)?$"
    ),
    "telephone numbers": r"^\s*(\+\d[\d ()/-]{7,}\d|\(?\d{3}\)?[ -]\d{3}[ -]\d{4})\s*$",
    "names as DICOM writes them": r"^\s*[\p{L}'-]{2,}\^[\p{L}'-]+",
    "social security numbers": r"^\s*\d{3}-\d{2}-\d{4}\s*$",
}
"""What a cell looks like when it is personal."""
SHARE = 0.2
"""A column in which this share of the filled cells looks personal is said to hold such data: below,
a stray cell or a code that happens to look like a date would speak for all."""
LETTERS, WORDS = 60, 6
"""Cells of this length and number of words on average are free text."""
LOOKED_AT = 20_000
"""Cells of a column that are looked at, evenly over the table."""
OLDEST = 89
"""Ages above are identifying (HIPAA's Safe Harbor, 45 CFR 164.514)."""
IMPOSSIBLE, ADULT = 120, 18
IN_IDS = (
    r"[\p{L}'-]{2,}\^[\p{L}'-]+|@[\w-]+\.[A-Za-z]{2,}"
    r"|(^|\D)(19[2-9]|20[0-4])\d-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])($|\D)"
)
"""In an id or a path: a name as DICOM writes it, an e-mail address, a date."""


def personal_columns(frame: pl.DataFrame) -> list[Finding]:
    """P001, P002, P003: columns, ages and ids that may say who a patient is.

    Args:
        frame: The manifest's rows.
    """
    free = [name for name in frame.columns if name not in RESERVED and name != ROW]
    step = max(1, len(frame) // LOOKED_AT)
    looked = frame.gather_every(step)
    said = [text for name in free if (text := _said_of(looked[name]))]
    findings = [Finding("P001", enumerated(said, 12))] if said else []
    return [*findings, *_old_ages(frame, free), *_telling_ids(frame)]


def _said_of(cells: pl.Series) -> str:
    """Why a column is taken for personal data; nothing if it is not."""
    name = printable(cells.name)
    by_content = _content(cells)
    if by_content:
        return f"'{name}' holds what looks like {by_content}"
    flat = pl.Series([cells.name]).str.to_lowercase()
    snake = pl.Series([cells.name]).str.replace_all(r"([a-z])([A-Z])", "${1}_$2").str.to_lowercase()
    for pattern, what in NAMES.items():
        if flat.str.contains(pattern).any() or snake.str.contains(pattern).any():
            return f"'{name}' is named like {what}" if cells.drop_nulls().len() else ""
    return ""


def _content(cells: pl.Series) -> str:
    filled = cells.drop_nulls()
    if filled.is_empty():
        return ""
    if filled.dtype.is_temporal():
        return "full dates"
    if filled.dtype.is_integer():
        filled = filled.cast(pl.String)
    if filled.dtype != pl.String():
        return ""
    for what, pattern in CONTENTS.items():
        if _mean(filled.str.contains(pattern)) >= SHARE:
            return what
    letters, words = filled.str.len_chars(), filled.str.count_matches(r"\s+\S")
    return "free text" if _mean(letters) >= LETTERS and _mean(words) >= WORDS else ""


def _mean(values: pl.Series) -> float:
    return float(np.mean(values.to_numpy()))


def _old_ages(frame: pl.DataFrame, free: list[str]) -> list[Finding]:
    findings: list[Finding] = []
    for name, years in _ages(frame, free):
        old = years.filter(pl.col("years").is_between(OLDEST, IMPOSSIBLE, closed="right"))
        if not old.is_empty():
            sentence = f"'{printable(name)}' is over {OLDEST} in {plural(len(old), 'row')}"
            findings.append(about_rows("P002", sentence, old))
    return findings


def implausible_ages(frame: pl.DataFrame) -> list[Finding]:
    """B010: ages that stand for something else, where at least half of the people are adults.

    Args:
        frame: The manifest's rows.
    """
    free = [name for name in frame.columns if name not in RESERVED and name != ROW]
    findings: list[Finding] = []
    for name, years in _ages(frame, free):
        if (years["years"] >= ADULT).sum() < 0.5 * len(years):
            continue
        odd = years.filter((pl.col("years") <= 0) | (pl.col("years") > IMPOSSIBLE))
        if not odd.is_empty():
            rows = plural(len(odd), "row")
            sentence = f"'{printable(name)}' is 0 or less, or over {IMPOSSIBLE}, in {rows}"
            findings.append(about_rows("B010", sentence, odd))
    return findings


def _ages(frame: pl.DataFrame, free: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Columns named like an age, with `ROW` and `years` of the filled rows."""
    for name in free:
        snake = pl.Series([name]).str.replace_all(r"([a-z])([A-Z])", "${1}_$2").str.to_lowercase()
        if not snake.str.contains(r"(^|[_ ])age($|[_ ])").any():
            continue
        text = pl.col(name).cast(pl.String).str.extract(r"^\s*(-?\d+(?:\.\d+)?)\s*[Yy]?\s*$")
        years = text.cast(pl.Float64, strict=False).alias("years")
        yield name, frame.lazy().select(ROW, years).drop_nulls("years").collect()


def _telling_ids(frame: pl.DataFrame) -> list[Finding]:
    names = [n for n in ("image_id", "case_id", "patient_id", "path") if n in frame.columns]
    findings: list[Finding] = []
    for name in names:
        hit = frame.lazy().select(ROW, name).filter(pl.col(name).str.contains(IN_IDS)).collect()
        if not hit.is_empty():
            sentence = f"'{name}' in {plural(len(hit), 'row')}"
            findings.append(about_rows("P003", sentence, hit))
    return findings


TEXT_MODALITIES = ("US", "SC", "OT", "XC", "ES")
"""DICOM modalities whose pixels often hold a name: ultrasound, secondary capture, photographs."""
COMPARED = 8
"""Files of each transfer syntax that a second decoder unpacks too."""


def burned_in_text(frame: pl.DataFrame, facts: pl.DataFrame) -> list[Finding]:
    """P004: files whose header says that there is writing in the pixels, or whose modality does.

    ``BurnedInAnnotation = NO`` is not believed: it is often set without anybody having looked.

    Args:
        frame: The manifest's rows.
        facts: From `scan_images`, in the same order.
    """
    rows = frame.select(ROW).hstack(facts.select("modality", "burned_in"))
    said = rows.filter(pl.col("burned_in") == "YES")
    kinds = rows.filter(pl.col("modality").is_in(TEXT_MODALITIES))
    found = [f"{plural(len(said), 'file')} that say so themselves"] if len(said) else []
    counts = kinds.group_by("modality").len().sort("modality").iter_rows()
    found += [f"{plural(count, 'file')} of modality {kind}" for kind, count in counts]
    both = pl.concat([said, kinds])
    return [about_rows("P004", enumerated(found), both)] if found else []


def disagreeing_decoders(
    manifest: Manifest, facts: pl.DataFrame, pixel_limit: int
) -> list[Finding]:
    """C006: files of which a second decoder makes other pixels than the one that is used.

    A few files of each transfer syntax are compared, the same every time; where no second decoder
    is there, none is. Files that cannot be unpacked are found elsewhere.

    Args:
        manifest: The images.
        facts: From `scan_images`.
        pixel_limit: Most pixels an image may claim.
    """
    found: list[str] = []
    rows: list[int] = []
    for name in facts["syntax"].unique().sort():
        looked = _sample(facts, name) if name else []
        apart: list[int] = []
        seconds: set[str] = set()
        for index, said in map_images(
            manifest, looked, lambda data, frame: ask_comparison(data, pixel_limit, frame)
        ):
            if not isinstance(said, ImageError) and not said.agrees:
                apart.append(manifest.frame[ROW][index])
                seconds.add(said.second)
        if apart:
            of = f"{len(apart)} of {plural(len(looked), 'file')} compared"
            found.append(f"{name}: {of}, by {' and '.join(sorted(seconds))}")
            rows += apart
    return [Finding("C006", enumerated(found), tuple(sorted(rows)))] if found else []


def _sample(facts: pl.DataFrame, syntax: str) -> list[int]:
    """Positions of a few files of a transfer syntax, drawn by their contents."""
    places = np.flatnonzero((facts["syntax"] == syntax).to_numpy())
    keys = text_keys(facts["sha256"].gather(places))
    draws = uniforms(0, "second decoder", np.zeros(len(places), np.int64), keys)
    return np.sort(places[np.argsort(draws)[:COMPARED]]).tolist()
