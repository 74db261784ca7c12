"""Section of a validation's verdict, before all questions."""

from collections.abc import Sequence

from medtransfer.language.translation import translate
from medtransfer.report.components import Answer, Note, Section


def verdict_section(sentences: Sequence[str], *, is_translated: bool = False) -> Section:
    """Answer of a validation at a hospital, with the numbers behind it.

    Args:
        sentences: The answer, then the numbers.
        is_translated: The sentences are in the language of the page.
    """
    answer, *numbers = sentences
    question = translate("Does it hold here?")
    return Section(
        anchor="verdict",
        title=question,
        lead=answer,
        parts=[Note(sentence) for sentence in numbers],
        answer=Answer(question, answer),
        is_translated=is_translated,
    )
