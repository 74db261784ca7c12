"""Columns that identify persons: by header, in the languages of hospitals, and by content."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import listed, printable
from medtransfer.tables.values.folding import name_words, plain_word
from medtransfer.tables.values.person_names import are_persons, is_person
from medtransfer.tables.values.personal import CONTENTS, looks_personal
from medtransfer.tables.values.sex import names_sex


@dataclass(frozen=True)
class Header:
    """Headers of one kind of personal data.

    Attributes:
        what: The kind, as in ``'nachname' is named like a name``.
        whole: Headers as a whole, without blanks and signs.
        words: Words that say it wherever they stand.
        stems: Parts of words that say it, as in compounds.
    """

    what: str
    whole: str = ""
    words: str = ""
    stems: str = ""

    def fits(self, name: str) -> bool:
        """True if a column's name is one of these."""
        words = name_words(name)
        whole = "".join(words)
        return (
            whole in _folded(self.whole)
            or not _folded(self.words).isdisjoint(words)
            or any(stem in whole for stem in _folded(self.stems))
        )


_FOLDED: dict[str, frozenset[str]] = {}


def _folded(text: str) -> frozenset[str]:
    if text not in _FOLDED:
        _FOLDED[text] = frozenset(plain_word(word) for word in text.split())
    return _FOLDED[text]


HEADERS = (
    Header(
        "a name",
        whole=(
            "name names nom noms nombre nombres nome naam namn navn nimi imię imie ad adı isim "
            "fio фио имя patient patientin paciente paziente patiënt pacjent hasta pasient "
            "personname initials initialen iniciales"
        ),
        words=(
            "surname surnames lastname firstname forename forenames fullname givenname familyname "
            "maidenname apellido apellidos cognome sobrenome apelido prénom prenom prénoms "
            "voornaam achternaam efternamn förnamn etternavn fornavn efternavn sukunimi etunimi "
            "nazwisko soyad soyadı příjmení jméno meno priezvisko фамилия отчество όνομα επώνυμο "
            "الاسم שם"
        ),
        stems=(
            "nachname vorname familienname geburtsname patientname patientsname patientenname "
            "nomdupatient nomdefamille nombredelpaciente nombrepaciente nomepaciente nomepaziente "
            "姓名 氏名 患者名 名前 이름 성명 환자명 имяпациента "
            "subjectname lastname firstname fullname middlename maidenname"
        ),
    ),
    Header(
        "a date of birth",
        whole="dob fechanac",
        words=(
            "dob birth birthday birthdate born naissance nacimiento nascimento nascita geboorte "
            "urodzenia narození рождения γέννησης"
        ),
        stems=(
            "geburt gebdat birthdate dateofbirth datanasc doğumtarih 出生 生年月日 생년월일 "
            "geboorte födelse fødsels syntymä"
        ),
    ),
    Header(
        "an identification number",
        words=(
            "mrn ssn nhs nino npi passport cpf curp rut nif pesel bsn ahv oib cnp aadhaar кнп "
            "снилс инн"
        ),
        stems=(
            "medicalrecord socialsecurity healthcard healthplan patientennummer patientennr "
            "patientnumber insurancenumber insuranceno insuranceid medicareno fallnummer fallnr "
            "aktenzeichen versichertennummer sozialversicherung personnummer fødselsnummer "
            "personalausweis numerodossier numérodesécurité historiaclinica históriaclínica "
            "prontuario prontuário codicefiscale cartellaclinica tckimlik kimlikno dosyano "
            "protokolno 身份证 病历号 住院号 门诊号 患者番号 患者id "
            "カルテ 주민등록 환자번호 등록번호 полис историяболезни"
        ),
    ),
    Header("an e-mail address", words="mail email courriel correo eposta", stems="emailadd почта"),
    Header(
        "a telephone number",
        words=(
            "phone telephone mobile fax telefon téléphone teléfono telefone telefono tel handy "
            "téléfono móvil celular"
        ),
        stems="telefon 电话 電話 전화 телефон",
    ),
    Header(
        "an address",
        words=(
            "street address zip zipcode postcode anschrift adresse strasse straße plz wohnort "
            "dirección direccion endereço endereco indirizzo adres domicilio"
        ),
        stems="postalcode codepostal codigopostal postleitzahl 地址 住所 주소 адрес",
    ),
    Header("an accession number", stems="accession auftragsnummer anforderungsnummer"),
    Header(
        "a member of staff",
        words=(
            "physician physicians doctor operator technologist referrer referring requester "
            "surgeon arzt ärztin befunder zuweiser überweiser einsender operateur mta mtra "
            "médecin prescripteur manipulateur médico medico médica medica tecnico técnico "
            "refertatore arts verwijzer aanvrager lekarz hekim doktor läkare lege lékař врач "
            "ιατρός"
        ),
        stems=(
            "radiologistname readername überweiser zuweiser zuweisend überweisend befundend "
            "prescriptor solicitante richiedente 医生 医师 医師 의사 лечащий 担当医 主治医 読影医 "
            "依頼医 報告医 技師 技师 撮影者 検者 판독의 주치의 의뢰의"
        ),
    ),
    Header(
        "a date",
        whole="date dates datum daten data fecha tarih dato päivä datetime timestamp",
        words="date dates datetime timestamp datum fecha tarih tarihi дата ημερομηνία",
        stems=(
            "studydate studytime examdate seriestime seriesdate acquisitiontime contenttime datum "
            "dataesame dataexame datastudio dataestudo databadania datareferto datadell "
            "日期 日付 検査日 检查日 날짜 검사일 дата"
        ),
    ),
    Header(
        "free text",
        whole="report reports befund bericht",
        words=(
            "comment comments note notes remark remarks impression freetext kommentar bemerkung "
            "anmerkung freitext fragestellung anamnese commentaire remarque compte observaciones "
            "observación comentario comentarios informe laudo observações referto relazione "
            "anamnesi osservazioni verslag opmerking opis uwagi açıklama rapor anmärkning "
            "kommentti примечание заключение описание"
        ),
        stems=(
            "freetext freitext clinicalhistory befundtext berichttext reporttext radiologyreport "
            "compterendu indicacionclinica 报告 報告 所見 所见 备注 備考 소견 판독"
        ),
    ),
)
"""Kinds of personal data by header; the first that fits counts."""
PERIOD = re.compile(r"^\s*(?:(?:19|20)\d\d(?:[-/ ]?[QqHhSTst]\d)?|[QqHh]?\d|\d{1,3})\s*$")
"""A year, a quarter, a number of days: no date of one person."""
_FLAGS = "0 1 -1 0.0 1.0 true false yes no ja nein oui non si sí no sim não tak nie"
FLAGS = frozenset(_FLAGS.split())
"""Cells of a column of flags, which hold nothing of what its header names."""
MAX_LETTERS_OF_HEADER = 80
"""A longer header is a cell that became a header, or a sentence."""
LETTERS, WORDS = 60, 6
"""Average length and number of words from which cells are free text."""
SENTENCE_WORDS, MIN_DISTINCT = 4, 0.5
"""The same for cells of which so many are distinct."""
MIN_SHARE = 0.2
"""A column is personal if this share of its filled cells looks so; below it, a stray cell or a
code that happens to look like a date would decide."""
MAX_CELLS = 20_000
"""Cells of a column that are examined, evenly over the table."""
HIDDEN = "a column whose name looks personal"
FEWEST_ROWS, UNIQUE = 20, 0.5
"""From so many filled cells on, values of which this share is distinct name their cases."""


def personal_reason(cells: pl.Series) -> str:
    """Reason to take a column for personal data, without any of its cells; empty if none.

    Args:
        cells: A column of a manifest. [N]
    """
    shown = column_text(cells.name)
    sample = cells.gather_every(max(1, len(cells) // MAX_CELLS)).drop_nulls()
    if sample.is_empty():
        return ""
    if what := content_of(sample):
        return f"{shown} has cells that look like {what}"
    if what := header_of(cells.name):
        values = [str(cell) for cell in sample.unique().to_list()]
        harmless = all(value.casefold() in FLAGS for value in values) or (
            what == "a date" and all(PERIOD.match(value) for value in values)
        )
        return "" if harmless else f"{shown} is named like {what}"
    return ""


def personal_faults(frame: pl.DataFrame, columns: Iterable[str]) -> list[str]:
    """Faults of columns that results would be reported by although they look personal."""
    reasons = [personal_reason(frame[name]) for name in columns if name in frame.columns]
    return [
        f"{reason} and is reported by: name another column, or rename it if it is no personal data"
        for reason in reasons
        if reason
    ]


def identifies(cells: pl.Series) -> bool:
    """True for a column whose values are almost all different, so that each names its case.

    Args:
        cells: A column of a manifest. [N]
    """
    filled = cells.drop_nulls()
    return len(filled) >= FEWEST_ROWS and filled.n_unique() > UNIQUE * len(filled)


def header_of(name: str) -> str:
    """Kind of personal data that a column is named like, as ``a date``; empty for none."""
    if names_sex(name):  # sex_at_birth is no date of birth
        return ""
    return next((header.what for header in HEADERS if header.fits(name)), "")


def content_of(filled: pl.Series) -> str:
    """Kind of personal data that filled cells look like, as ``full dates``; empty for none."""
    if filled.dtype.is_temporal() and filled.dtype != pl.Duration():
        return "full dates"
    if filled.dtype.is_integer():
        filled = filled.cast(pl.String)
    if filled.dtype != pl.String():
        return ""
    for what, pattern in CONTENTS.items():
        if _share(filled.str.contains(pattern)) >= MIN_SHARE:
            return what
    letters, words = filled.str.len_chars(), filled.str.count_matches(r"\s+\S")
    if _mean(letters) >= LETTERS and _mean(words) >= WORDS:
        return "free text"
    if _mean(words) >= SENTENCE_WORDS and identifies(filled):
        return "free text"
    return "names of persons" if are_persons(filled) else ""


def is_personal_header(name: str) -> bool:
    """True for a header that is itself personal data: the first row of a table without one."""
    return len(name) > MAX_LETTERS_OF_HEADER or looks_personal(name) or is_person(name)


def column_text(name: str) -> str:
    """A column's name in quotes for a message; not quoted if it is itself personal data."""
    return HIDDEN if is_personal_header(name) else f"'{printable(name, 80)}'"


def listed_columns(names: Iterable[str], limit: int = 20, noun: str = "column") -> str:
    """Names of columns, files or folders for a message; personal ones are counted, not named."""
    every = list(names)
    shown = [name for name in every if not is_personal_header(name)]
    texts = [listed(shown, limit)] if shown else []
    if hidden := len(every) - len(shown):
        single = f"a {noun} whose name looks personal"
        texts.append(single if hidden == 1 else f"{hidden} {noun}s whose names look personal")
    return " and ".join(texts)


def _share(matches: pl.Series) -> float:
    return float(matches.sum()) / len(matches)


def _mean(values: pl.Series) -> float:
    return float(values.sum()) / len(values)
