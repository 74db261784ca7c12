"""Words in one spelling for comparison: case, accents, width, punctuation around them."""

import unicodedata

UNFOLDED = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart into a letter and an accent."""
INVISIBLE = "\xad\u200b\u200c\u200d\u2060\ufeff"
"""Soft hyphens and characters without width, which copying from a web page leaves in cells."""
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
"""Hyphens, dashes and the minus sign, which office programs write for a hyphen."""


def plain_word(text: str) -> str:
    """A word without case, accents, invisible characters and punctuation around it."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    letters = (c for c in parts if not unicodedata.combining(c) and c not in INVISIBLE)
    return "".join(letters).translate(UNFOLDED).strip(" \t\r\n\xa0.,;:()[]{}'\"")


def name_words(name: str) -> list[str]:
    """The words of a column's name: ``PatientSex``, ``patient_sex`` and ``Patient's sex`` alike."""
    split = "".join(
        f" {c}" if c.isupper() and previous.islower() else c if c.isalnum() else " "
        for previous, c in zip(f" {name}", name, strict=False)
    )
    return [plain_word(word) for word in split.split()]
