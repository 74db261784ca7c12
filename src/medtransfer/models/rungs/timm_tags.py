"""Pre-training set of a model of timm, as far as its tag names it. No torch.

A tag says what a model was trained on: ``lvd142m``, ``augreg_in21k_ft_in1k``, ``laion2b``. Sizes
are those in the tag, and of ImageNet those of the ladder; a tag that names no set is left unknown.
"""

import re
from dataclasses import dataclass

IMAGENET = {
    "in1k": ("ImageNet-1k", 1_281_167),
    "in21k": ("ImageNet-21k", 14_197_122),
    "in22k": ("ImageNet-21k", 14_197_122),
}
SIZED_SETS = {
    "lvd": "LVD",
    "laion": "LAION",
    "yfcc": "YFCC",
    "cc": "Conceptual Captions",
    "dfn": "DFN",
    "sat": "SAT",
}
"""Families of sets whose tag ends in their size."""
SIZED = re.compile(rf"({'|'.join(SIZED_SETS)})(\d+)(m|b)")
UNSIZED = re.compile("webli|openai|jft|in12k|ig1b|swag|seer|mim|m30m|merged|ssl|laiona|clip_ft")
SIZE_UNITS = {"m": 10**6, "b": 10**9}
UNKNOWN_SET = "see its model card"


@dataclass(frozen=True)
class TagFacts:
    """Pre-training of a model.

    Attributes:
        pretraining: Sets in the order in which they were used.
        images: Of the largest; None if none is named.
    """

    pretraining: str = UNKNOWN_SET
    images: int | None = None


def tag_facts(model: str) -> TagFacts:
    """Pre-training by the tag of a model, e.g. ``vit_small_patch14_dinov2.lvd142m``."""
    sets: dict[str, int] = {}
    for word in model.partition(".")[2].split("_"):
        if word in IMAGENET:
            name, images = IMAGENET[word]
            sets.setdefault(name, images)
        elif match := SIZED.fullmatch(word):
            family, count, unit = match.groups()
            sets.setdefault(
                f"{SIZED_SETS[family]}-{count}{unit.upper()}", int(count) * SIZE_UNITS[unit]
            )
    if not sets or _hides_a_set(model.partition(".")[2]):
        return TagFacts()
    return TagFacts(", then ".join(sets), max(sets.values()))


def _hides_a_set(tag: str) -> bool:
    """True if a tag names a set before ImageNet whose size it does not tell."""
    return bool(UNSIZED.search(tag))
