"""Ids and cohorts in two spellings, and ids of two patients."""

import polars as pl

from medtransfer.data.audit.findings import Finding, enumerated, finding_for_rows
from medtransfer.data.audit.tables import USAGE
from medtransfer.errors import plural, printable
from medtransfer.tables.manifest import free_columns
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.folding import plain_word
from medtransfer.tables.values.missing_words import missing_words
from medtransfer.tables.values.spellings import ids_of_two_people, is_rounded_id, plain_id


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
    shared = ids_of_two_people(frame, free_columns(frame))
    if not shared:
        return []
    patients = pl.concat([of_column.patients for of_column in shared])
    rows = frame.join(patients, on="patient_id", how="semi").select(ROW)
    return [finding_for_rows("A020", enumerated([each.text for each in shared]), rows)]
