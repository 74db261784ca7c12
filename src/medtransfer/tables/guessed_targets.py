"""Targets and class columns guessed from what a manifest's columns hold."""

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote

import polars as pl

from medtransfer.errors import printable
from medtransfer.tables.manifest import MANIFEST_CONTRACT, Manifest, free_columns, label_text
from medtransfer.tables.schema import raise_faults
from medtransfer.tables.values.folding import plain_word
from medtransfer.tables.values.missing_words import missing_words, without_words
from medtransfer.tables.values.personal_columns import (
    is_personal_header,
    personal_faults,
    personal_reason,
)
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.sex import names_sex
from medtransfer.tables.values.value_map import EMPTY, OPTION, ValueMap

COUNTS = {
    "target": pl.String,
    "cohort": pl.String,
    "positive": pl.Int64,
    "negative": pl.Int64,
    "uncertain": pl.Int64,
    "empty": pl.Int64,
}
"""Columns of `label_counts`; all but the names are numbers of cases."""
MAX_CLASSES = 50
CLASS_NAMES = ("label", "class", "diagnosis", "dx", "diag", "diagnostic", "finding", "target")
"""Names of class columns in English, as messages list them."""
_CLASS_HEADERS = """
    diagnose klasse diagnos klass classe étiquette diagnóstico clase etiqueta hallazgo rótulo achado
    diagnosi etichetta rozpoznanie diagnoza klasa etykieta tanı teşhis sınıf etiket diagnoosi luokka
    diagnóza třída diagnózis osztály clasă диагноз класс діагноз διάγνωση κλάση 诊断 診斷 类别 類別
    标签 標籤 診断 診断名 分類 ラベル 진단 진단명 분류 التشخيص
"""
CLASS_HEADERS = frozenset(map(plain_word, (*CLASS_NAMES, *_CLASS_HEADERS.split())))
"""The same in the languages of hospitals, without case and accents."""
LABEL_WORDS = {
    "1": """
        yes y true t positive pos present abnormal malignant + ja j wahr positiv vorhanden auffällig
        pathologisch bösartig maligne oui o vrai positif présent présente anormal malin sí si s
        verdadero positivo positiva presente anormal maligno maligna sim verdadeiro presença
        vero anormale malato waar positief aanwezig afwijkend kwaadaardig tak prawda dodatni
        dodatnia pozytywny obecny złośliwy evet e doğru pozitif var anormal malign ano áno pozitivní
        pozitívny da pozitiv pozitivan adevărat igen pozitív kyllä positiivinen да положительный
        положительно есть так є ναι θετικό θετικός 是 有 真 阳性 陽性 阳 陽 异常 異常 恶性 惡性 悪性
        はい あり 有り 예 네 양성 있음 이상 악성
    """,
    "0": """
        no n false f negative neg absent normal benign - − nein falsch negativ fehlend unauffällig
        gutartig benigne non faux négatif négatif absent bénin falso negativo negativa ausente
        benigno benigna não nao ausência nee onwaar negatief afwezig goedaardig nie fałsz ujemny
        ujemna negatywny nieobecny łagodny hayır h yanlış negatif yok iyi ne negativní negatívny
        nu negativan fals nem negatív ei negatiivinen нет отрицательный отрицательно ні немає
        όχι αρνητικό αρνητικός 否 无 無 没有 沒有 假 阴性 陰性 阴 陰 正常 良性 いいえ なし 無し
        아니오 아니요 음성 없음 정상
    """,
    "-1": """
        uncertain equivocal indeterminate possible maybe fraglich unsicher unklar möglich verdächtig
        douteux douteuse incertain incertaine possible indéterminé dudoso dudosa incierto posible
        indeterminado duvidoso duvidosa incerto possível dubbio dubbia possibile twijfelachtig
        mogelijk onzeker wątpliwy niepewny możliwy şüpheli belirsiz olası сомнительно возможно
        неопределённо 可疑 疑似 不确定 不確定 의심 疑い
    """,
}
"""Words of label cells in other tables, in the languages of hospitals, by the label that each
stands for."""
LABEL_PHRASES = {
    "nicht vorhanden": "0",
    "kein nachweis": "0",
    "nicht auffällig": "0",
    "not present": "0",
    "no presente": "0",
    "kötü huylu": "1",
    "iyi huylu": "0",
}
"""The same in several words."""
LETTER_PAIRS = ("PN", "AN", "MB", "TN", "DN", "VF", "WF", "TF", "EH", "IN")
"""Single letters for 1 and 0 of which one alone means too much: positive and negative, abnormal and
normal, malignant and benign, tak and nie. Read where a column has both and nothing else."""
LABELS = ("1", "0", "-1")


def _spellings() -> dict[str, str]:
    """Word without case and accents → label; words that stand for two labels are left out."""
    pairs = [(word, label) for label, text in LABEL_WORDS.items() for word in text.split()]
    labels: dict[str, set[str]] = {}
    for word, label in [*pairs, *LABEL_PHRASES.items()]:
        labels.setdefault(plain_word(word), set()).add(label)
    return {word: next(iter(of_word)) for word, of_word in labels.items() if len(of_word) == 1}


SPELLINGS = _spellings() | {label: label for label in LABELS}
"""Spellings of label cells in other tables, by `plain_word` → the spelling here."""


def is_target(frame: pl.DataFrame, name: str) -> bool:
    """True for a column that holds 1 and 0, and nothing but 1, 0, -1 and empty cells."""
    values = frame.select(label_text(name))[name].drop_nulls().unique().to_list()
    return set(values) <= {"1", "0", "-1"} and {"1", "0"} <= set(values)


def without_negatives(frame: pl.DataFrame) -> list[str]:
    """Columns that would be targets if they held a 0: where 1 and empty cells may be all there is.

    Names that look like personal data, and columns without an empty cell, are left out.
    """
    names = [name for name in free_columns(frame) if not is_personal_header(name)]
    values = {name: set(frame.select(label_text(name))[name].unique()) for name in names}
    return [name for name in names if {"1", None} <= values[name] <= {"1", "-1", None}]


def negatives_notes(frame: pl.DataFrame) -> list[str]:
    """A note for each column that is no target for want of a 0, with the option to use."""
    return [
        f"'{printable(name, 80)}' holds 1 and no 0, and is no target. If the finding is absent "
        f"where its cell is empty, add {OPTION} {quote(f'{printable(name, 80)}={EMPTY}:0')}"
        for name in without_negatives(frame)
    ]


def names_class(name: str) -> bool:
    """True for a column that is named like a class: ``dx``, ``Diagnóstico``."""
    return plain_word(name) in CLASS_HEADERS


def is_class(frame: pl.DataFrame, name: str) -> bool:
    """True for a column that is named like a class and holds 2 to `MAX_CLASSES` names."""
    count = frame.select(label_text(name))[name].drop_nulls().n_unique()
    return names_class(name) and 2 <= count <= MAX_CLASSES


def read_classes(manifest: Manifest, column: str, values: ValueMap) -> Manifest:
    """The manifest with the cells of its class column read.

    Raises:
        TableError: It holds words that may be a class or a missing value.
    """
    roles = Roles(class_column=column)
    cells = read_cells(manifest.frame, [column], roles, values)
    raise_faults(MANIFEST_CONTRACT, manifest.path, cells.faults)
    return replace(manifest, frame=cells.frame, notes=(*manifest.notes, *cells.notes))


def class_names(manifest: Manifest, column: str) -> list[str]:
    """The classes of a class column, in text order."""
    names = manifest.frame.select(label_text(column))[column].drop_nulls()
    return names.unique().sort().to_list()


def guessed_targets(frame: pl.DataFrame) -> tuple[list[str], str | None]:
    """Target columns of a table; where there is none, the class column, if there is one.

    Columns that look like personal data are neither.
    """
    columns = free_columns(frame)
    targets = [n for n in columns if is_target(frame, n) and not is_personal_header(n)]
    classes = (n for n in columns if is_class(frame, n) and not personal_reason(frame[n]))
    return targets, None if targets else next(classes, None)


def label_counts(
    frame: pl.DataFrame, targets: Sequence[str], class_column: str | None = None
) -> pl.DataFrame:
    """Labelled and unlabelled cases of each target by cohort.

    A case counts once: it has the label of those of its images that have one.

    Args:
        frame: Rows of a manifest.
        targets: Target columns, or classes of `class_column`.
        class_column: The column that holds a class name, if there is one.

    Returns:
        A row per target and cohort with the columns of `COUNTS`, the largest cohort first.
    """
    columns = [class_column] if class_column else list(targets)
    cells = frame.lazy().select("cohort", "case_id", *map(label_text, columns))
    cases = cells.group_by("cohort", "case_id").agg(pl.all().drop_nulls().first()).collect()
    sizes = cases.group_by("cohort").len().sort(["len", "cohort"], descending=[True, False])
    tables: list[pl.DataFrame] = []
    for name in targets:
        label = pl.col(class_column or name)
        positive = label == (name if class_column else "1")
        uncertain = (label == "-1") & (class_column is None)
        marks = {
            "positive": positive,
            "negative": ~positive & ~uncertain,
            "uncertain": uncertain,
            "empty": label.is_null(),
        }
        counts = [mark.sum().cast(pl.Int64).alias(word) for word, mark in marks.items()]
        table = sizes.join(cases.group_by("cohort").agg(counts), on="cohort", maintain_order="left")
        tables.append(table.select(pl.lit(name).alias("target"), *list(COUNTS)[1:]))
    return pl.concat(tables) if tables else pl.DataFrame(schema=COUNTS)


def read_for_study(manifest: Manifest, values: ValueMap | None = None) -> Manifest:
    """The manifest with its cells read by the use of the columns, as far as it can be guessed.

    Missing words are empty in targets and in attributes. In a class column the words that may be a
    class stand as they are.

    Args:
        manifest: From `read_manifest`, without named columns.
        values: Values that were read in place of others: they are read no further.
    """
    raise_faults(MANIFEST_CONTRACT, manifest.path, personal_faults(manifest.frame, ["cohort"]))
    columns = free_columns(manifest.frame)
    classes = [name for name in columns if names_class(name)]
    labels = [name for name in classes if is_target(_emptied(manifest.frame, name), name)]
    plain = [name for name in columns if name not in classes or name in labels]
    plain = [name for name in plain if not names_sex(name)]  # sexes are read already
    cells = read_cells(manifest.frame, plain, Roles(attributes=plain), values)
    return replace(manifest, frame=cells.frame, notes=(*manifest.notes, *cells.notes))


def other_spellings(manifest: Manifest) -> list[str]:
    """Columns that would be targets if they were written as 1, 0 and -1; a sentence each."""
    notes = negatives_notes(manifest.frame)
    for name in free_columns(manifest.frame):
        if marks := spelled_target(manifest.frame, name):
            words = {word.lower(): mark for word, mark in marks.items()}
            meant = ", ".join(f"{word} as {mark}" for word, mark in sorted(words.items()))
            notes.append(f"'{name}' could be a target if written otherwise: {meant}.")
    return notes


def spelled_target(frame: pl.DataFrame, name: str) -> dict[str, str]:
    """The words of a label column and the label each stands for; empty for another column."""
    if frame.schema[name] not in (pl.String(), pl.Boolean()):
        return {}
    cells = _emptied(frame, name).lazy().select(pl.col(name).cast(pl.String).str.strip_chars())
    few = cells.unique().head(len(SPELLINGS)).collect()[name].drop_nulls().sort()
    words = [word for word in few if word]
    folded = {word: plain_word(word) for word in words}
    letters = {*folded.values()}
    pair = next((p for p in LETTER_PAIRS if letters == {*p.lower()}), "")
    label_of = SPELLINGS | dict(zip(pair.lower(), LABELS, strict=False))
    labels = {word: label_of.get(text, "") for word, text in folded.items()}
    is_spelled = {"1", "0"} <= {*labels.values()} and not {*words} <= {*LABELS}
    return labels if is_spelled and all(labels.values()) else {}


def values_option(frame: pl.DataFrame, name: str) -> str:
    """The option that reads a label column's words, fit for a shell."""
    words = ",".join(f"{word}:{label}" for word, label in spelled_target(frame, name).items())
    return f"--values {quote(f'{printable(name, 80)}={words}')}"


def _emptied(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """One column of a table without any missing word."""
    frame = frame.select(name)
    is_text = frame.schema[name] == pl.String()
    return without_words(frame, name, missing_words(frame[name])) if is_text else frame
