"""Privacy: columns that look like personal data, and text burned into images.

No sentence contains a value, only the column's name and counts.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from medtransfer.data.audit.findings import Finding, enumerated, finding_for_rows
from medtransfer.errors import plural, printable
from medtransfer.tables.manifest import RESERVED
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.ages import MAX_YEARS, OLDEST, age_range, names_age
from medtransfer.tables.values.personal import CONTENTS

NAMES: dict[str, str] = {
    r"(patient|person|subject|first|last|full|family|given|middle|sur|maiden)[_ ]?names?$"
    r"|^names?$": "a name",
    r"birth|(^|[_ ])dob($|[_ ])": "a date of birth",
    r"(^|[_ ])(mrn|ssn|nhs|nino|npi|insurance|passport|medicare|social[_ ]?security)"
    r"|medical[_ ]?record|health[_ ]?(card|plan)": "an identification number",
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
"""Content suggested by the name of a column, by pattern."""
MIN_SHARE = 0.2
"""A column is reported if this share of its filled cells looks personal; below it, a stray cell or
a code that happens to look like a date would decide."""
LETTERS, WORDS = 60, 6
"""Average length and number of words from which cells are free text."""
MAX_CELLS = 20_000
"""Cells of a column that are examined, evenly over the table."""
ADULT = 18
IN_IDS = (
    r"[\p{L}'-]{2,}\^[\p{L}'-]+|[\w.+-]@[\w-]+\.[A-Za-z]{2,}"
    r"|(^|\D)(19[2-9]|20[0-4])\d-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])($|\D)"
)
"""In an id or a path: a name in DICOM's spelling, an e-mail address, a date."""
TEXT_MODALITIES = ("US", "SC", "OT", "XC", "ES")
"""DICOM modalities whose pixels often hold a name: ultrasound, secondary capture, photographs."""


def personal_columns(frame: pl.DataFrame) -> list[Finding]:
    """P001, P002, P003: columns, ages and ids that may identify a patient.

    Args:
        frame: The manifest's rows.
    """
    free = [name for name in frame.columns if name not in RESERVED and name != ROW]
    step = max(1, len(frame) // MAX_CELLS)
    sample = frame.gather_every(step)
    reasons = [text for name in free if (text := _reason(sample[name]))]
    findings = [Finding("P001", enumerated(reasons, 12))] if reasons else []
    return [*findings, *_old_ages(frame, free), *_identifying_ids(frame)]


def _reason(cells: pl.Series) -> str:
    """Reason to take a column for personal data; empty if there is none."""
    name = printable(cells.name)
    by_content = _content(cells)
    if by_content:
        return f"'{name}' has cells that look like {by_content}"
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
        if _mean(filled.str.contains(pattern)) >= MIN_SHARE:
            return what
    letters, words = filled.str.len_chars(), filled.str.count_matches(r"\s+\S")
    return "free text" if _mean(letters) >= LETTERS and _mean(words) >= WORDS else ""


def _mean(values: pl.Series) -> float:
    return float(np.mean(values.to_numpy()))


def _old_ages(frame: pl.DataFrame, free: list[str]) -> list[Finding]:
    """P002; a column whose highest age is 90 or ``>89`` holds one group of the oldest."""
    findings: list[Finding] = []
    for name, ages in _ages(frame, free):
        old = ages.filter(pl.col("low").is_between(OLDEST, MAX_YEARS))
        if (old["low"] > OLDEST).any():
            sentence = f"'{printable(name)}' is over {OLDEST - 1} in {plural(len(old), 'row')}"
            findings.append(finding_for_rows("P002", sentence, old))
    return findings


def implausible_ages(frame: pl.DataFrame) -> list[Finding]:
    """B010: ages that stand for something else, if at least half of the people are adults.

    Args:
        frame: The manifest's rows.
    """
    free = [name for name in frame.columns if name not in RESERVED and name != ROW]
    findings: list[Finding] = []
    for name, ages in _ages(frame, free):
        years = ages.filter(pl.col("low") == pl.col("high"))
        if (years["low"] >= ADULT).sum() < 0.5 * len(years):
            continue
        implausible = years.filter((pl.col("low") <= 0) | (pl.col("low") > MAX_YEARS))
        if not implausible.is_empty():
            rows = plural(len(implausible), "row")
            sentence = f"'{printable(name)}' is 0 or less, or over {MAX_YEARS}, in {rows}"
            findings.append(finding_for_rows("B010", sentence, implausible))
    return findings


def _ages(frame: pl.DataFrame, free: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Columns named like an age, with `ROW`, `low` and `high` of the rows that hold one."""
    for name in free:
        if not names_age(name) or frame.schema[name].is_nested():
            continue
        cells = frame.select(ROW, text=pl.col(name).cast(pl.String))
        read = {word: age_range(word) for word in cells["text"].drop_nulls().unique()}
        ages = [(word, ages.low, ages.high) for word, ages in read.items() if ages]
        schema = {"text": pl.String, "low": pl.Float64, "high": pl.Float64}
        known = pl.DataFrame(ages, schema, orient="row")
        yield name, cells.join(known, on="text", maintain_order="left").drop("text")


def _identifying_ids(frame: pl.DataFrame) -> list[Finding]:
    names = [n for n in ("image_id", "case_id", "patient_id", "path") if n in frame.columns]
    findings: list[Finding] = []
    for name in names:
        matches = frame.lazy().select(ROW, name).filter(pl.col(name).str.contains(IN_IDS)).collect()
        if not matches.is_empty():
            sentence = f"'{name}' in {plural(len(matches), 'row')}"
            findings.append(finding_for_rows("P003", sentence, matches))
    return findings


def burned_in_text(frame: pl.DataFrame, facts: pl.DataFrame) -> list[Finding]:
    """P004: files whose header or modality suggests text in the pixels.

    ``BurnedInAnnotation = NO`` is ignored: it is often set without a look at the image.

    Args:
        frame: The manifest's rows.
        facts: From `scan_images`, in the same order.
    """
    rows = frame.select(ROW).hstack(facts.select("modality", "burned_in"))
    declared = rows.filter(pl.col("burned_in") == "YES")
    kinds = rows.filter(pl.col("modality").is_in(TEXT_MODALITIES))
    texts = [f"{plural(len(declared), 'file')} whose header says so"] if len(declared) else []
    counts = kinds.group_by("modality").len().sort("modality").iter_rows()
    texts += [f"{plural(count, 'file')} of modality {kind}" for kind, count in counts]
    both = pl.concat([declared, kinds])
    return [finding_for_rows("P004", enumerated(texts), both)] if texts else []
