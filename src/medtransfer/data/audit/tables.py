"""Checks of the manifest alone: patients and groups across splits, copies, names, conflicts.

Every check is a few passes over columns, so that ten million rows fit into memory; no sentence
contains an identifier.
"""

import re
from collections.abc import Sequence

import polars as pl

from medtransfer.data.audit.findings import Finding, enumerated, finding_for_rows
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import label_columns
from medtransfer.data.sources.catalog import OVERLAPS
from medtransfer.data.sources.source import Overlap
from medtransfer.errors import listed, plural
from medtransfer.tables.chunks import ambiguous_owners, hashes_of, rows_where
from medtransfer.tables.manifest import label_text
from medtransfer.tables.schema import ROW

USAGE, DIGEST = "_usage", "_sha256"
"""Columns that the audit adds; the underscore keeps them apart from a manifest's own."""
SIDE = re.compile(r"(?<![a-z])(left|right|laterality)(?![a-z])", re.IGNORECASE)
"""Words for a side of the body in the name of a target."""
OWNER, VALUE = "_owner", "_value"
GLOBAL_NAME = r"(?i)\d{7}|[0-9a-f]{12}"
"""A number or a code in a file name that two hospitals do not both use by chance."""
MIN_STEM = 6
"""Shorter names, such as ``001``, are counters that coincide by chance."""


def patients_across_splits(placed: pl.DataFrame) -> list[Finding]:
    """A001: patients in several splits, or in several cohorts."""
    for owner, what in ((USAGE, "split"), ("cohort", "cohort")):
        rows = _several_values(placed, pl.col("patient_id"), pl.col(owner))
        if not rows.is_empty():
            return [
                finding_for_rows(
                    "A001", f"{_owners(rows, 'patient')} in more than one {what}", rows
                )
            ]
    return []


def files_across_splits(placed: pl.DataFrame) -> list[Finding]:
    """A002, A006: files that are equal byte by byte."""
    across = _several_values(placed, pl.col(DIGEST), pl.col(USAGE))
    within = _several_values(placed, pl.col(DIGEST), pl.col("patient_id"))
    within = within.join(across, on=OWNER, how="anti")
    findings: list[Finding] = []
    for code, rows, where in (
        ("A002", across, "in more than one split or cohort"),
        ("A006", within, "listed under several patients of one split"),
    ):
        if not rows.is_empty():
            findings.append(finding_for_rows(code, f"{_owners(rows, 'image')} {where}", rows))
    return findings


def contradictions(placed: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """A003, A007: labels that differ within a case, or between copies of a file."""
    findings: list[Finding] = []
    for code, owner, what in (("A003", "case_id", "case"), ("A007", DIGEST, "image")):
        for name in label_columns(data) if owner in placed.columns else []:
            rows = _several_values(placed, pl.col(owner), label_text(name))
            if not rows.is_empty():
                sentence = f"{_owners(rows, what)} with contradictory labels in '{name}'"
                findings.append(finding_for_rows(code, sentence, rows))
    return findings


def groups_across_splits(placed: pl.DataFrame, columns: Sequence[str]) -> list[Finding]:
    """A005: lesions, exams or devices in several splits."""
    findings: list[Finding] = []
    for name in columns:
        rows = _several_values(placed, pl.col(name), pl.col(USAGE))
        if not rows.is_empty():
            sentence = f"{_owners(rows, 'value')} of '{name}' in more than one split"
            findings.append(finding_for_rows("A005", sentence, rows))
    return findings


def conflicting_attributes(frame: pl.DataFrame, attributes: Sequence[str]) -> list[Finding]:
    """B004: cases whose images differ in an attribute."""
    findings: list[Finding] = []
    for name in attributes:
        rows = _several_values(frame, pl.col("case_id"), pl.col(name))
        if not rows.is_empty():
            several = f"{_owners(rows, 'case')} with several values of '{name}'"
            findings.append(finding_for_rows("B004", f"{several}; excluded from its groups", rows))
    return findings


def same_names(placed: pl.DataFrame) -> list[Finding]:
    """A014: images of the same name, without folder and ending, in several splits or cohorts.

    Only names with a digit and a letter or a dash are compared, and only if no two images of a
    split or cohort share them: ``0001`` and ``view1_frontal`` coincide by chance. Short numbers,
    as in ``img_0001``, are compared within a cohort: every hospital counts its own images.
    """
    source = "path" if "path" in placed.columns else "image_id"
    stem = pl.col(source).str.replace(r"^.*[/\\]", "").str.replace(r"\.[A-Za-z0-9]{1,5}$", "")
    specific = stem.str.contains(r"\d") & stem.str.contains(r"[A-Za-z_\-]")
    global_name = stem.str.contains(GLOBAL_NAME)
    owner = pl.when(global_name).then(stem).otherwise(pl.concat_str("cohort", pl.lit("/"), stem))
    named = pl.when(specific & (stem.str.len_chars() >= MIN_STEM)).then(owner)
    rows = _several_values(placed, named, pl.col(USAGE))
    rows = rows.filter(pl.len().over(OWNER, VALUE).max().over(OWNER) == 1)
    if rows.is_empty():
        return []
    sentence = f"{_owners(rows, 'image name')} in more than one split or cohort"
    return [finding_for_rows("A014", sentence, rows)]


def overlapping_sets(placed: pl.DataFrame, overlaps: Sequence[Overlap] = OVERLAPS) -> list[Finding]:
    """A015: cohorts whose names are those of public sets that share images.

    Args:
        placed: Rows with their cohort.
        overlaps: Pairs of sets that share images, and the words they are named by.
    """
    names = placed["cohort"].unique().sort().to_list()
    words = {name: _set_words(name) for name in names}
    overlapping: list[str] = []
    for overlap in overlaps:
        shorter, other = sorted((overlap.one, overlap.other))
        for first in names:
            others = [n for n in names if n != first and _contains_name(words[n], other)]
            if _contains_name(words[first], shorter):
                overlapping += [f"{listed([first, second])}: {overlap.why}" for second in others]
    return [Finding("A015", enumerated(overlapping))] if overlapping else []


def _set_words(name: str) -> list[str]:
    return "".join(c.lower() if c.isalnum() else " " for c in name).split()


def _contains_name(words: Sequence[str], wanted: str) -> bool:
    """True if a name contains a set's word, alone or followed by digits: ham, ham10000.

    ``BCN 20000`` and ``bcn20000`` are the same; ``hamburg`` is not HAM.
    """
    rests = [word.removeprefix(wanted) for word in words if word.startswith(wanted)]
    return any(rest == "" or rest.isdigit() for rest in rests)


def _several_values(frame: pl.DataFrame, owner: pl.Expr, what: pl.Expr) -> pl.DataFrame:
    """Rows of owners (patients, cases, files) that have several values of something.

    Texts are compared by 64-bit hashes first, a slice of rows at a time, which takes a fraction of
    the memory; the matches are then compared as text.

    Returns:
        `ROW`, `OWNER` and `VALUE`; also rows of such owners that have no value.
    """
    several = ambiguous_owners(*hashes_of(frame, owner, what))
    if not len(several):
        return pl.DataFrame(schema={ROW: pl.Int64, OWNER: pl.String, VALUE: pl.String})
    near = owner.is_not_null() & owner.hash().is_in(pl.Series(several).implode())
    texts = (owner.cast(pl.String).alias(OWNER), what.cast(pl.String).alias(VALUE))
    rows = rows_where(frame, near).select(ROW, *texts)
    ends = rows.drop_nulls().group_by(OWNER).agg(pl.col(VALUE).n_unique())
    return rows.filter(pl.col(OWNER).is_in(ends.filter(pl.col(VALUE) > 1)[OWNER].implode()))


def _owners(rows: pl.DataFrame, noun: str) -> str:
    return plural(rows[OWNER].n_unique(), noun)


def mirrored_sides(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """A016: horizontal flips although a column, a target or a class names a side."""
    if data.image.flip not in ("horizontal", "both"):
        return []
    reasons: list[str] = []
    if "laterality" in frame.columns and (count := frame["laterality"].count()):
        reasons.append(f"'laterality' is set for {plural(count, 'image')}")
    columns = [*data.names, *label_columns(data)]
    sided = [name for name in dict.fromkeys(columns) if SIDE.search(name)]
    reasons += [f"target '{name}' names a side" for name in sided]
    return (
        [Finding("A016", f"flip is '{data.image.flip}', but {enumerated(reasons)}")]
        if reasons
        else []
    )
