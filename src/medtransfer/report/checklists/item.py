"""Items of reporting checklists, and their states."""

from dataclasses import dataclass
from typing import Literal

ItemState = Literal["answered", "partly", "for a person"]
"""`partly`: the study answers a part, and a person the rest."""


@dataclass(frozen=True)
class Item:
    """An item of a checklist, in our own words.

    Attributes:
        number: Its number in the checklist.
        topic: What it asks for.
        proofs: Facts of a study that answer it, by their keys in `proofs.py`.
        told: Fields of `about:` that answer it.
        more: True if a person must add to the facts, whatever they say.
    """

    number: str
    topic: str
    proofs: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True)
class Checklist:
    """A published checklist.

    Attributes:
        name: As it is cited.
        source: Of its text, which has the items in the authors' words.
        items: In their order.
    """

    name: str
    source: str
    items: tuple[Item, ...]
