"""Ids that may be one patient in two spellings: zeros, case, decimals, width, hidden letters."""

import polars as pl

from medtransfer.data.audit.findings import Finding, finding_for_rows
from medtransfer.data.audit.tables import USAGE
from medtransfer.errors import plural
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.folding import INVISIBLE

SCIENTIFIC = r"^\d(?:[.,]\d+)?[Ee]\+?\d{2,}$"
"""A long number after a spreadsheet has opened it: its last figures are lost."""


def id_spellings(placed: pl.DataFrame) -> list[Finding]:
    """A018, A019: patients whose ids differ by spelling alone, across splits and within one.

    Args:
        placed: Rows with their usage, from `add_usage`.
    """
    name = pl.col("patient_id")
    plain = name.str.normalize("NFKC").str.replace_all(f"[{INVISIBLE}]", "").str.to_lowercase()
    plain = plain.str.strip_prefix("'").str.replace_all(r"(\p{L})[\s_-]+(\d)", "${1}${2}")
    plain = plain.str.replace(r"^(.*\d)[.,]0+$", "$1").str.replace(r"^0+(\d)", "$1")
    plain = plain.str.replace_all(r"([^\d.,])0+(\d)", "${1}${2}")
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
    rounded = placed.filter(name.str.contains(SCIENTIFIC))
    if not rounded.is_empty():
        count = plural(rounded["patient_id"].n_unique(), "patient id")
        sentence = f"{count} in scientific notation: a spreadsheet has rounded long numbers"
        findings.append(finding_for_rows("A019", sentence, rounded))
    return findings
