"""What the manifest alone gives away: torn patients and groups, copies of files, names, conflicts.

Every check is a few passes over columns, so that ten million rows fit into memory; no identifier
is ever part of a sentence.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from medtransfer.data.config import DataConfig
from medtransfer.data.findings import Finding, about_rows, enumerated
from medtransfer.data.labels import label_columns, raw_labels
from medtransfer.errors import listed, plural
from medtransfer.tables.schema import ROW

PLACE, DIGEST = "_place", "_sha256"
"""Columns that the audit adds; no manifest column is likely to be called so."""
LEAST_STEM = 6
"""Shorter names, such as ``001``, are counters and coincide by chance."""
OVERLAPS: Mapping[frozenset[str], str] = {
    frozenset({"nih", "rsna"}): "RSNA pneumonia took its films from NIH ChestX-ray14",
    frozenset({"nih", "google"}): "Google's relabels are films of NIH ChestX-ray14",
    frozenset({"rsna", "google"}): "both took their films from NIH ChestX-ray14",
    frozenset({"nih", "chestmnist"}): "ChestMNIST is NIH ChestX-ray14, resized",
    frozenset({"rsna", "chestmnist"}): "both took their films from NIH ChestX-ray14",
    frozenset({"nih", "siim"}): "SIIM pneumothorax took its films from NIH ChestX-ray14",
    frozenset({"ham", "isic"}): "the ISIC challenges of 2018 and 2019 hold HAM10000",
    frozenset({"bcn", "isic"}): "the ISIC challenge of 2019 holds BCN20000",
    frozenset({"bcn", "ham"}): (
        "what is passed on as BCN20000 is often all of ISIC 2019 (25,331 images), with HAM10000 "
        "in it"
    ),
    frozenset({"ham", "dermamnist"}): "DermaMNIST is HAM10000, resized",
    frozenset({"isic", "dermamnist"}): "DermaMNIST is HAM10000, which ISIC holds",
    frozenset({"kermany", "pneumoniamnist"}): "PneumoniaMNIST is the set of Kermany, resized",
    frozenset({"busi", "breastmnist"}): "BreastMNIST is BUSI, resized",
}
"""Pairs of public sets, by a word of their names, and why they have images in common."""


def torn_patients(placed: pl.DataFrame) -> list[Finding]:
    """A001: patients in several splits, or in several cohorts."""
    for owner, what in ((PLACE, "split"), ("cohort", "cohort")):
        torn = _torn(placed, "patient_id", owner)
        if not torn.is_empty():
            count = plural(torn["patient_id"].n_unique(), "patient")
            return [about_rows("A001", f"{count} in more than one {what}", torn)]
    return []


def same_files(placed: pl.DataFrame) -> list[Finding]:
    """A002, A006: files that are equal byte by byte."""
    twice = placed.lazy().filter(pl.col(DIGEST).is_duplicated()).collect()
    across = _torn(twice, DIGEST, PLACE)
    within = _torn(twice.join(across, on=DIGEST, how="anti"), DIGEST, "patient_id")
    findings: list[Finding] = []
    for code, torn, where in (
        ("A002", across, "in more than one split or cohort"),
        ("A006", within, "under several patients of one split"),
    ):
        if not torn.is_empty():
            count = plural(torn[DIGEST].n_unique(), "image")
            findings.append(about_rows(code, f"{count} {where}", torn))
    return findings


def contradictions(placed: pl.DataFrame, data: DataConfig) -> list[Finding]:
    """A003, A007: labels that differ within a case, or between copies of a file."""
    findings: list[Finding] = []
    owners = (("A003", "case_id", "case"), ("A007", DIGEST, "image"))
    for code, owner, what in owners:
        if owner not in placed.columns:
            continue
        several = placed.filter(pl.col(owner).is_duplicated())
        labels = several.select(ROW, owner).hstack(raw_labels(several, data))
        for name in label_columns(data):
            torn = _torn(labels.filter(pl.col(name).is_not_null()), owner, name)
            if not torn.is_empty():
                rows = labels.join(torn.select(owner).unique(), on=owner, how="semi")
                count = plural(torn[owner].n_unique(), what)
                findings.append(about_rows(code, f"{count} with contradicting '{name}'", rows))
    return findings


def torn_groups(placed: pl.DataFrame, columns: Sequence[str]) -> list[Finding]:
    """A005: lesions, exams or devices that the splits tear apart."""
    findings: list[Finding] = []
    for name in columns:
        torn = _torn(placed.filter(pl.col(name).is_not_null()), name, PLACE)
        if not torn.is_empty():
            values = plural(torn[name].n_unique(), "value")
            findings.append(
                about_rows("A005", f"{values} of '{name}' in more than one split", torn)
            )
    return findings


def mixed_attributes(frame: pl.DataFrame, attributes: Sequence[str]) -> list[Finding]:
    """B004: cases whose images differ in an attribute."""
    findings: list[Finding] = []
    several = frame.filter(pl.col("case_id").is_duplicated())
    for name in attributes:
        torn = _torn(several.filter(pl.col(name).is_not_null()), "case_id", name)
        if not torn.is_empty():
            mixed = several.join(torn.select("case_id").unique(), on="case_id", how="semi")
            cases = plural(mixed["case_id"].n_unique(), "case")
            sentence = f"{cases} with several values of '{name}'; counted in none of its groups"
            findings.append(about_rows("B004", sentence, mixed))
    return findings


def same_names(placed: pl.DataFrame) -> list[Finding]:
    """A014: images of the same name, without folder and ending, of different patients or cohorts.

    Only names that hold a letter and a figure, or an underscore, are compared: counters such as
    ``0001`` coincide by chance.
    """
    source = "path" if "path" in placed.columns else "image_id"
    stem = pl.col(source).str.replace(r"^.*[/\\]", "").str.replace(r"\.[A-Za-z0-9]{1,5}$", "")
    telling = pl.col("_stem").str.contains(r"[_\-]|[A-Za-z].*\d|\d.*[A-Za-z]")
    long = pl.col("_stem").str.len_chars() >= LEAST_STEM
    named = (
        placed.lazy()
        .select(ROW, "cohort", "patient_id", PLACE, stem.alias("_stem"))
        .filter(telling & long & pl.col("_stem").is_duplicated())
        .collect()
    )
    torn = _torn(named, "_stem", PLACE)
    if torn.is_empty():
        return []
    count = plural(torn["_stem"].n_unique(), "image name")
    return [about_rows("A014", f"{count} in more than one split or cohort", torn)]


def overlapping_sets(
    placed: pl.DataFrame, overlaps: Mapping[frozenset[str], str] = OVERLAPS
) -> list[Finding]:
    """A015: cohorts whose names are those of public sets that share images.

    Args:
        placed: Rows with their cohort.
        overlaps: Two words and why sets with these in their names share images.
    """
    names = placed["cohort"].unique().sort().to_list()
    words = {name: _set_words(name) for name in names}
    found: list[str] = []
    for pair, why in overlaps.items():
        one, other = sorted(pair)
        for first in names:
            others = [n for n in names if n != first and _names(words[n], other)]
            if _names(words[first], one):
                found += [f"{listed([first, second])}: {why}" for second in others]
    return [Finding("A015", enumerated(found))] if found else []


def _set_words(name: str) -> list[str]:
    return "".join(c.lower() if c.isalnum() else " " for c in name).split()


def _names(words: Sequence[str], wanted: str) -> bool:
    """Whether a name holds a set's word, alone or with figures behind it: ham, ham10000.

    ``BCN 20000`` and ``bcn20000`` are the same; ``hamburg`` is not HAM.
    """
    rests = [word.removeprefix(wanted) for word in words if word.startswith(wanted)]
    return any(rest == "" or rest.isdigit() for rest in rests)


def _torn(frame: pl.DataFrame, owner: str, what: str) -> pl.DataFrame:
    """Rows of owners (patients, cases, files) that have several values of something."""
    several = (
        frame.lazy()
        .group_by(owner)
        .agg(pl.col(what).min().alias("_low"), pl.col(what).max().alias("_high"))
        .filter(pl.col("_low") != pl.col("_high"))
        .select(owner)
    )
    return frame.lazy().join(several, on=owner, how="semi").collect()
