"""Words that stand for a missing value in the tables of hospitals and of other programs."""

from typing import Literal

import polars as pl

from medtransfer.errors import plural, printable
from medtransfer.tables.chunks import any_cell
from medtransfer.tables.values.personal import quotable

UNKNOWN = "Unknown"
"""Group of the cases whose attribute is not known."""

CERTAIN = frozenset(
    {
        *("na", "n/a", "n.a.", "n/a.", "#n/a", "#na", "#n/a n/a", "<na>", "nan", "-nan", "nat"),
        *("null", "(null)", "<null>", "nil", ".", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
        *("#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!"),
    }
)
"""Words that are neither a class nor a group: written by R, pandas, SQL, SAS, spreadsheets."""
POSSIBLE = frozenset(
    {
        *("none", "-", "--", "---", "–", "—", "?", "??", "missing", "unknown", "unk", "unkn"),
        *("not known", "not available", "not applicable", "not reported", "not recorded"),
        *("not specified", "not stated", "not given", "not provided", "unspecified", "no data"),
        *("no information", "not done", "not documented", "undocumented", "n.d.", "n/d"),
        *("unbekannt", "keine angabe", "keine angaben", "k.a.", "k. a.", "k.a", "fehlend"),
        *("nicht bekannt", "nicht angegeben", "ohne angabe"),
        *("inconnu", "inconnue", "non connu", "non renseigné", "non renseigne", "nr", "n.r."),
        *("manquant", "non précisé", "non precise"),
        *("desconocido", "desconocida", "sin dato", "sin datos", "no consta", "no disponible"),
        *("desconhecido", "desconhecida", "ignorado", "ignorada", "sem dados", "sem informação"),
        *("não informado", "nao informado", "não disponível", "s/i", "s/d"),
        *("sconosciuto", "sconosciuta", "non noto", "non nota", "ignoto", "mancante"),
        *("onbekend", "niet bekend", "ontbrekend", "okänd", "okänt", "ukjent", "ukendt"),
        *("nieznany", "nieznana", "nieznane", "brak danych", "b.d.", "b/d"),
        *("bilinmiyor", "neznámé", "neznámý", "nepoznato", "tuntematon"),
        *(
            "неизвестно",
            "нет данных",
            "άγνωστο",
            "不明",
            "未知",
            "不详",
            "不詳",
        ),
        *("未记录", "未記入", "미상", "불명", "غير معروف", "לא ידוע", "ไม่ทราบ"),
    }
)
"""Words for a missing value that may also be a class, as "None" for no finding."""

Meaning = Literal["certain", "any"]


def is_missing_word(column: str, meaning: Meaning = "any") -> pl.Expr:
    """True for cells of a text column that hold a missing word.

    Args:
        column: A column of text.
        meaning: ``certain`` for the words that can be nothing else, ``any`` for all.
    """
    words = CERTAIN if meaning == "certain" else CERTAIN | POSSIBLE
    text = pl.col(column).str.strip_chars()
    short = text.str.len_bytes() <= max(len(word.encode()) for word in words)
    return (short & text.str.to_lowercase().is_in(sorted(words))).fill_null(value=False)


def missing_words(cells: pl.Series, meaning: Meaning = "any") -> dict[str, int]:
    """The missing words of a text column, as they are spelled, with their numbers of rows.

    A dash counts as a value where the column holds a plus sign too: the two are a result.
    """
    name = cells.name
    if not any_cell(cells, is_missing_word(name, meaning)):
        return {}
    frame = cells.to_frame()
    words = frame.filter(is_missing_word(name, meaning)).to_series().str.strip_chars()
    counts = value_counts(words)
    if any_cell(cells, pl.col(name).str.strip_chars().str.contains(r"^\++$")):
        counts = {word: n for word, n in counts.items() if word.strip("-–—")}
    return counts


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
    return f"'{printable(column, 80)}': read as missing: {counted(words)}."


def counted(words: dict[str, int], limit: int = 6) -> str:
    """``'NaN' in 10 rows, 'NA' in 1 row``, the most frequent first.

    Values that may identify a person are counted and not quoted.
    """
    quoted = sorted(quotable(words), key=lambda word: -words[word])[:limit]
    texts = [f"'{printable(word)}' in {plural(words[word], 'row')}" for word in quoted]
    if rest := [count for word, count in words.items() if word not in quoted]:
        values = plural(len(rest), "more value" if texts else "value")
        texts.append(f"{values} in {plural(sum(rest), 'row')}")
    return ", ".join(texts)
