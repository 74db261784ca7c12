"""Sex by a closed vocabulary, and letters by all letters of their column."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import FEW

from medtransfer.tables.values.sex import LANGUAGES, names_sex, read_sex


def read(*cells: str | None) -> list[str | None]:
    return read_sex(pl.Series("sex", cells, dtype=pl.String)).cells.to_list()


@pytest.mark.parametrize(
    ("female", "male"),
    [
        ("Female", "MALE"),
        ("weiblich", "Männlich"),
        ("maennlich ", None),
        ("femme", "homme"),
        ("mujer", "hombre"),
        ("Mulher", "Homem"),
        ("donna", "uomo"),
        ("vrouw", "man"),
        ("kobieta", "mężczyzna"),
        ("Kadın", "ERKEK"),
        ("KADIN", "erkek"),
        ("女", "男"),
        ("女性", "男性"),
        ("여", "남"),
        ("женский", "МУЖСКОЙ"),
        ("madam", "mr."),
        ("Fem.", "Masc."),
        ("Ｆｅｍａｌｅ", "Ｍａｌｅ"),
    ],
)
def test_words_are_read_in_every_language_without_case_and_accents(
    female: str, male: str | None
) -> None:
    if male is None:
        assert read(female) == ["M"]
    else:
        assert read(female, male, None) == ["F", "M", None]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("wm", "FM"),
        ("WMD", "FMD"),
        ("HM", "MF"),
        ("hf", "MF"),
        ("KM", "FM"),
        ("EK", "MF"),
        ("FMW", "FMF"),
        ("FMO", "FMO"),
        ("F", "F"),
        ("M", "M"),
        ("W", "W"),
        ("HMF", "HMF"),
        ("VM", "VM"),
        ("01", "01"),
        ("12", "12"),
    ],
)
def test_letters_are_read_by_the_whole_column(cells: str, expected: str) -> None:
    assert read(*cells) == [*expected]


def test_a_letter_alone_is_read_by_the_language_of_the_words_beside_it() -> None:
    assert read("female", "M") == ["F", "M"]
    assert read("Mujer", "H") == ["F", "M"]
    assert read("Femenino", "M") == ["F", "M"]  # kept as it stands: male, or mujer
    assert any("does not tell" in note for note in _notes("Femenino", "M"))


def _notes(*cells: str) -> tuple[str, ...]:
    return read_sex(pl.Series("sex", cells)).notes


def test_nothing_is_changed_or_kept_without_a_word() -> None:
    assert _notes("F", "M") == ()
    assert _notes("w", "m", "w") == (
        "'sex': read as F: 'w' in 2 rows.",
        "'sex': read as M: 'm' in 1 row.",
    )
    assert _notes("missing", "F") == ("'sex': read as missing: 'missing' in 1 row.",)
    assert "'divers' in 2 rows: kept as a group of its own" in _notes("divers", "divers", "F")[0]
    other = _notes("Weibl.", "Männl.", "x", "d")[-1]
    assert "'d' in 1 row, 'x' in 1 row: kept as groups of their own" in other
    (codes,) = _notes("0", "1", "0")
    assert "'0' in 2 rows, '1' in 1 row: the column does not tell which sex that is" in codes
    assert "--values sex=0:F,1:M or sex=0:M,1:F" in codes


def test_a_column_of_many_other_values_is_not_printed() -> None:
    names = [f"Erika{number}" for number in range(13)]
    (note,) = _notes(*names)
    assert "13 values in 13 rows: kept as groups of their own" in note
    assert "Erika" not in note


def test_a_column_of_numbers_is_read_as_codes() -> None:
    assert read_sex(pl.Series("sex", [0, 1, None])).cells.to_list() == ["0", "1", None]


def test_no_word_of_one_sex_is_a_word_of_the_other() -> None:
    female = {w.casefold() for lang in LANGUAGES.values() for w in lang.female.split()}
    male = {w.casefold() for lang in LANGUAGES.values() for w in lang.male.split()}
    assert not female & male
    for language in LANGUAGES.values():
        assert set(read(*language.female.split())) == {"F"}
        assert set(read(*language.male.split())) == {"M"}


@FEW
@given(st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=8))
def test_reading_is_stable_and_never_empties_a_value_in_silence(cells: list[str | None]) -> None:
    before = pl.Series("sex", cells, dtype=pl.String)
    reading = read_sex(before)
    assert read_sex(reading.cells).cells.to_list() == reading.cells.to_list()
    filled = [cell for cell in before if cell is not None and cell.strip()]
    if len(filled) > reading.cells.count() and any(c.strip(" \t\n") for c in filled):
        assert len(filled) == reading.cells.count() or reading.notes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((n, True) for n in ("sex", "PatientSex", "Patient's Sex", "Geschlecht", "SEXO", "性别")),
        *((n, True) for n in ("patient_gender", "Płeć", "Cinsiyet", "sex_at_birth", "sexe")),
        *((n, True) for n in ("Sex (M/F)", "Geschlecht (m/w)", "sexo (H/M)")),
        *((n, False) for n in ("unisex", "sex_ratio", "label", "gender_confidence", "essex")),
    ],
)
def test_a_column_of_sexes_is_known_by_its_name(name: str, expected: bool) -> None:
    assert names_sex(name) is expected


def test_values_with_as_many_rows_are_named_in_the_order_of_the_text() -> None:
    words = ["w1", "w2", "w3", "w4", "w5", "w6"]
    owners = pl.Series([f"p{number}" for number in range(60)])
    notes = {read_sex(pl.Series("sex", words * 10), owners).notes for _ in range(20)}
    assert len(notes) == 1


def test_signs_and_words_that_accents_tell_from_others_are_read() -> None:
    assert read("♀", "♂") == ["F", "M"]
    assert read("nő", "férfi", "Női") == ["F", "M", "F"]
    assert read("no", "noi", "noia") == ["no", "M", "F"]


def test_f_beside_a_letter_that_is_not_told_is_asked_for() -> None:
    """Of Hungarian's N and F the second is male."""
    (note,) = _notes("N", "F")
    assert "'F' in 1 row, 'N' in 1 row: the column does not tell which sex that is" in note
    assert "--values sex=F:F,N:M or sex=F:M,N:F" in note
    assert _notes("F", "F") == ()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["hombre", "M"], ["hombre", "M"]),
        (["varón", "M"], ["varón", "M"]),
        (["mujer", "hombre", "M"], ["F", "hombre", "M"]),
        (["mujer", "hombre", "M", "H"], ["F", "M", "F", "M"]),
        (["homem", "mulher", "H", "M"], ["M", "F", "M", "F"]),
        (["Mann", "M"], ["M", "M"]),
        (["woman", "M"], ["F", "M"]),
    ],
)
def test_a_letter_that_is_not_told_is_no_group_of_a_word_beside_it(
    cells: list[str], expected: list[str]
) -> None:
    reading = read_sex(pl.Series("sex", cells * 10))
    assert reading.cells.to_list()[: len(cells)] == expected
    if "M" in expected and "hombre" in expected:
        assert any("'M' in 10 rows: the column does not tell" in note for note in reading.notes)
        assert any("'hombre' in 10 rows: kept as a group" in note for note in reading.notes)


def test_the_option_for_letters_names_each_of_them() -> None:
    (note,) = read_sex(pl.Series("sex", ["H", "M", "F"] * 10)).notes
    assert "--values sex=F:…,H:…,M:…, F or M for each" in note
