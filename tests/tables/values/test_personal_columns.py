"""Columns that identify persons are told by header and by content; groups are not."""

from collections.abc import Sequence

import polars as pl
import pytest

from medtransfer.data.cases import proposed_attributes
from medtransfer.data.sources.catalog import SOURCES, label_tellers
from medtransfer.tables.values.personal_columns import (
    column_text,
    header_of,
    identifies,
    is_personal_header,
    listed_columns,
    personal_reason,
)

HEADERS = {
    "a name": (
        "Name PatientName patient_name Nachname Vorname surname Familienname nom prénom apellidos "
        "Nombre cognome achternaam nazwisko soyadı 姓名 氏名 환자명 Фамилия Efternamn Jméno"
    ),
    "a date of birth": (
        "DOB PatientBirthDate Geburtsdatum GebDat date_de_naissance FechaNacimiento "
        "data_di_nascita geboortedatum data_urodzenia doğum_tarihi "
        "出生日期 生年月日 생년월일 Födelsedatum"
    ),
    "an identification number": (
        "MRN ssn medical_record_no Fallnummer Patientennummer historia_clinica prontuário "
        "codice_fiscale PESEL 病历号 住院号 患者番号 주민등록번호 CPF"
    ),
    "a telephone number": "phone Telefon telefono 电话 Telefonnummer",
    "an address": "address Straße PLZ dirección indirizzo zip 住所 home_address",
    "an accession number": "AccessionNumber accession",
    "a member of staff": (
        "Referrer ReferringPhysician Zuweiser Arzt médico operator 医生 врач hekim 担当医 "
        "読影医 撮影者"
    ),
    "a date": "StudyDate date Untersuchungsdatum fecha tarih 日期 дата scan_datetime data_esame",
    "free text": (
        "comment Befundtext observaciones compte_rendu laudo referto 所见 note freetext 소견"
    ),
}
GROUPS: dict[str, Sequence[str]] = {
    "scanner": ("Siemens Healthineers", "GE Healthcare", "Philips", "Fuji Film", "Carl Zeiss"),
    "race": ("White", "Black or African American", "Asian", "American Indian", "Native Hawaiian"),
    "sex": ("F", "M", "divers"),
    "hospital": ("St. Josef", "San Juan Hospital", "Karl-Hansen-Klinik", "Hôpital Saint-Louis"),
    "city": ("Florence", "Austin", "Charlotte", "Paris", "San Diego", "Melbourne"),
    "body_site": ("head/neck", "Lower Extremity", "Upper Extremity", "Anterior Torso"),
    "size": ("klein", "groß"),
    "hair": ("Blond", "Brown", "Black", "Red"),
    "施設": ("佐々木病院", "山田大学", "高橋内科"),
    "部位": ("胸部", "腹部", "中山区", "黄疸", "高血圧", "黄红"),
    "비교": ("정상인", "이상한", "조영제"),
    "maker": ("Grossmann", "Hologic", "Planmed"),
    "dx": ("Becker nevus", "Reed nevus", "Spitz nevus", "melanoma"),
    "year_of_study_date": ("2017", "2018", "2019"),
    "date": ("2017", "2018", "2019"),
    "phone": ("0", "1"),
    "age_band": ("0-19", "20-39", "40-59", "60-79", "80+"),
    "view": ("PA", "AP", "LL"),
    "insurance": ("Medicaid", "Medicare", "private"),
    "candidate": ("1", "2"),
    "update": ("a", "b"),
    "subname": ("a", "b"),
}
PERSONS: dict[str, Sequence[str]] = {
    "names of persons": ("Dr. Zdobnikov", "Frau Qrzl", "Prof. Dr. med. Xylander", "Mme Zbrouck"),
    "DICOM person names": ("DOE^JANE", "Qrzl^Zdenka", "X'y^Z"),
    "e-mail addresses": ("a@b.org", "c@d.de", "e@f.com"),
    "full dates": ("12. März 1957", "3 de mayo de 1961", "1957-03-12", "12.03.57", "2019年3月12日"),
    "national identity numbers": ("123.456.789-09", "RSSMRA80A01H501U"),
}


@pytest.mark.parametrize(
    ("what", "name"), [(what, name) for what, names in HEADERS.items() for name in names.split()]
)
def test_a_header_of_personal_data_is_known_in_many_languages(what: str, name: str) -> None:
    assert header_of(name) == what
    assert personal_reason(pl.Series(name, ["x", "y"])) == f"'{name}' is named like {what}"
    assert personal_reason(pl.Series(name, [None, None], dtype=pl.String)) == ""


@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_no_persons(name: str) -> None:
    cells = pl.Series(name, [*GROUPS[name]] * 20)
    assert personal_reason(cells) == ""
    assert not identifies(cells)
    assert not any(is_personal_header(value) for value in ("Lung Opacity", "birads", name))


@pytest.mark.parametrize("what", PERSONS)
@pytest.mark.parametrize("repeats", [1, 30])
def test_cells_of_persons_are_known_whatever_the_header(what: str, repeats: int) -> None:
    assert personal_reason(pl.Series("x", [*PERSONS[what]] * repeats)) == (
        f"'x' has cells that look like {what}"
    )


@pytest.mark.parametrize(
    "cells",
    [
        ("Hans", "Petra", "Ute"),
        ("Müller", "Schneider", "Öztürk"),
        ("Jane Smith", "John Miller", "Zdenka Qrzl"),
        ("García, María", "Pérez, Juan"),
        ("Иванова Анна", "Петров Сергей"),
        ("fatma yılmaz", "mehmet demir"),
        ("O'Brien, Pat", "D’Angelo, Ugo"),
        ("JSMITH", "AJONES", "kmueller"),
        ("佐藤", "鈴木"),
        ("田中太郎", "山田 花子"),
        ("王伟", "李娜", "张建国"),
        ("김민수", "이영희"),
    ],
)
def test_known_names_are_told_without_a_title_and_however_frequent(cells: Sequence[str]) -> None:
    assert "names of persons" in personal_reason(pl.Series("x", [*cells] * 40))


def test_names_nobody_knows_are_told_by_shape_and_by_how_often_they_differ() -> None:
    letters = "bcdfghjklmnp"
    names = [f"{a.upper()}ra{b}i {b.upper()}o{a}tz" for a in letters for b in letters if a != b]
    assert "names of persons" in personal_reason(pl.Series("x", names))
    assert personal_reason(pl.Series("x", names[:12] * 40)) == ""  # groups, for all one knows
    chinese = [f"{a}{b}" for a in "王李张刘陈杨" for b in ("小明", "红", "建国", "丽")]
    assert "names of persons" in personal_reason(pl.Series("x", chinese * 2))
    sentences = [f"seen {n} times since last week" for n in range(60)]
    assert "free text" in personal_reason(pl.Series("x", sentences))


def test_init_and_evaluate_propose_neither_the_answer_nor_a_person() -> None:
    count = 60
    frame = pl.DataFrame(
        {
            "row": range(count),
            "sex": ["F", "M"] * 30,
            "birads": ["1", "4", "5"] * 20,
            "Kind": ["a", "b"] * 30,
            "subtype": ["a", "b"] * 30,
            "partition": ["a", "b"] * 30,
            "Zuweiser": ["x", "y"] * 30,
            "who": ["Hans Meier", "Anna Weber"] * 30,
            "day": ["2020-01-02", "2020-01-03"] * 30,
        }
    )
    proposed = proposed_attributes(frame, (), label_tellers())
    assert proposed.names == ("sex",)
    telling, persons = proposed.notes()
    assert telling == (
        "Not reported by, since they tell the label in public sets: birads, Kind, subtype, "
        "partition."
    )
    assert persons == (
        "Not reported by, since they may name a person: 'Zuweiser' is named like a member of "
        "staff; 'who' has cells that look like names of persons; 'day' has cells that look like "
        "full dates."
    )
    few = pl.DataFrame({"x": [f"v{n}" for n in range(12)] + [None] * 8, "row": range(20)})
    assert proposed_attributes(few).names == ("x",)  # too few to say that they identify


def test_every_column_that_a_source_calls_an_answer_is_never_proposed() -> None:
    for source in SOURCES.values():
        for name, text in (source.attributes or {}).items():
            if "never a group" in text:
                assert name in source.tells_label, (source.name, name)
    assert {"birads", "kind", "subtype", "partition", "dr_grade"} <= label_tellers()


def test_a_header_that_is_a_cell_is_not_named() -> None:
    for name in ("DOE^JANE", "Hans Meier", "1957-03-12", "MRN00471199", "x" * 100, "Qrzl, Zdenka"):
        assert is_personal_header(name)
        assert name not in column_text(name)
    assert listed_columns(["sex", "DOE^JANE", "age"]) == (
        "sex, age and a column whose name looks personal"
    )
    assert listed_columns(["DOE^JANE", "a@b.org"]) == "2 columns whose names look personal"
