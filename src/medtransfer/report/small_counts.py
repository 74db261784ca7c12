"""Small counts of a page: printed as ``<10``, and such that no difference gives them away.

The tables on disk keep the numbers; only the page, which is meant to be passed on, hides them.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from medtransfer.language.numbers import localised
from medtransfer.report.content import Row

Key = TypeVar("Key", bound=Hashable)
GroupKey = tuple[str, str, str]
"""Attribute, group and cohort."""


def count_text(count: int, least: int) -> str:
    """A count, or ``<10`` if it is below `least` and not 0."""
    return f"<{least}" if 0 < count < least else localised(f"{count:,}")


def count_texts(counts: Mapping[Key, int], least: int) -> dict[Key, str]:
    """Counts whose sum is known, each as text.

    Counts of 1 to `least` - 1 are ``<10``. The next larger ones are ``≥10`` until what is hidden
    is two counts or more and at least `least` together: the sum less the counts in sight would
    give away a single one.

    Args:
        counts: Parts of a whole that is printed elsewhere.
        least: Smallest count that is printed.
    """
    hidden = [key for key, count in counts.items() if 0 < count < least]
    texts = {key: count_text(count, least) for key, count in counts.items()}
    rest = sorted((count, place, key) for place, (key, count) in enumerate(counts.items()))
    larger = [key for count, _, key in rest if count >= least]
    while hidden and larger and (len(hidden) < 2 or sum(counts[k] for k in hidden) < least):
        key = larger.pop(0)
        hidden.append(key)
        texts[key] = f"≥{least}"
    return texts


def group_counts(rows: Iterable[Row], column: str, least: int) -> dict[GroupKey, str]:
    """The count of every group, as text; the groups of an attribute in a cohort are a whole.

    Args:
        rows: Rows of results of groups; of each group the first counts.
        column: ``num_cases`` or ``num_patients``.
        least: Smallest count that is printed.
    """
    wholes: dict[tuple[str, str], dict[GroupKey, int]] = {}
    for row in rows:
        key = row["attribute"], row["group"], row["cohort"]
        wholes.setdefault((row["attribute"], row["cohort"]), {}).setdefault(key, row[column])
    return {
        key: text for counts in wholes.values() for key, text in count_texts(counts, least).items()
    }
