"""Ids and cohorts in two spellings, and ids of two patients."""

import polars as pl

from medtransfer.data.audit.findings import Finding, enumerated, finding_for_rows
from medtransfer.data.audit.privacy import ages_of
from medtransfer.data.audit.tables import USAGE
from medtransfer.errors import plural, printable
from medtransfer.tables.manifest import free_columns
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.ages import MAX_YEARS
from medtransfer.tables.values.folding import plain_word
from medtransfer.tables.values.missing_words import missing_words
from medtransfer.tables.values.sex import names_sex
from medtransfer.tables.values.spellings import is_rounded_id, plain_id

MIN_YEARS_APART = 20
"""Ages of one patient that no follow-up of an imaging archive explains."""


def id_spellings(placed: pl.DataFrame) -> list[Finding]:
    """A018, A019: patients whose ids differ by spelling alone, across splits and within one.

    Args:
        placed: Rows with their usage, from `add_usage`.
    """
    name = pl.col("patient_id")
    plain = plain_id("patient_id")
    columns = ("patient_id", USAGE, "cohort")
    patients = placed.select(columns).unique().with_columns(key=plain)
    twins = patients.filter(name.n_unique().over("key") > 1)
    places = [pl.col(column).n_unique().over("key") > 1 for column in (USAGE, "cohort")]
    across = twins.filter(pl.any_horizontal(places))
    within = twins.join(across, on="key", how="anti")
    findings: list[Finding] = []
    for code, part, where in (
        ("A018", across, "in more than one split or cohort"),
        ("A019", within, "within one split or cohort"),
    ):
        if not part.is_empty():
            rows = placed.filter(name.is_in(part["patient_id"].implode())).select(ROW)
            ids = plural(part["patient_id"].n_unique(), "patient id")
            people = plural(part["key"].n_unique(), "patient")
            sentence = f"{ids} that may be {people}, {where}"
            findings.append(finding_for_rows(code, sentence, rows))
    rounded = placed.filter(is_rounded_id("patient_id"))
    if not rounded.is_empty():
        count = plural(rounded["patient_id"].n_unique(), "patient id")
        sentence = (
            f"{count} in scientific notation or ending in 0: a spreadsheet has rounded long numbers"
        )
        findings.append(finding_for_rows("A019", sentence, rounded))
    return findings + _words_for_missing(placed)


def _words_for_missing(placed: pl.DataFrame) -> list[Finding]:
    """A019: rows without a patient, which a word such as NA, or north/NA, makes those of one."""
    last = pl.col("patient_id").str.extract(r"([^/]*)$")
    names = placed.select(last.filter(~last.str.contains(r"\d")).unique())["patient_id"]
    words = missing_words(names)
    if not words:
        return []
    rows = placed.filter(last.str.strip_chars().is_in([*words]))
    count = plural(rows["patient_id"].n_unique(), "patient id")
    sentence = f"{count} in words for a missing value, in {plural(len(rows), 'row')}"
    return [finding_for_rows("A019", sentence, rows)]


def cohort_spellings(placed: pl.DataFrame) -> list[Finding]:
    """A026: cohorts whose names are the same but for case, accents, blanks and dashes.

    Args:
        placed: Rows with their usage, from `add_usage`.
    """
    spellings: dict[str, list[str]] = {}
    for name in placed["cohort"].unique().sort():
        word = "".join(letter for letter in plain_word(name) if letter.isalnum() or letter == "+")
        spellings.setdefault(word, []).append(name)
    twins = [names for names in spellings.values() if len(names) > 1]
    if not twins:
        return []
    rows = placed.filter(pl.col("cohort").is_in([name for names in twins for name in names]))
    texts = [" and ".join(f"'{printable(name)}'" for name in names) for names in twins]
    return [finding_for_rows("A026", f"{enumerated(texts)} may be one cohort", rows)]


def shared_ids(frame: pl.DataFrame) -> list[Finding]:
    """A020: patient ids whose rows have both sexes, or ages decades apart.

    Args:
        frame: The manifest's rows.
    """
    free = free_columns(frame)
    sexes = [name for name in free if names_sex(name) and frame.schema[name] == pl.String()]
    texts: list[str] = []
    patients: list[pl.DataFrame] = []
    for name in sexes:
        both = pl.col(name).filter(pl.col(name).is_in(["F", "M"])).n_unique() > 1
        chosen = frame.lazy().select("patient_id", name).group_by("patient_id").agg(both).collect()
        chosen = chosen.filter(name).select("patient_id")
        if not chosen.is_empty():
            texts.append(f"'{printable(name)}' is both F and M for {_patients(chosen)}")
            patients.append(chosen)
    columns = dict(ages_of(frame, free))
    exact = {name: a for name, a in columns.items() if (a["low"] == a["high"]).any()}
    for name, ages in (exact or columns).items():  # bands say again what the ages say
        apart = pl.col("low").max() - pl.col("high").min() >= MIN_YEARS_APART
        owned = ages.filter(pl.col("low") <= MAX_YEARS, pl.col("high") > 0).join(
            frame.select(ROW, "patient_id"), on=ROW
        )
        chosen = owned.group_by("patient_id").agg(apart).filter("low").select("patient_id")
        if not chosen.is_empty():
            years = f"{MIN_YEARS_APART} years or more"
            texts.append(f"'{printable(name)}' differs by {years} for {_patients(chosen)}")
            patients.append(chosen)
    if not texts:
        return []
    rows = frame.join(pl.concat(patients), on="patient_id", how="semi").select(ROW)
    return [finding_for_rows("A020", enumerated(texts), rows)]


def _patients(chosen: pl.DataFrame) -> str:
    return plural(len(chosen), "patient id")
