"""Words that stand for a missing value in the tables of hospitals and of other programs."""

import re
from collections.abc import Collection, Mapping
from typing import Literal

import polars as pl

from medtransfer.errors import plural, printable
from medtransfer.tables.chunks import SLICE_ROWS, any_cell
from medtransfer.tables.values.folding import INVISIBLE
from medtransfer.tables.values.personal import quotable

UNKNOWN = "Unknown"
"""Group of the cases whose attribute is not known."""


def spelling(text: pl.Expr) -> pl.Expr:
    """A word without case, accents, width, hidden characters and brackets, with single blanks.

    ``(Not_Known)`` is ``not known``, ``N / A.`` is ``n/a``.
    """
    plain = text.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()
    plain = plain.str.replace_all(f"[{INVISIBLE}]", "")
    plain = plain.str.replace_all(r"[\s_]+", " ").str.strip_chars()
    plain = plain.str.replace(r"^[(<\[{]\s*(.+?)\s*[)>\]}]$", "$1")
    return plain.str.replace_all(r" ?/ ?", "/").str.replace(r"^(.*[^.])\.$", "$1")


def _words(text: str) -> frozenset[str]:
    """The entries of a list, divided by two blanks or ends of lines, as `spelling` writes them."""
    lines = text.strip().splitlines()
    entries = pl.Series("word", [word for line in lines for word in line.strip().split("  ")])
    return frozenset(entries.to_frame().select(spelling(pl.col("word"))).to_series())


CERTAIN = frozenset({""}) | _words(
    """
    na  n/a  n.a.  n.a  n/a  #na  #n/a  #n/a n/a  nan  -nan  nat  null  .
    1.#ind  -1.#ind  1.#qnan  -1.#qnan  #value!  #ref!  #div/0!  #name?  #num!  #null!
    #nv  #wert!  #bezug!  #zahl!  #valeur!  #nom?  #nombre!  #valor!  #¡valor!  #n/d  #nome?
    #valore!  #rif!  #n/b  #waarde!  #verw!  #n/d!  #arg!  #adr!  #yok  #değer!  #н/д  #знач!
    """
)
"""Words that are neither a class nor a group: written by R, pandas, SQL, SAS, and by spreadsheets
in several languages."""
POSSIBLE = _words(
    """
    none  nil  -  --  ---  –  —  ?  ??  missing  unknown  unk  unkn  unknwn  unknow
    not known  not available  not applicable  not reported  not recorded  not specified
    not stated  not given  not provided  not documented  not done  not asked  not disclosed
    not collected  not entered  unspecified  unavailable  unreported  undisclosed  undocumented
    missing data  missing value  data missing  no value  blank  empty  don't know  do not know
    leer  leeg  vide  vacío  vazio  vuoto  puste  boş  空  空白  空欄  未詳  unbek  onbek  inconn
    desc
    weiß nicht  ne sait pas  no sabe  não sabe  non so  weet niet  nie wiem  vet ej  vet ikke
    keine daten  sin valor  sem valor  nessun dato  pas de donnée  pas de données  nd  nc  n.c.
    not assessed  not performed  not answered  not determined  not evaluated  not tested
    no data  no information  no answer  no response  n.d.  n/d  n/v
    declined  refused  patient declined  patient declines  patient refused  patient refuses
    declines to state  declined to state  decline to answer  declined to answer
    refused to answer  prefer not to say  prefer not to answer  unable to obtain
    unbekannt  keine angabe  keine angaben  k.a.  k. a.  fehlend  fehlt  nicht bekannt
    nicht angegeben  nicht verfügbar  nicht erhoben  nicht erfasst  nicht dokumentiert
    nicht zutreffend  ohne angabe  entfällt
    inconnu  inconnue  non connu  non connue  non renseigné  non renseignée  nr  n.r.  manquant
    manquante  non précisé  non précisée  non disponible  non applicable  pas de réponse
    desconocido  desconocida  sin dato  sin datos  sin información  sin especificar  no consta
    no disponible  no especificado  no reportado  no informado  no aplica  no refiere  s/i  s/d
    desconhecido  desconhecida  ignorado  ignorada  sem dados  sem informação  não informado
    não disponível  não especificado  não se aplica  não consta
    sconosciuto  sconosciuta  non noto  non nota  ignoto  ignota  mancante  non specificato
    non riportato  non applicabile
    onbekend  niet bekend  ontbrekend  niet beschikbaar  niet ingevuld  niet van toepassing  nvt
    n.v.t.  okänd  okänt  uppgift saknas  saknas  ej angivet  ukjent  ukendt  ikke oppgitt
    ikke oplyst  mangler  ei tiedossa  tuntematon
    nieznany  nieznana  nieznane  brak danych  b.d.  b/d  nie podano  nie dotyczy
    bilinmiyor  belirtilmemiş  belirtilmedi  neznámé  neznámý  neznámá  neuvedeno  nepoznato
    necunoscut  necunoscută  ismeretlen
    неизвестно  неизвестен  неизвестный  нет данных  не указано  не указан  н/д  невідомо
    άγνωστο  άγνωστος  άγνωστη  不明  未知  不详  不詳  未记录  未說明  未说明  未填  未提供
    无数据  无记录  不适用  未記入  未記載  記載なし  データなし  該当なし  미상  불명
    알 수 없음  알수없음  해당없음  기록없음  غير معروف  غير محدد  نامشخص  לא ידוע  ไม่ทราบ
    tidak diketahui  không rõ  không biết
    """
)
"""Words for a missing value that may also be a class, as "None" for no finding."""

BETWEEN = r"\s*[/,;]\s*|\s+(?:or|oder|ou|o|of|lub|veya)\s+"
"""Signs and words between missing words that stand together: ``unknown/not reported``."""
MIN_PART = 3
"""Letters of each of them; of shorter words, as in ``-/-``, the whole cell is looked up alone."""
MAX_BYTES = 60
"""Longer cells are not looked up: they are no missing words."""
Meaning = Literal["certain", "any"]


CODES = (
    "-9",
    "-99",
    "-999",
    "-9999",
    "9",
    "99",
    "999",
    "9999",
    "-8",
    "-88",
    "88",
    "888",
    "98",
    "998",
)
"""Numbers that registries and SPSS write for missing values."""
FAR = 5
"""A code is more than so many times the largest other number."""
MAX_GROUPS_WITH_CODES = 13
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
MAX_COUNTED = 6
"""Values that a note quotes one by one."""


def is_missing_word(column: str, meaning: Meaning = "any") -> pl.Expr:
    """True for cells of a text column that hold a missing word.

    Args:
        column: A column of text.
        meaning: ``certain`` for the words that can be nothing else, ``any`` for all.
    """
    words = sorted(CERTAIN if meaning == "certain" else CERTAIN | POSSIBLE)
    text = pl.when(pl.col(column).str.len_bytes() <= MAX_BYTES).then(pl.col(column))
    word = spelling(text).str.replace(r"\((e|a)\)$", "")  # inconnu(e), desconocido(a)
    parts = word.str.replace_all(BETWEEN, "|").str.split("|")
    is_long = parts.list.eval(pl.element().str.len_chars() >= MIN_PART).list.all()
    both = is_long & parts.list.eval(pl.element().is_in(words)).list.all()
    return (word.is_in(words) | both).fill_null(value=False)


def missing_words(cells: pl.Series, meaning: Meaning = "any") -> dict[str, int]:
    """The missing words of a text column, as they are spelled, with their numbers of rows.

    A dash counts as a value where the column holds a plus sign too: the two are a result.
    """
    if cells.is_empty():
        return {}
    name = cells.name
    slices = (part.unique() for part in cells.to_frame().iter_slices(SLICE_ROWS))
    words = pl.concat([part.filter(is_missing_word(name, meaning)) for part in slices]).to_series()
    if words.is_empty():
        return {}
    counts = value_counts(cells.filter(cells.is_in(words.implode())).str.strip_chars())
    if any_cell(cells, pl.col(name).str.strip_chars().str.contains(r"^\(?\++\)?$")):
        counts = {word: n for word, n in counts.items() if word.strip("-–—()")}
    return counts


def code_note(cells: pl.Series) -> list[str]:
    """A note on a group such as -9 or 999 that may stand for a missing value.

    Beside words every number of `CODES` is named, beside numbers those that are negative alone or
    far above the others. They stay groups: what they mean is for the user to say.

    Args:
        cells: An attribute, null where missing. [N]
    """
    if cells.dtype.is_nested() or cells.dtype in (pl.Binary(), pl.Boolean()):
        return []
    text = cells.drop_nulls().cast(pl.String).str.strip_chars().str.replace(r"\.0+$", "")
    counts = value_counts(text)
    if not 2 <= len(counts) <= MAX_GROUPS_WITH_CODES:
        return []
    numbers = {word: float(word) for word in counts if NUMBER.fullmatch(word)}
    codes = [word for word in numbers if word in CODES]
    others = [number for word, number in numbers.items() if word not in codes]
    if len(numbers) == len(counts):
        low, high = min(others, default=0), FAR * max(others, default=float("inf"))
        codes = [word for word in codes if numbers[word] < 0 <= low or numbers[word] > high]
    if not codes or len(codes) == len(counts):
        return []
    name = printable(cells.name, 80)
    pairs = ",".join(f"{word}:empty" for word in codes)
    groups = counted({word: counts[word] for word in codes}, codes)
    remedy = f"If it stands for a missing value say --values {name}={pairs}."
    return [f"'{name}': {groups}: kept as a group. {remedy}"]


def value_counts(cells: pl.Series) -> dict[str, int]:
    """Each value of a text column with its number of rows, in text order."""
    counts = cells.alias("value").value_counts(name="rows").sort("value")
    return {str(value): int(count) for value, count in counts.iter_rows()}


def without_words(frame: pl.DataFrame, column: str, words: dict[str, int]) -> pl.DataFrame:
    """The table with these words of a column left empty."""
    text = pl.col(column)
    is_value = ~text.str.strip_chars().is_in(list(words))
    return frame.with_columns(pl.when(is_value).then(text).alias(column))


def missing_note(column: str, words: dict[str, int]) -> str:
    """Sentence on the words of a column that were read as missing."""
    return f"'{printable(column, 80)}': read as missing: {counted(words, [*words])}."


def counted(
    words: dict[str, int], public: Collection[str] = (), patients: Mapping[str, int] | None = None
) -> str:
    """``'NaN' in 10 rows, 'NA' in 1 row``, the most frequent first.

    Args:
        words: Values with their numbers of rows. Those that may identify a person, or have few
            patients behind them, are counted and not quoted.
        public: Values of a closed list, which identify nobody.
        patients: Number of patients behind each value, if it is known; else rows count.
    """
    behind = words if patients is None else {word: patients[word] for word in words}
    quoted = sorted(quotable(behind, public), key=lambda word: -words[word])[:MAX_COUNTED]
    texts = [f"'{printable(word)}' in {plural(words[word], 'row')}" for word in quoted]
    if rest := [count for word, count in words.items() if word not in quoted]:
        values = plural(len(rest), "more value" if texts else "value")
        texts.append(f"{values} in {plural(sum(rest), 'row')}")
    return ", ".join(texts)


def patient_faults(frame: pl.DataFrame) -> list[str]:
    """Fault of rows whose patient is a word for a missing value, which makes them one patient's."""
    if frame.schema.get("patient_id") != pl.String() or "case_id" not in frame.columns:
        return []
    wordy = ~pl.col("patient_id").str.contains(r"\d")  # no word has a figure, and most ids have
    cases = frame.lazy().select("case_id", "patient_id").filter(wordy).unique("case_id").collect()
    words = missing_words(cases["patient_id"])
    if not any(count > 1 for count in words.values()):
        return []
    fault = f"'patient_id' holds {counted(words, [*words])} of several cases, which would be of one"
    return [f"{fault} patient. Give each its own id, such as that of the case"]
