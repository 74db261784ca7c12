"""Cells that look like personal data: names, dates, addresses, ids.

The audit looks for columns of them, and no message quotes such a cell.
"""

from collections.abc import Collection, Mapping

import polars as pl

TITLES = (
    r"(?i:univ\.?-?\s*prof|prof|priv\.?-?\s*doz|pd|dr|dra|doc|mrs?|ms|miss|herrn?|frau|mme|mlle|sr|sra|"
    r"srta|dott|dott\.?ssa|sig|sig\.?ra|dhr|mevr|mw|docteur|doctor|doctora|dottor)"
)
MONTHS = (
    r"(?i:jan|feb|mar|mär|mrz|apr|avr|abr|may|mai|mei|maj|mag|jun|jui|giu|jul|lug|aug|aoû|ago|sep|set|"
    r"oct|okt|out|ott|nov|dec|dez|déc|dic)[\p{L}]*\.?"
)
CONTENTS: dict[str, str] = {
    "e-mail addresses": r"^\s*[^@\s]+@[^@\s]+\.[A-Za-z]{2,}\s*$",
    "full dates": (
        r"^\s*((19|20)\d\d[-/.](0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])"
        r"|(0?[1-9]|[12]\d|3[01])[-/.](0?[1-9]|[12]\d|3[01])[-/.](19|20)?\d\d"
        r"|(19[2-9]|20[0-4])\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
        r"|(19|20)\d\d\s*[年년]\s*\d{1,2}\s*[月월]\s*\d{1,2}\s*[日일]"
        rf"|[0-3]?\d(\.|st|nd|rd|th|er)?[\s-]+(de\s+|of\s+)?{MONTHS}[\s-]+(de\s+)?(19|20)?\d\d"
        rf"|{MONTHS}\s+[0-3]?\d(st|nd|rd|th)?,?\s+(19|20)\d\d)([T ].*)?$"
    ),
    "telephone numbers": r"^\s*(\+\d[\d ()/-]{7,}\d|\(?\d{3}\)?[ -]\d{3}[ -]\d{4})\s*$",
    "DICOM person names": r"^\s*[\p{L}'-]{2,}\^[\p{L}'-]+",
    "names of persons": (
        rf"^\s*{TITLES}\.?(\s+{TITLES}\.?|\s+(?i:med|habil|rer|nat)\.?)*\s+\p{{Lu}}\p{{L}}"
    ),
    "social security numbers": r"^\s*\d{3}-\d{2}-\d{4}\s*$",
    "national identity numbers": (
        r"^\s*(\d{3}\.\d{3}\.\d{3}-\d{2}|[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]"
        r"|756\.\d{4}\.\d{4}\.\d{2}|[A-Z]\d{9}|\d{6}-[1-4]\d{6}|[1-9]\d{5}(19|20)\d{9}[\dX])\s*$"
    ),
}
"""Patterns of cells with personal data."""
SHAPES = (
    *CONTENTS.values(),
    r"^\s*(19|20)\d\d\s*$",  # the year of birth
    r"\d{5}",
    r"^\s*\p{Lu}[\p{L}'.-]*,?\s+\p{Lu}[\p{L}'.-]*(\s|$)",
    r"^\s*\p{L}+,\s*\p{L}+",
    r".{30}",
)
"""Patterns of single cells that may identify a person; a column of them need not be personal."""
CERTAIN_SHAPES = (
    *CONTENTS.values(),
    r"\d{6}",
    r"(^|\D)\d{1,2}[./-]\d{1,2}[./-](19|20)?\d\d(\D|$)|(19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}",
    r"^[\s\d.,;:/-]*\d{4}[\s\d.,;:/-]*$|\p{L}[-_ ]?(0\d{3}|[3-9]\d{3})(\D|$)",
    r"(?i:\.(png|jpe?g|dcm|dicom|tiff?|bmp|pgm)\s*$)",
    r"^\s*[\p{L}'-]+,\s+\p{L}[\p{L}'-]+\s*$",
)
"""Patterns of texts that identify a person wherever they stand, as in a column's name."""
MIN_BEHIND = 10
"""Values with fewer patients behind them are counted and not named."""
MAX_QUOTED = 12
"""A column with more unread values holds names or numbers, and none of them is quoted."""
NUMBERS = (
    r"^\s*[<>=≥≤~+-]{0,2}\s*\d{1,3}([.,]\d{1,3})?\s*[+%]?\s*\p{L}{0,2}"
    r"(\s*[-–;]?\s*\d{1,3}\s*\p{L}{0,2})?\s*$|^\s*\S\s*$|^\s*\(?[+-]+\)?\s*$"
)
"""Short numbers and single characters: too short to name anyone."""
_PUBLIC = """
    yes no true false y n t f pos neg positive negative present absent normal abnormal benign
    malignant uncertain equivocal indeterminate possible maybe none unknown other missing empty
    nan null
    ja nein oui non sí si sim não nao tak nie evet hayır да нет 是 否 有 无 無 阳性 阴性 陽性
    陰性 positiv negativ positif négatif positivo negativo pozitif negatif
    train training val valid validation tune test testing dev internal external
    female male woman man women men
    left right both l r links rechts gauche droite izquierda derecha esquerda direita
    divers diverse x d o u intersex intersexual non-binary nonbinary nonbinario transgender trans
    high low medium inf -inf
    third hermaphrodite undetermined ambiguous anders autre otro outro altro inny diğer
"""
PUBLIC_WORDS = frozenset(_PUBLIC.split())
"""Words of tables that name nobody."""


def looks_personal(text: str) -> bool:
    """True for a text that identifies a person by its shape alone."""
    pattern = "|".join(f"(?:{shape})" for shape in CERTAIN_SHAPES)
    return bool(pl.Series([text]).str.contains(pattern)[0])


def quotable(
    counts: Mapping[str, int], public: Collection[str] = (), least: int = MIN_BEHIND
) -> list[str]:
    """The values of a column that a message may quote, in order.

    A value is quoted if it is a common word, a short number or one of `public`, or if at least
    `least` are behind it, the column has at most `MAX_QUOTED` values, and it has no shape
    of personal data.

    Args:
        counts: Values with the numbers of patients, or of rows, behind them.
        public: Values of a closed list, which name nobody.
        least: Patients from which a value is quoted; 1 for a table that is public anyway.
    """
    cells = pl.Series([*counts], dtype=pl.String)
    is_short = cells.str.contains(NUMBERS)
    is_shaped = cells.str.contains("|".join(f"(?:{shape})" for shape in SHAPES))
    few = len(counts) <= MAX_QUOTED
    return [
        value
        for value, short, shaped in zip(counts, is_short, is_shaped, strict=True)
        if value in public
        or (few and not shaped and (_is_word(value) or short or counts[value] >= least))
    ]


def _is_word(value: str) -> bool:
    return value.strip().casefold() in PUBLIC_WORDS
