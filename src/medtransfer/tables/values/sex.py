"""Sex as F or M, by a closed vocabulary in the languages of hospitals.

Words are read by themselves. A single letter is read by all letters of its column: M is male
beside F, female beside H (Spanish, Portuguese). What cannot be told is kept as it stands.
"""

import unicodedata
from dataclasses import dataclass

import polars as pl

from medtransfer.errors import printable
from medtransfer.tables.values.folding import name_words, plain_word
from medtransfer.tables.values.missing_words import (
    counted,
    missing_note,
    missing_words,
    value_counts,
)

FEMALE, MALE = "F", "M"


@dataclass(frozen=True)
class Language:
    """The words of a language for the sexes.

    Attributes:
        female: Words, as they are written.
        male: Likewise.
        letters: Pairs of letters, the female one first.
    """

    female: str
    male: str
    letters: tuple[str, ...] = ()


LANGUAGES = {
    "English": Language(
        "female females woman women girl lady madam madame mrs ms miss fem fml",
        "male males man men boy gentleman mr sir masc",
        ("FM",),
    ),
    "German": Language(
        "weiblich weibl wbl weib weibliche Frau Mädchen Dame",
        "männlich maennlich männl mnl mnnl männliche Mann Herr Junge Knabe",
        ("WM", "FM"),
    ),
    "French": Language(
        "féminin féminine femme fille madame mme",
        "masculin masculine masc homme garçon monsieur",
        ("FM", "FH"),
    ),
    "Spanish": Language(
        "femenino femenina mujer niña hembra señora",
        "masculino masculina masc hombre varón niño macho señor",
        ("FM", "MH", "MV"),
    ),
    "Portuguese": Language(
        "feminino feminina mulher menina senhora fêmea",
        "masculino masculina homem menino senhor",
        ("FM", "MH"),
    ),
    "Catalan": Language("femení femenina dona noia", "masculí home noi", ("FM", "DH")),
    "Italian": Language(
        "femminile femmina donna ragazza signora",
        "maschile maschio uomo ragazzo signore",
        ("FM",),
    ),
    "Dutch": Language("vrouw vrouwelijk meisje mevrouw", "man mannelijk jongen meneer", ("VM",)),
    "Polish": Language(
        "kobieta żeńska żeński żeńskie dziewczynka", "mężczyzna męska męski chłopiec", ("KM",)
    ),
    "Turkish": Language("kadın kız bayan dişi", "erkek bay oğlan", ("KE",)),
    "Scandinavian": Language(
        "kvinna kvinne kvinde kvinnlig kvinnelig flicka jente pige",
        "man mann mand manlig mannlig pojke gutt dreng",
        ("KM",),
    ),
    "Finnish": Language("nainen tyttö", "mies poika"),
    "Czech, Slovak": Language("žena ženské ženský ženské", "muž mužské mužský", ("ŽM", "ZM")),
    "South Slavic": Language(
        "žensko ženski ženska žena", "muško muški moški muškarac", ("ŽM", "ZM")
    ),
    "Romanian": Language("femeie feminin fată", "bărbat masculin băiat", ("FM", "FB")),
    "Russian, Ukrainian": Language(
        "женский женщина жен жіноча жінка", "мужской мужчина муж чоловіча чоловік", ("ЖМ",)
    ),
    "Greek": Language("γυναίκα θήλυ κορίτσι", "άνδρας άντρας άρρεν αγόρι", ("ΓΑ", "ΘΑ")),
    "Chinese, Japanese": Language(
        "女 女性 女士 女子 女孩 女生 妇 婦 妇女 婦女 おんな 女の子",
        "男 男性 男士 先生 男子 男孩 男生 おとこ 男の子",
    ),
    "Korean": Language("여 여자 여성 여아", "남 남자 남성 남아"),
    "Vietnamese": Language("nữ", "nam"),
    "Indonesian, Malay": Language("perempuan wanita", "laki-laki lelaki pria", ("PL",)),
    "Arabic": Language("أنثى انثى امرأة", "ذكر رجل"),
    "Persian": Language("زن مونث", "مرد مذکر"),
    "Hebrew": Language("נקבה אישה", "זכר גבר"),
    "Hindi": Language("महिला स्त्री", "पुरुष"),
    "Thai": Language("หญิง", "ชาย"),
    "Hungarian": Language("nőnemű lány asszony", "férfi fiú hímnemű"),
    "Signs": Language("♀", "♂"),
}
"""Words and letters of each language. Letters of other words, as D for divers, are in none."""
ACCENTED = {"nő": ("F", frozenset({"Hungarian"})), "női": ("F", frozenset({"Hungarian"}))}
"""Words that are others without their accents: ``no``, and Catalan's word for a boy."""
_NAMES = (
    "sex gender geschlecht sexe sexo género gênero sesso genere geslacht płeć cinsiyet cinsiyeti "
    "kön kjønn køn sukupuoli pohlaví pohlavie spol пол стать φύλο 性别 性別 성별 الجنس جنس מין"
)
_BESIDE = (
    "patient patients pat s m f w h k at birth biological legal administrative code of the "
    "du des del de paciente paziente patienten hasta jenis kelamin"
)
NAMES = frozenset(map(plain_word, _NAMES.split())) | {"jeniskelamin"}
BESIDE = frozenset(_BESIDE.split())
"""Words that a column's name may hold beside the word for sex."""
BOTH = (FEMALE + MALE, MALE + FEMALE)
CODE = 1
"""Length of a letter or a digit that stands for a sex."""


@dataclass(frozen=True)
class SexReading:
    """A column of sexes, read.

    Attributes:
        cells: F, M, or the text as it stands; null where it is missing. [N]
        notes: Sentences on what was read and what was kept.
    """

    cells: pl.Series
    notes: tuple[str, ...]


def _vocabulary() -> dict[str, tuple[str, frozenset[str]]]:
    """Folded word → its sex, and the languages that have it."""
    entries: dict[str, tuple[str, frozenset[str]]] = {}
    for name, language in LANGUAGES.items():
        for sex, words in ((FEMALE, language.female), (MALE, language.male)):
            for word in map(plain_word, words.split()):
                before = entries.get(word, (sex, frozenset[str]()))
                entries[word] = (sex, before[1] | {name})
    return {
        word: entry for word, entry in entries.items() if len(word) > CODE or not word.isascii()
    }


VOCABULARY = _vocabulary()


def names_sex(name: str) -> bool:
    """True for a column whose name says that it holds the sex: ``PatientSex``, ``Geschlecht``."""
    words = name_words(name)
    whole = "".join(words)
    return whole in NAMES or (
        any(word in NAMES for word in words) and all(word in NAMES | BESIDE for word in words)
    )


def read_sex(cells: pl.Series, owners: pl.Series | None = None) -> SexReading:
    """Read a column of sexes.

    Args:
        cells: Text or whole numbers, in any language of `LANGUAGES`. [N]
        owners: Patient of each cell, if it is known. [N]

    Returns:
        F and M where that is certain; missing words empty; everything else as it stands. A note
        names what was read, what is missing and what was kept, with numbers of rows.
    """
    name = cells.name
    text = cells.cast(pl.String).str.strip_chars()
    text = text.str.replace(r"^(\d+)[.,]0+$", "$1")  # codes beside gaps are often stored as 1.0
    text = text.set(text == "", None)
    missing = missing_words(text)
    text = text.set(text.is_in(list(missing)), None)
    counts = value_counts(text.drop_nulls())
    sexes = _sexes(list(counts))
    kept = {value: count for value, count in counts.items() if value not in sexes}
    read = text.replace_strict(sexes, default=text, return_dtype=pl.String)
    patients = _patients(text, owners, kept)
    return SexReading(read, tuple(_notes(name, missing, counts, sexes, patients)))


def _letters_option(name: str, letters: list[str]) -> str:
    """The option that says the sexes of letters, in both ways if there are one or two of them."""
    if len(letters) > len(BOTH):
        return f"--values {name}={','.join(f'{letter}:…' for letter in letters)}, F or M for each"
    pairs = [",".join(f"{v}:{s}" for v, s in zip(letters, both, strict=False)) for both in BOTH]
    return f"--values {name}={pairs[0]} or {name}={pairs[1]}"


def _patients(cells: pl.Series, owners: pl.Series | None, kept: dict[str, int]) -> dict[str, int]:
    """Number of patients behind each value that is kept; of rows if patients are not known."""
    if owners is None or not kept:
        return kept
    table = pl.DataFrame({"value": cells, "owner": owners}).filter(pl.col("value").is_in([*kept]))
    counts = table.group_by("value").agg(pl.col("owner").n_unique()).sort("value")
    return dict(counts.iter_rows())


def _sexes(values: list[str]) -> dict[str, str]:
    """The values that can be told, each with its sex."""
    entries = {value: _entry(value) for value in values}
    words = {value: entry for value, entry in entries.items() if entry is not None}
    letters = {value: plain_word(value) for value in values if len(plain_word(value)) == CODE}
    letters = {value: letter for value, letter in letters.items() if value not in words}
    languages = frozenset[str]().union(*(entry[1] for entry in words.values()))
    by_letter = _letter_sexes(frozenset(letters.values()), languages)
    sexes = {value: entry[0] for value, entry in words.items()}
    sexes |= {v: by_letter[letter] for v, letter in letters.items() if letter in by_letter}
    untold = {letter.upper() for value, letter in letters.items() if value not in sexes}
    # an M that is not told keeps its group to itself: "hombre" beside it would be M too
    return {value: sex for value, sex in sexes.items() if sex not in untold}


def _entry(value: str) -> tuple[str, frozenset[str]] | None:
    """The sex that a word says, and the languages that have it; None for another word."""
    word = unicodedata.normalize("NFC", value.casefold())
    return ACCENTED.get(word) or VOCABULARY.get(plain_word(value))


def _letter_sexes(letters: frozenset[str], languages: frozenset[str]) -> dict[str, str]:
    """Letter → sex, by the pairs of letters that fit the column; none where pairs disagree.

    Args:
        letters: All single letters and digits of the column, plain_word.
        languages: Languages of the words beside them; a letter alone is read by these.
    """
    pairs = {
        (plain_word(pair[0]), plain_word(pair[1])): name in languages
        for name in sorted(LANGUAGES, key=lambda name: name in languages)
        for pair in LANGUAGES[name].letters
    }
    whole = [pair for pair in pairs if letters >= {*pair}]
    paired = {letter for pair in whole for letter in pair}
    single = [pair for pair, is_spoken in pairs.items() if is_spoken and not paired & {*pair}]
    readings: dict[str, set[str]] = {}
    for pair in (*whole, *(pair for pair in single if letters & {*pair})):
        for letter, sex in zip(pair, (FEMALE, MALE), strict=True):
            readings.setdefault(letter, set()).add(sex)
    if any(len(sexes) > 1 for letter, sexes in readings.items() if letter in letters):
        return {}
    return {letter: next(iter(sexes)) for letter, sexes in readings.items()}


def _notes(
    name: str,
    missing: dict[str, int],
    counts: dict[str, int],
    sexes: dict[str, str],
    patients: dict[str, int],
) -> list[str]:
    shown = printable(name, 80)
    notes: list[str] = []
    for sex in (FEMALE, MALE):
        other = {v: counts[v] for v, read in sexes.items() if read == sex and v != sex}
        if other:
            notes.append(f"'{shown}': read as {sex}: {counted(other, [*other])}.")
    if missing:
        notes.append(missing_note(name, missing))
    kept = {value: counts[value] for value in patients}
    letters = {v: count for v, count in kept.items() if len(plain_word(v)) == CODE}
    both_told = {*sexes.values()} == {FEMALE, MALE}
    # F alone is female; beside a letter that is not told it may be the other one: nő, férfi
    codes = {} if both_told or {*letters} <= {FEMALE} else letters
    others = {v: count for v, count in kept.items() if v not in codes and v != FEMALE}
    if codes:
        notes.append(
            f"'{shown}': {counted(codes)}: the column does not tell which sex that is, so it is "
            f"kept as it stands. Say it with {_letters_option(shown, list(codes))}."
        )
    if others:
        groups = "a group of its own" if len(others) == 1 else "groups of their own"
        notes.append(
            f"'{shown}': {counted(others, (), patients)}: kept as {groups}. Map one with --values "
            f"{shown}=VALUE:F."
        )
    return notes
