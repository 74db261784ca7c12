"""What the manifest alone gives away: torn patients and groups, copies of files, names, conflicts.

Every check is a few passes over columns, so that ten million rows fit into memory; no identifier
is ever part of a sentence.
"""

import re
from collections.abc import Sequence

import polars as pl

from medtransfer.data.audit.findings import Finding, about_rows, enumerated
from medtransfer.data.config import DataConfig
from medtransfer.data.labels import label_columns
from medtransfer.data.sources.catalog import OVERLAPS
from medtransfer.data.sources.source import Overlap
from medtransfer.errors import listed, plural
from medtransfer.tables.chunks import ambiguous_owners, hashes_of, rows_where
from medtransfer.tables.manifest import label_text
from medtransfer.tables.schema import ROW

PLACE, DIGEST = "_place", "_sha256"
"""Columns that the audit adds; no manifest column is likely to be called so."""
SIDE = re.compile(r"(?<![a-z])(left|right|laterality)(?![a-z])", re.IGNORECASE)
"""A word for a side of the body in the name of a target."""
OWNER, VALUE = "_owner", "_value"
MIN_STEM = 6
"""Shorter names, such as ``001``, are counters and coincide by chance."""


def patients_across_splits(placed: pl.DataFrame) -> list[Finding]:
    """A001: patients in several splits, or in several cohorts."""
    for owner, what in ((PLACE, "split"), ("cohort", "cohort")):
        torn = _torn(placed, pl.col("patient_id"), pl.col(owner))
        if not torn.is_empty():
            return [about_rows("A001", f"{_owners(torn, 'patient')} in more than one {what}", torn)]
    return []


def files_across_splits(placed: pl.DataFrame) -> list[Finding]:
    """A002, A006: files that are equal byte by byte."""
    across = _torn(placed, pl.col(DIGEST), pl.col(PLACE))
    within = _torn(placed, pl.col(DIGEST), pl.col("patient_id"))
    within = within.join(across, on=OWNER, how="anti")
    findings: list[Finding] = []
    for code, torn, where in (
        ("A002", across, "in more than one split or cohort"),
        ("A006", within, "under several patients of one split"),
    ):
        if not torn.is_empty():
            findings.append(about_rows(code, f"{_owners(torn, 'image')} {where}", torn))
    return findings


def contradictions(placed: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """A003, A007: labels that differ within a case, or between copies of a file."""
    findings: list[Finding] = []
    for code, owner, what in (("A003", "case_id", "case"), ("A007", DIGEST, "image")):
        for name in label_columns(data) if owner in placed.columns else []:
            torn = _torn(placed, pl.col(owner), label_text(name))
            if not torn.is_empty():
                sentence = f"{_owners(torn, what)} with contradicting '{name}'"
                findings.append(about_rows(code, sentence, torn))
    return findings


def groups_across_splits(placed: pl.DataFrame, columns: Sequence[str]) -> list[Finding]:
    """A005: lesions, exams or devices that the splits tear apart."""
    findings: list[Finding] = []
    for name in columns:
        torn = _torn(placed, pl.col(name), pl.col(PLACE))
        if not torn.is_empty():
            sentence = f"{_owners(torn, 'value')} of '{name}' in more than one split"
            findings.append(about_rows("A005", sentence, torn))
    return findings


def conflicting_attributes(frame: pl.DataFrame, attributes: Sequence[str]) -> list[Finding]:
    """B004: cases whose images differ in an attribute."""
    findings: list[Finding] = []
    for name in attributes:
        torn = _torn(frame, pl.col("case_id"), pl.col(name))
        if not torn.is_empty():
            several = f"{_owners(torn, 'case')} with several values of '{name}'"
            findings.append(about_rows("B004", f"{several}; counted in none of its groups", torn))
    return findings


def same_names(placed: pl.DataFrame) -> list[Finding]:
    """A014: images of the same name, without folder and ending, in several splits or cohorts.

    Only names that hold a letter and a figure, or a line, are compared, and only if no two images
    of a split or cohort share them: ``0001`` and ``view1_frontal`` coincide by chance.
    """
    source = "path" if "path" in placed.columns else "image_id"
    stem = pl.col(source).str.replace(r"^.*[/\\]", "").str.replace(r"\.[A-Za-z0-9]{1,5}$", "")
    telling = stem.str.contains(r"[_\-]|[A-Za-z].*\d|\d.*[A-Za-z]")
    named = pl.when(telling & (stem.str.len_chars() >= MIN_STEM)).then(stem)
    torn = _torn(placed, named, pl.col(PLACE))
    torn = torn.filter(pl.len().over(OWNER, VALUE).max().over(OWNER) == 1)
    if torn.is_empty():
        return []
    sentence = f"{_owners(torn, 'image name')} in more than one split or cohort"
    return [about_rows("A014", sentence, torn)]


def overlapping_sets(placed: pl.DataFrame, overlaps: Sequence[Overlap] = OVERLAPS) -> list[Finding]:
    """A015: cohorts whose names are those of public sets that share images.

    Args:
        placed: Rows with their cohort.
        overlaps: Pairs of sets that share images, and the words they are named by.
    """
    names = placed["cohort"].unique().sort().to_list()
    words = {name: _set_words(name) for name in names}
    found: list[str] = []
    for overlap in overlaps:
        one, other = sorted((overlap.one, overlap.other))
        for first in names:
            others = [n for n in names if n != first and _names(words[n], other)]
            if _names(words[first], one):
                found += [f"{listed([first, second])}: {overlap.why}" for second in others]
    return [Finding("A015", enumerated(found))] if found else []


def _set_words(name: str) -> list[str]:
    return "".join(c.lower() if c.isalnum() else " " for c in name).split()


def _names(words: Sequence[str], wanted: str) -> bool:
    """Whether a name holds a set's word, alone or with figures behind it: ham, ham10000.

    ``BCN 20000`` and ``bcn20000`` are the same; ``hamburg`` is not HAM.
    """
    rests = [word.removeprefix(wanted) for word in words if word.startswith(wanted)]
    return any(rest == "" or rest.isdigit() for rest in rests)


def _torn(frame: pl.DataFrame, owner: pl.Expr, what: pl.Expr) -> pl.DataFrame:
    """Rows of owners (patients, cases, files) that have several values of something.

    Texts are compared by 64-bit hashes first, a slice of rows at a time, which takes a fraction of
    the memory; what is found is looked at again as it stands.

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


def _owners(torn: pl.DataFrame, noun: str) -> str:
    return plural(torn[OWNER].n_unique(), noun)


def mirrored_sides(frame: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """Flips left to right where a side is named by a column, a target or a class."""
    if data.image.flip not in ("horizontal", "both"):
        return []
    said: list[str] = []
    if "laterality" in frame.columns and (count := frame["laterality"].count()):
        said.append(f"'laterality' is known of {plural(count, 'image')}")
    columns = [*data.names, *label_columns(data)]
    sided = [name for name in dict.fromkeys(columns) if SIDE.search(name)]
    said += [f"target '{name}' names a side" for name in sided]
    return [Finding("A016", f"flip: {data.image.flip}, and {enumerated(said)}")] if said else []
