"""Spellings of one value: classes and groups in other case, width and blanks; sides in words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import listed, plural, printable
from medtransfer.tables.chunks import any_cell
from medtransfer.tables.schema import ROW, rows_of
from medtransfer.tables.values.ages import MAX_YEARS, ages_of
from medtransfer.tables.values.folding import DASHES, INVISIBLE, plain_word
from medtransfer.tables.values.missing_words import counted, missing_words, value_counts
from medtransfer.tables.values.personal import quotable
from medtransfer.tables.values.sex import names_sex

SCIENTIFIC = r"^\d(?:[.,]\d+)?[Ee]\+?\d{2,}$"
"""A long number after a spreadsheet has opened it: its last figures are lost."""
KEPT_FIGURES = 15
"""Figures of a number that a spreadsheet keeps."""
MAX_VALUES = 1000
"""A column with more values is not one of classes or groups, and is left as it stands."""


MIN_YEARS_APART = 20
"""Ages of one patient that no follow-up of an imaging archive explains."""
LATERALITY = "laterality"
SIDE_WORDS = {
    "L": (
        "l left lt lft links linke linker linkes li gauche gche izquierda izquierdo izq izqda "
        "esquerda esquerdo esq sinistra sinistro sin sx esquerra vänster vänstra venstre lewa lewy "
        "lewe levá levý vlevo ľavá ľavý lijevo lijeva levo leva stâng stânga vasen bal "
        "sol левый левая левое слева лівий ліва αριστερά αριστερός 左 左側 左侧 왼쪽 좌 좌측 os "
        "kiri trái ซ้าย يسار أيسر שמאל چپ "
        "oi oe og le"
    ),
    "R": (
        "r right rt rgt rechts rechte rechter rechtes re droite droit dte dcha derecha derecho der "
        "direita direito dir destra destro dx dreta höger högra høyre højre prawa prawy prawe "
        "pravá pravý vpravo desno desna drept dreapta oikea jobb sağ правый правая правое справа "
        "правий права δεξιά δεξιός 右 右側 右侧 오른쪽 우 우측 od ld "
        "kanan phải ขวา يمين أيمن ימין راست"
    ),
}
"""Words for the sides of a body, by the letter that a manifest has; OS, OI, OE, OG, LE and OD, RE
are eyes, LI, LE and LD sides in Spanish and Portuguese."""
SIDE_PAIRS = ("GD", "ID", "ED", "SD", "LP", "LD", "VH", "VO", "BJ", "ЛП")
"""Single letters of a language for left and right, read where a column has both and no R."""
BOTH_SIDES = frozenset({"b", "u", "both", "bilateral", "unpaired", "ou"})
"""Words of DICOM and of eye clinics that are neither side; they stay without a word."""


def _sides() -> dict[str, str]:
    return {plain_word(word): side for side, text in SIDE_WORDS.items() for word in text.split()}


SIDE_OF = _sides()


def read_sides(cells: pl.Series) -> tuple[pl.Series, list[str]]:
    """A column of sides as L and R, and notes on what was read and what was kept as it stands.

    Args:
        cells: Text, null where missing. [N]
    """
    counts = value_counts(cells.drop_nulls())
    words = {value: plain_word(value) for value in counts}
    letters = {word for word in words.values() if len(word) == 1}
    pairs = [[plain_word(letter) for letter in pair] for pair in SIDE_PAIRS]
    side_of = dict(SIDE_OF)
    for pair in (pair for pair in pairs if {*pair} <= letters and "r" not in letters):
        side_of |= dict(zip(pair, "LR", strict=True))
    sides = {value: side_of[word] for value, word in words.items() if word in side_of}
    changed = {value: side for value, side in sides.items() if value != side}
    name = printable(cells.name, 80)
    notes: list[str] = []
    for side in ("L", "R"):
        read = {value: counts[value] for value, new in changed.items() if new == side}
        if read:
            notes.append(f"'{name}': read as {side}: {counted(read, [*read])}.")
    kept = {v: n for v, n in counts.items() if v not in sides and words[v] not in BOTH_SIDES}
    if kept:
        notes.append(
            f"'{name}': {counted(kept)}: no side that is known, kept as it stands. Map it with "
            f"--values {name}=WORD:L,WORD:R."
        )
    return (cells.replace(changed) if changed else cells), notes


def one_spelling(cells: pl.Series, known: Collection[str] = ()) -> tuple[pl.Series, list[str]]:
    """A text column with one spelling for each value, and a note if cells were changed.

    Args:
        cells: Names of classes or groups; null where missing. [N]
        known: Names whose spelling is given, such as the classes of a study; of other values the
            most frequent spelling is taken. Names that themselves differ by case alone stay apart.
    """
    if cells.n_unique() > MAX_VALUES:
        return cells, []
    counts = value_counts(cells.drop_nulls())
    names: dict[str, list[str]] = {}
    for key, value in zip(_keys(known), known, strict=True):
        names.setdefault(key, []).append(value)
    for value in sorted(counts, key=lambda value: -counts[value]):
        names.setdefault(_keys([value])[0], [value])
    changed = {
        value: names[key][0]
        for key, value in zip(_keys(counts), counts, strict=True)
        if len(names[key]) == 1 and value != names[key][0]
    }
    if not changed:
        return cells, []
    return cells.replace(changed), [_note(cells.name, changed, counts)]


def _keys(values: Collection[str]) -> list[str]:
    """Each value without case, width, hidden characters and a ``.0``; one blank and one dash."""
    text = pl.Series([*values], dtype=pl.String).str.normalize("NFKC").str.to_lowercase()
    text = text.str.replace_all(f"[{INVISIBLE}]", "").str.replace_all(r"[\s_]+", " ")
    text = text.str.replace_all(f"[{DASHES}]", "-")
    text = text.str.replace(r"^(-?\d+)[.,]0+$", "$1")
    return text.str.strip_chars().to_list()


def _note(column: str, changed: dict[str, str], counts: dict[str, int]) -> str:
    totals = {value: counts[value] + counts.get(changed[value], 0) for value in changed}
    named = {*quotable({changed[value]: total for value, total in totals.items()})}
    quoted = [value for value in quotable(totals) if changed[value] in named]
    texts = [
        f"'{printable(value)}' as '{printable(changed[value])}' in {plural(counts[value], 'row')}"
        for value in quoted
    ]
    if rest := len(changed) - len(quoted):
        texts.append(plural(rest, "more spelling" if quoted else "spelling"))
    how = "only case, blanks, dashes or decimals differ"
    return f"'{printable(column, 80)}': {how}: read {', '.join(texts)}."


def unicode_faults(frame: pl.DataFrame) -> list[str]:
    """Faults of ids that look the same but differ in Unicode form: they would count as two."""
    faults: list[str] = []
    for name in ("image_id", "case_id", "patient_id"):
        if name in frame.columns and _has_non_ascii(frame[name]):
            twins = frame.filter(
                pl.col(name).n_unique().over(pl.col(name).str.normalize("NFC")) > 1
            )
            if not twins.is_empty():
                faults.append(
                    f"'{name}' has the same text in several Unicode forms (NFC and NFD), "
                    f"{rows_of(twins)}"
                )
    return faults


def _has_non_ascii(cells: pl.Series) -> bool:
    """True if a cell has non-ASCII characters; ASCII text has a single Unicode form."""
    cell = pl.col(cells.name)
    return any_cell(cells, cell.str.len_bytes() != cell.str.len_chars())


def plain_id(column: str) -> pl.Expr:
    """Ids without what differs between two spellings of one: case, zeros in front, a ``.0``."""
    plain = pl.col(column).str.normalize("NFKC").str.replace_all(f"[{INVISIBLE}]", "")
    plain = plain.str.strip_chars().str.to_lowercase()
    plain = plain.str.replace_all(f"[{DASHES}]", "-").str.strip_prefix("'")
    plain = plain.str.replace_all(r"(\p{L})[\s_-]+(\d)", "${1}${2}")
    plain = plain.str.replace(r"^(.*\d)[.,]0+$", "$1").str.replace(r"^0+(\d)", "$1")
    return plain.str.replace_all(r"([^\d.,])0+(\d)", "${1}${2}")


def is_rounded_id(column: str) -> pl.Expr:
    """True for ids that a spreadsheet has rounded: ``1.23E+15``, or long numbers that all end in 0.

    It keeps 15 figures of a number and writes 0 for the others. A single such zero is there by
    chance in one true id of ten, and says nothing. Each `cohort` is its own table, and a cohort in
    front of an id, as ``north/1.23E+15``, is no part of it.
    """
    number = pl.col(column).str.extract(r"([^/]*)$")
    is_long = number.str.contains(r"^[1-9]\d{15,}$")
    ends = number.str.contains(r"^[1-9]\d{14}0+$")
    zeros = (number.filter(is_long).unique().str.len_chars() - KEPT_FIGURES).sum()
    of_all = (ends | ~is_long).all() & (zeros >= 2)
    return (number.str.contains(SCIENTIFIC) | (ends & of_all.over("cohort"))).alias(column)


def twin_faults(frame: pl.DataFrame) -> list[str]:
    """A fault of patients under two spellings who are in several splits or cohorts of a run.

    They would be tested on what they were trained or selected on, or counted at two hospitals, as
    check A018 says of a manifest.

    Args:
        frame: `run_id`, `patient_id`, `cohort` and `split` as text, with a `row` column.
    """
    twins = _twin_patients(frame)
    places = [pl.col(name).n_unique().over("run_id", "key") > 1 for name in ("cohort", "split")]
    apart = twins.filter(pl.any_horizontal(places))
    if apart.is_empty():
        return []
    rows = frame.join(apart.select("patient_id").unique(), on="patient_id", how="semi")
    ids = plural(apart["patient_id"].n_unique(), "patient_id")
    people = plural(apart["key"].n_unique(), "patient")
    fault = f"{ids} that may be {people}, in more than one split or cohort, {rows_of(rows)}"
    how = "differ in case, leading zeros or blanks alone"
    advice = "write the ids of one patient alike, or different patients' ids so that they differ"
    return [f"{fault}: they {how}; {advice}, as with the hospital's name in front"]


def _twin_patients(frame: pl.DataFrame) -> pl.DataFrame:
    """Patients of a run whose ids differ from another's by spelling alone, with the key of both."""
    columns = ("run_id", "patient_id", "cohort", "split")
    patients = frame.select(*columns, key=plain_id("patient_id")).unique()
    return patients.filter(pl.col("patient_id").n_unique().over("run_id", "key") > 1)


def id_notes(frame: pl.DataFrame) -> list[str]:
    """Notes on patients and hospitals of a predictions table that may be one under two names.

    Args:
        frame: `run_id`, `patient_id`, `cohort` and `split` as text, a row per prediction; it has no
            `twin_faults`.
    """
    notes = [*_twin_notes(_twin_patients(frame)), *_rounded_notes(frame)]
    if twins_of := _twins(frame["cohort"].unique().sort()):
        names = listed(f"'{printable(name)}'" for name in twins_of)
        notes.append(f"{names} differ in case or blanks alone, and count as different hospitals.")
    if words := missing_words(frame["cohort"]):
        notes.append(
            f"'cohort' holds {counted(words, [*words])}: a word for a missing value, counted as a "
            "hospital of that name."
        )
    return notes


@dataclass(frozen=True)
class SharedIds:
    """Ids that a column says to be of two people.

    Attributes:
        text: What the column says of them, and how many they are.
        patients: Their `patient_id`.
    """

    text: str
    patients: pl.DataFrame


def ids_of_two_people(frame: pl.DataFrame, columns: Sequence[str]) -> list[SharedIds]:
    """Patient ids whose rows have both sexes, or ages decades apart.

    Args:
        frame: `patient_id`, `ROW`, and columns of a manifest.
        columns: Those that may hold a sex or an age.
    """
    shared: list[SharedIds] = []
    for name in columns:
        if not names_sex(name) or frame.schema[name] != pl.String():
            continue
        both = pl.col(name).filter(pl.col(name).is_in(["F", "M"])).n_unique() > 1
        chosen = frame.lazy().select("patient_id", name).group_by("patient_id").agg(both).collect()
        shared += _shared(chosen.filter(name), f"'{printable(name)}' is both F and M")
    of_age = dict(ages_of(frame, list(columns)))
    exact = {name: a for name, a in of_age.items() if (a["low"] == a["high"]).any()}
    for name, ages in (exact or of_age).items():  # bands say again what the ages say
        apart = pl.col("low").max() - pl.col("high").min() >= MIN_YEARS_APART
        owned = ages.filter(pl.col("low") <= MAX_YEARS, pl.col("high") > 0).join(
            frame.select(ROW, "patient_id"), on=ROW
        )
        chosen = owned.group_by("patient_id").agg(apart).filter("low")
        years = f"{MIN_YEARS_APART} years or more"
        shared += _shared(chosen, f"'{printable(name)}' differs by {years}")
    return shared


def _shared(chosen: pl.DataFrame, text: str) -> list[SharedIds]:
    if chosen.is_empty():
        return []
    patients = chosen.select("patient_id")
    return [SharedIds(f"{text} for {plural(len(patients), 'patient id')}", patients)]


def patient_notes(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Notes on patients of a manifest who may be one under two ids, or several under one.

    Args:
        frame: `patient_id` and `cohort` as text, a row per image.
        columns: Those that may hold a sex or an age.
    """
    patients = frame.select("patient_id", "cohort").unique()  # few beside their images
    patients = patients.with_columns(run_id=pl.lit(""), split=pl.lit(""))
    numbered = frame if ROW in frame.columns else frame.with_row_index(ROW)
    notes = [
        *_twin_notes(_twin_patients(patients)),
        *_rounded_notes(patients),
        *(f"{shared.text}." for shared in ids_of_two_people(numbered, columns)),
    ]
    return [f"{note} `medtransfer check` names the rows." for note in notes]


def _twin_notes(twins: pl.DataFrame) -> list[str]:
    if twins.is_empty():
        return []
    note = (
        f"{plural(twins['patient_id'].n_unique(), 'patient_id')} may be "
        f"{plural(twins['key'].n_unique(), 'patient')}: they differ in case, leading zeros or "
        "blanks alone, and count as different patients."
    )
    return [note]


def _rounded_notes(frame: pl.DataFrame) -> list[str]:
    patients = frame.select("patient_id", "cohort").unique()
    rounded = patients.filter(is_rounded_id("patient_id"))
    if rounded.is_empty():
        return []
    ids = plural(rounded["patient_id"].n_unique(), "patient_id")
    note = (
        f"{ids} in scientific notation or ending in 0: a spreadsheet has rounded long numbers, "
        "and several patients may have become one."
    )
    return [note]


def _twins(cohorts: pl.Series) -> list[str]:
    """Names that differ from another in case or blanks alone."""
    keys = pl.Series(_keys(cohorts.to_list()))
    return cohorts.filter(keys.is_duplicated()).to_list()
