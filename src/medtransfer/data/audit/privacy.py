"""Privacy: columns that look like personal data, and text burned into images.

No sentence contains a value, only the column's name and counts.
"""

import polars as pl

from medtransfer.data.audit.findings import Finding, enumerated, finding_for_rows
from medtransfer.data.cases import reported_groups
from medtransfer.data.config import DataConfig
from medtransfer.errors import listed, plural, printable
from medtransfer.tables.chunks import rows_where
from medtransfer.tables.manifest import RESERVED
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.ages import MAX_YEARS, OLDEST, ages_of
from medtransfer.tables.values.personal_columns import is_personal_header, personal_reason
from medtransfer.tables.values.rare_values import merge_rare_groups

ADULT = 18
IN_IDS = (
    r"[\p{L}'-]{2,}\^[\p{L}'-]+|[\w.+-]@[\w-]+\.[A-Za-z]{2,}"
    r"|(^|\D)(19[2-9]|20[0-4])\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])($|\D)"
    r"|(^|\D)(0?[1-9]|[12]\d|3[01])[._](0?[1-9]|1[0-2])[._](19|20)\d\d($|\D)"
)
"""In an id or a path: a name in DICOM's spelling, an e-mail address, a date with dashes."""
EIGHT_DIGITS = r"(?:^|\D)(\d{8})(?:\D|$)"
DATE_DIGITS = r"^(19[2-9]|20[0-4])\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
MIN_DATES = 0.2
"""Share of the eight-digit numbers of a column from which those that can be read as dates are
dates; of random numbers 0.05 % can, of MIMIC-CXR's patient ids 0.3 %."""
RANDOM_CODE = r"(?i)[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|[0-9a-f]{24,}"
"""A UUID, with or without dashes, or a digest: its figures are random."""
TEXT_MODALITIES = ("US", "SC", "OT", "XC", "ES")
"""DICOM modalities whose pixels often hold a name: ultrasound, secondary capture, photographs."""


def personal_columns(frame: pl.DataFrame, data: DataConfig | None = None) -> list[Finding]:
    """P001, P002, P003, P005: columns, ages and ids that may identify a patient.

    Args:
        frame: The manifest's rows.
        data: Targets, class column and attributes; None if they are not known.
    """
    free = [name for name in frame.columns if name not in RESERVED and name != ROW]
    reported = _reported_columns(data)
    reasons = [t for n in free if n not in reported and (t := personal_reason(frame[n]))]
    findings = [Finding("P001", enumerated(reasons, 12))] if reasons else []
    named = [t for n in reported if n in frame.columns and (t := personal_reason(frame[n]))]
    named += [
        f"the name of {plural(count, 'target')} looks like personal data"
        for count in [sum(map(is_personal_header, data.names if data else ()))]
        if count
    ]
    ages = [name for name in reported if name in free]
    named += [finding.sentence for finding in _old_ages(frame, ages)]
    if named:
        findings.append(Finding("P005", enumerated(named, 12)))
    return [*findings, *_old_ages(frame, free), *_identifying_ids(frame)]


def rare_values(frame: pl.DataFrame, data: DataConfig, least: int) -> list[Finding]:
    """P006: values that few patients have, by attribute; they are counted and not named.

    Args:
        frame: The manifest's rows.
        data: Attributes.
        least: Patients from which a value is named.
    """
    _, sentences = merge_rare_groups(reported_groups(frame, data.attributes), frame, least)
    return [Finding("P006", enumerated(sentences, 12))] if sentences else []


def small_cohorts(frame: pl.DataFrame, least: int) -> list[Finding]:
    """P007: cohorts of few patients; their names are printed, their small counts are not.

    Args:
        frame: The manifest's rows.
        least: Patients from which a cohort is large enough.
    """
    sizes = frame.group_by("cohort").agg(pl.col("patient_id").n_unique()).sort("cohort")
    names = sizes.filter(pl.col("patient_id") < least)["cohort"].to_list()
    if not names:
        return []
    shown = listed(f"'{name}'" for name in names)
    verb = "has" if len(names) == 1 else "have"
    return [Finding("P007", f"{shown} {verb} fewer than {least} patients")]


def _reported_columns(data: DataConfig | None) -> list[str]:
    """Columns whose values, or whose names, are in the tables and in the report."""
    columns = ["cohort"]
    if data is not None:
        columns += [*data.attributes, *([data.class_column] if data.class_column else [])]
    return list(dict.fromkeys(columns))


def _old_ages(frame: pl.DataFrame, free: list[str]) -> list[Finding]:
    """P002; a column whose highest age is 90 or ``>89`` holds one group of the oldest."""
    findings: list[Finding] = []
    for name, ages in ages_of(frame, free):
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
    for name, ages in ages_of(frame, free):
        years = ages.filter(pl.col("low") == pl.col("high"))
        if (years["low"] >= ADULT).sum() < 0.5 * len(years):
            continue
        implausible = years.filter((pl.col("low") <= 0) | (pl.col("low") > MAX_YEARS))
        if not implausible.is_empty():
            rows = plural(len(implausible), "row")
            sentence = f"'{printable(name)}' is 0 or less, or over {MAX_YEARS}, in {rows}"
            findings.append(finding_for_rows("B010", sentence, implausible))
    return findings


def _identifying_ids(frame: pl.DataFrame) -> list[Finding]:
    names = [n for n in ("image_id", "case_id", "patient_id", "path") if n in frame.columns]
    findings: list[Finding] = []
    for name in names:
        matches = rows_where(frame.select(ROW, name), _identifies(frame[name]))
        if not matches.is_empty():
            sentence = f"'{name}' in {plural(len(matches), 'row')}"
            findings.append(finding_for_rows("P003", sentence, matches))
    return findings


def _identifies(ids: pl.Series) -> pl.Expr:
    """True for ids with a name, an address or a date, not for random codes of the same figures."""
    plain = pl.col(ids.name).str.replace_all(RANDOM_CODE, "x")
    number = plain.str.extract(EIGHT_DIGITS)
    shares = ids.to_frame().lazy().select(number.count().alias("all"), dates=_dates(number).sum())
    numbers, dates = shares.collect().row(0)
    named = plain.str.contains(IN_IDS)
    return named | _dates(number) if dates and dates >= MIN_DATES * numbers else named


def _dates(number: pl.Expr) -> pl.Expr:
    return number.str.contains(DATE_DIGITS).fill_null(value=False)


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
