"""Columns of a table in a hospital's own words that look like those of a manifest.

They are proposed in the words of the command line, and never taken by themselves.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from shlex import quote

import polars as pl

from medtransfer.data.sources.source import PATH
from medtransfer.errors import printable
from medtransfer.tables.guessed_targets import (
    is_class,
    is_target,
    spelled_target,
    values_option,
)
from medtransfer.tables.manifest import MANIFEST_CONTRACT
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.ages import names_age
from medtransfer.tables.values.folding import name_words, plain_word
from medtransfer.tables.values.personal import looks_personal
from medtransfer.tables.values.personal_columns import is_personal_header
from medtransfer.tables.values.sex import names_sex

_PATIENT = (
    "patient patients pat patid patientid patientsid patientkey patientcode patientno patientnr "
    "patientnum patientnumber patientidentifier pid subject subjectid subjectkey participant "
    "participantid proband probandid pseudonym pseudonymid patientenid patientennummer "
    "patientenpseudonym numpatient idpatient codepatient paciente pacienteid idpaciente "
    "codpaciente paziente pazienteid idpaziente patiënt patiëntid patiëntnummer pacjent pacjentid "
    "idpacjenta hasta hastaid hastano pasient pasientid potilas potilasid pacient pacientid "
    "患者 患者id 病人 病人id 환자 환자id"
)
_COHORT = (
    "cohort kohorte hospital hospitals clinic clinics klinik krankenhaus hôpital clinique clínica "
    "hospitalname ospedale clinica ziekenhuis kliniek szpital klinika hastane sjukhus sykehus "
    "sairaala nemocnice center centre zentrum centro centrum merkez institution institute institut "
    "einrichtung standort studycenter studysite 医院 病院 병원"
)
_SPLIT = "split fold partition subset teilmenge aufteilung"
PATIENT_HEADERS = frozenset(map(plain_word, _PATIENT.split()))
COHORT_HEADERS = frozenset(map(plain_word, _COHORT.split()))
SPLIT_HEADERS = frozenset(_SPLIT.split())
MAX_COHORTS = 50
MIN_NAMED = 0.5
"""Share of a column's cells that name a file of the folder, from which it is one of files."""


def proposal(table: pl.DataFrame, pictures: pl.DataFrame, given: Collection[str]) -> str:
    """Options that take a table's columns as they look; empty if none looks like anything.

    Args:
        table: Columns that are not mapped yet.
        pictures: Image files of the folder, relative to it: `path`.
        given: Columns of a manifest that are there already, or are mapped to one of the table's.

    Returns:
        ``--columns path=Bild,patient_id=Patient``, with targets after it.
    """
    named = dict(_named(table, pictures, given))
    mapping = [f"{ours}={printable(theirs, 80)}" for ours, theirs in named.items()]
    columns = [f"--columns {quote(','.join(mapping))}"] if mapping else []
    rest = [name for name in table.columns if name not in named.values() and name != ROW]
    return " ".join([*columns, *(option for _, option in offers(table, rest)[:1])])


def offers(table: pl.DataFrame, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Columns that look like labels or classes; each with the option that takes it.

    Args:
        table: The columns.
        columns: Those that may be taken.
    """
    shown = [name for name in columns if not is_personal_header(name)]
    labels = [name for name in shown if is_target(table, name)]
    spelled = [name for name in shown if spelled_target(table, name)]
    classes = [name for name in shown if name not in spelled and is_class(table, name)]
    options: list[tuple[str, str]] = []
    if labels:
        targets = ",".join(map(printable, labels))
        options.append(("labels", f"--option {quote(f'targets={targets}')}"))
    for name in spelled:
        target = f"--option {quote(f'targets={printable(name, 80)}')}"
        options.append(("labels", f"{target} {values_option(table, name)}"))
    names = [printable(name, 80) for name in classes]
    return [*options, *(("classes", f"--columns {quote(f'{name}={name}')}") for name in names)]


def _named(
    table: pl.DataFrame, pictures: pl.DataFrame, given: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Our columns and the first of theirs that looks like it; no column twice."""
    fits: dict[str, Callable[[str], bool]] = {
        "patient_id": lambda name: _is(name, PATIENT_HEADERS),
        "cohort": lambda name: _is(name, COHORT_HEADERS) and table[name].n_unique() <= MAX_COHORTS,
        "split": lambda name: _is(name, SPLIT_HEADERS),
        "sex": names_sex,
        "age": names_age,
    }
    # a table without a header has cells of a person where the names of columns should be
    free = [name for name in table.columns if name != ROW and not looks_personal(name)]
    for ours in (column.name for column in MANIFEST_CONTRACT.columns if column.name not in given):
        theirs = next((name for name in free if _is(name, {ours.replace("_", "")})), None)
        if theirs is not None:
            given = {*given, ours}
            free.remove(theirs)
            yield ours, theirs
    file = _of_files(table.select(free), pictures) if "path" not in given else ""
    if file:
        free.remove(file)
        yield "path", file
    for ours, fit in fits.items():
        theirs = next((name for name in free if fit(name)), None)
        if theirs is not None and ours not in given:
            free.remove(theirs)
            yield ours, theirs


def _is(name: str, words: Collection[str]) -> bool:
    return "".join(name_words(name)) in words


def _of_files(table: pl.DataFrame, pictures: pl.DataFrame) -> str:
    """The text column most of whose cells name a file of the folder; empty if there is none."""
    there = _stems(pictures[PATH])
    text = table.select(pl.col(pl.String).str.replace_all("\\", "/", literal=True))
    shares = {
        name: _stems(text[name].drop_nulls()).is_in(there.implode()).mean() or 0.0
        for name in text.columns
        if not _is_file_name(name)
    }
    best = max(shares, key=lambda name: float(str(shares[name])), default="")
    return best if best and float(str(shares[best])) >= MIN_NAMED else ""


def _stems(paths: pl.Series) -> pl.Series:
    """Names of files without ending, in one case and one Unicode form, as files are found."""
    stems = paths.str.extract(r"([^/]+?)(?:\.[A-Za-z]+)?$")
    return stems.str.normalize("NFC").str.to_lowercase()


def _is_file_name(name: str) -> bool:
    return "/" in name or "\\" in name or "." in name
